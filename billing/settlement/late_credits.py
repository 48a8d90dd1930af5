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
from aforo.ids import new_id
from aforo.money import ZERO, plain
from billing.calculation import presentation
from billing.calculation.calculation import CreditOwed, Tax
from billing.calculation.stages.tax import tax_on
from billing.invoicing import credit_note_documents, numbering
from billing.models import Invoice, LateCredit, Settlement
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
    for credit in list(_open(subscription_id)):
        net = money.floor_amount(credit.open, credit.settlement.currency)
        if net > 0:
            _note(book, credit, net, at)
            credit.paid_out += net
            credit.save(update_fields=["paid_out"])
            numbering.later(book_id=book.pk, now=at)


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


def _note(book: Book, credit: LateCredit, net: Decimal, at: datetime) -> None:
    """Post what is paid out, and write a note for each invoice that it lowers; what no invoice
    bears any more is on the first.
    """
    currency = credit.settlement.currency
    rate = None if credit.tax_rate is None else presentation.rate_of_json(credit.tax_rate)
    tax = ZERO if rate is None else tax_on(rate, net, currency)
    gross = net + tax
    open_part, left, lowered = ZERO, gross, list[tuple[Invoice, Decimal, Decimal]]()
    for invoice in bearers.invoices_of(credit.settlement):
        taken, paid = bearers.lower(invoice, left)
        lowered.append((invoice, taken, paid))
        open_part, left = open_part + taken, left - taken - paid
    tax_in_open = money.proportion(tax, open_part, gross)
    lines = []
    for part, its_tax, given_to in (
        (open_part, tax_in_open, posting_rules.RECEIVABLE),
        (gross - open_part, tax - tax_in_open, posting_rules.CUSTOMER_CREDIT),
    ):
        lines += posting_rules.owed_credit_paid_out(
            net=part - its_tax, tax=its_tax, currency=currency, given_to=given_to
        )
    draft = entries.EntryDraft(
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
    entries.append([draft])
    taxed, done = ZERO, ZERO
    for n, (invoice, taken, paid) in enumerate(lowered):
        given = paid + (left if n == 0 else ZERO)
        if taken + given == 0:
            continue
        done += taken + given
        its_tax = money.round_amount(money.proportion(tax, done, gross), currency) - taxed
        taxed += its_tax
        credit_note_documents.write(
            id=new_id(),
            invoice=invoice,
            tax=its_tax,
            credited=taken,
            returned=given,
            lines=[
                {
                    "description": credit.description,
                    "amount": plain(taken + given - its_tax),
                }
            ],
            reason=credit.description,
            now=at,
            entry_id=draft.id,
        )
