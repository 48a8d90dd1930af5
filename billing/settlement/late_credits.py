"""Late credits: owed because late usage made settled cycles cheaper; recorded when found, used by
later documents, and paid out when the subscription ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.database import joined
from aforo.money import ZERO, plain
from billing.calculation import presentation
from billing.calculation.calculation import CreditOwed, Tax
from billing.calculation.stages.tax import tax_on
from billing.models import LateCredit, Settlement
from billing.settlement import bearers
from ledger import posting_rules
from ledger.entries import entries
from ledger.models import Book, LedgerEvent


def owe(
    *,
    cycle: Settlement,
    description: str,
    amount: Decimal,
    tax_rate: Tax | None,
    at: datetime,
    entry_id: UUID,
) -> None:
    """Record the credit that an entry has posted as owed for a cycle."""
    LateCredit.objects.create(
        settlement=cycle,
        description=description,
        amount=amount,
        tax_rate=None if tax_rate is None else presentation.rate_json(tax_rate),
        created_at=at,
        entry_id=entry_id,
    )


def owed(subscription_id: UUID) -> tuple[CreditOwed, ...]:
    """Return the credits that the next document of a subscription may use, the oldest first."""
    return tuple(
        CreditOwed(
            credit.pk,
            credit.settlement_id,
            credit.description,
            credit.open,
            None if credit.tax_rate is None else presentation.rate_of_json(credit.tax_rate),
        )
        for credit in _open(subscription_id)
    )


def pay_out(*, book: Book, subscription_id: UUID, at: datetime) -> None:
    """Pay out by credit note what no document of an ending subscription has used: the open part of
    the cycle's own invoice is lowered first, the rest is the customer's credit.

    What is less than the currency can pay stays. The book must be locked.
    """
    notes = []
    for credit in _open(subscription_id):
        net = money.floor_amount(credit.open, credit.settlement.currency)
        if net > 0:
            notes.append(_note(book, credit, net, at))
            credit.paid_out += net
            credit.save(update_fields=["paid_out"])
    entries.append(notes)


def _open(subscription_id: UUID) -> Iterable[LateCredit]:
    return joined.select(
        LateCredit,
        ["settlement"],
        """
        WHERE t1.subscription_id = %s AND t.amount > t.used + t.paid_out
        ORDER BY t.created_at, t.id
        """,
        [subscription_id],
    )


def _note(book: Book, credit: LateCredit, net: Decimal, at: datetime) -> entries.EntryDraft:
    currency = credit.settlement.currency
    rate = None if credit.tax_rate is None else presentation.rate_of_json(credit.tax_rate)
    tax = ZERO if rate is None else tax_on(rate, net, currency)
    gross = net + tax
    open_part = returned = ZERO
    for invoice in bearers.invoices_of(credit.settlement):
        lowered, paid = bearers.lower(invoice, gross - open_part - returned)
        open_part, returned = open_part + lowered, returned + paid
    tax_in_open = money.proportion(tax, open_part, gross)
    lines = []
    for part, its_tax, given_to in (
        (open_part, tax_in_open, posting_rules.RECEIVABLE),
        (gross - open_part, tax - tax_in_open, posting_rules.CUSTOMER_CREDIT),
    ):
        lines += posting_rules.owed_credit_paid_out(
            net=part - its_tax, tax=its_tax, currency=currency, given_to=given_to
        )
    return entries.EntryDraft(
        book=book,
        event=LedgerEvent.CREDIT_NOTE,
        occurred_at=at,
        document={
            "late_credit": str(credit.pk),
            "settlement": str(credit.settlement_id),
            "reason": credit.description,
            "net": plain(net),
            "tax": plain(tax),
            **({} if credit.tax_rate is None else presentation.rate_facts(credit.tax_rate)),
        },
        lines=lines,
    )
