"""Tie-outs of the books: both sides of the trial balance, lots, open documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q, Sum

from aforo.money import ZERO
from billing.models import Invoice, InvoiceStatus
from ledger import posting_rules
from ledger.reports.totals.trial_balance import AccountBalance, trial_balance
from wallets.models import TopUpStatus


@dataclass(frozen=True, slots=True)
class TieOut:
    """A figure of the books and the figure that it must equal."""

    name: str
    currency: str
    books: Decimal
    other: Decimal

    @property
    def difference(self) -> Decimal:
        return self.books - self.other


# What lots carried at the end of a day, by what decides on the account that owes it.
_LOTS = """
    SELECT lot.kind, lot.source, lot.currency,
        sum(CASE WHEN m.kind IN ('GRANT', 'REVERSE') THEN m.carrying
            WHEN m.kind IN ('HOLD', 'RELEASE', 'ROLLOVER') THEN 0 ELSE -m.carrying END)
    FROM wallets_movement m
    JOIN wallets_creditlot lot ON lot.id = m.lot_id
    JOIN ledger_entry e ON e.id = m.entry_id AND e.accounting_date <= %s
    JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %s
    WHERE m.carrying <> 0
    GROUP BY 1, 2, 3
"""


def of_day(*, livemode: bool, until: date) -> list[TieOut]:
    """Return the tie-outs at the end of a day: debits = credits, and lots = what is owed for
    them.
    """
    rows = trial_balance(livemode=livemode, as_of=until)
    currencies = sorted({row.currency for row in rows})
    ties = [
        TieOut(
            "trial balance: debits = credits",
            currency,
            sum((row.debit for row in rows if row.currency == currency), ZERO),
            sum((row.credit for row in rows if row.currency == currency), ZERO),
        )
        for currency in currencies
    ]
    with connection.cursor() as cursor:
        cursor.execute(_LOTS, [until, livemode])
        lots: dict[tuple[str, str], Decimal] = {}
        for kind, source, currency, carried in cursor.fetchall():
            key = posting_rules.liability(kind=kind, source=source), currency
            lots[key] = lots.get(key, ZERO) + carried
    for account in posting_rules.LOT_LIABILITIES:
        ties += _ties(f"{account} = lots", _balances(rows, account), _of(lots, account))
    return ties


def of_now(*, livemode: bool) -> list[TieOut]:
    """Return the tie-outs as the books stand now: unbilled and receivable = the documents that are
    open.
    """
    rows = trial_balance(livemode=livemode)
    return [
        *_ties(
            "1200 = settled, not invoiced",
            _balances(rows, posting_rules.UNBILLED),
            _unbilled(livemode),
        ),
        *_ties(
            "1100 = open invoices", _balances(rows, posting_rules.RECEIVABLE), _receivable(livemode)
        ),
    ]


def _balances(rows: list[AccountBalance], account: str) -> dict[str, Decimal]:
    return {row.currency: row.balance for row in rows if row.account == account}


def _of(lots: Mapping[tuple[str, str], Decimal], account: str) -> dict[str, Decimal]:
    return {currency: carried for (code, currency), carried in lots.items() if code == account}


def _ties(name: str, books: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> list[TieOut]:
    return [
        TieOut(name, currency, books.get(currency, ZERO), other.get(currency, ZERO))
        for currency in sorted({*books, *other})
    ]


def _unbilled(livemode: bool) -> dict[str, Decimal]:  # noqa: FBT001
    """Return the net of settlements whose invoice is a draft, by currency."""
    drafts = Invoice.objects.filter(
        livemode=livemode, status=InvoiceStatus.DRAFT, settlement__isnull=False
    )
    found: dict[str, Decimal] = {}
    for draft in drafts.iterator():
        net = draft.amount_due - draft.due_tax
        found[draft.currency] = found.get(draft.currency, ZERO) + net
    return found


def _receivable(livemode: bool) -> dict[str, Decimal]:  # noqa: FBT001
    """Return what is still owed on issued invoices, by currency; invoices of credits that wait for
    their payment are left out.
    """
    held_back = Q(top_up__status=TopUpStatus.PENDING)
    issued = Invoice.objects.filter(livemode=livemode, status=InvoiceStatus.OPEN).exclude(held_back)
    rows = (
        issued.order_by()
        .values_list("currency")
        .annotate(owed=Sum(F("amount_due") - F("credited") - F("paid")))
    )
    return dict(rows)
