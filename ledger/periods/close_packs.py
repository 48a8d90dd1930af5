"""The sums of a closed month's entries, stored with its pack, and compared with the postings later.

They are written once, while the month is locked; no posting touches them, so nothing is hot.
Reports read them in place of the postings, which cannot change while the month is closed
(`reports.totals.sums`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from aforo import money
from ledger.entries.chain_verification import BadEntry
from ledger.models import AccountingPeriod, ClosePack, PeriodStatus

_MONTH = """
    JOIN ledger_book b ON b.id = e.book_id
    WHERE b.livemode = %(livemode)s
        AND e.accounting_date >= %(starts_on)s AND e.accounting_date < %(ends_on)s
"""
_COUNTED = """
    SELECT count(*), min(e.recorded_at), max(e.recorded_at) FROM ledger_entry e {month}
""".replace("{month}", _MONTH)
_SUMMED = """
    SELECT e.event, p.debit_id AS debit, p.credit_id AS credit, p.currency,
        sum(p.amount) AS amount, count(*) AS postings
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id {month}
    GROUP BY e.event, p.debit_id, p.credit_id, p.currency
""".replace("{month}", _MONTH)
_FREEZE = """
    INSERT INTO ledger_closesum (pack_id, event, debit, credit, currency, amount, postings)
    SELECT %(pack)s, event, debit, credit, currency, amount, postings FROM ({summed}) found
""".replace("{summed}", _SUMMED)
_DIFFERS = """
    SELECT event, debit, credit, currency, kept.amount, kept.postings, found.amount, found.postings
    FROM (SELECT * FROM ledger_closesum WHERE pack_id = %(pack)s) kept
    FULL JOIN ({summed}) found USING (event, debit, credit, currency)
    WHERE (kept.amount, kept.postings) IS DISTINCT FROM (found.amount, found.postings)
    ORDER BY debit, credit, currency, event LIMIT 1
""".replace("{summed}", _SUMMED)


@dataclass(frozen=True, slots=True)
class PackReport:
    """How many closed months were proved, and the first whose pack does not hold."""

    packs: int
    first_bad: BadEntry | None


def freeze(*, period: AccountingPeriod, by: str, now: datetime) -> ClosePack:
    """Create the pack of a month, which the caller has locked, with the sums of its entries."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, _span(period))
        entries, first, last = cursor.fetchall()[0]
        pack = ClosePack.objects.create(
            period=period,
            number=period.packs.count() + 1,
            closed_at=now,
            closed_by=by,
            entries=entries,
            first_recorded_at=first,
            last_recorded_at=last,
        )
        cursor.execute(_FREEZE, _span(period) | {"pack": pack.pk})
    return pack


def verify_packs(*, livemode: bool) -> PackReport:
    """Compare each closed month's pack with its postings, month by month, inside one REPEATABLE
    READ snapshot of the caller's.

    A pack from before its month was reopened is history, and is left alone.
    """
    packs = 0
    closed = AccountingPeriod.objects.filter(livemode=livemode, status=PeriodStatus.CLOSED)
    for period in closed.order_by("starts_on"):
        fault = _fault(period)
        if fault is not None:
            return PackReport(packs, BadEntry(f"closed month {period}", fault))
        packs += 1
    return PackReport(packs, None)


def _span(period: AccountingPeriod) -> dict[str, Any]:
    return {
        "livemode": period.livemode,
        "starts_on": period.starts_on,
        "ends_on": period.ends_on,
    }


def _fault(period: AccountingPeriod) -> str | None:
    """Return what differs between a closed month's last pack and its postings."""
    pack = period.packs.order_by("-number").first()
    if pack is None:
        return "it has no pack"
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, _span(period))
        counted = cursor.fetchall()[0]
        cursor.execute(_DIFFERS, _span(period) | {"pack": pack.pk})
        differing = cursor.fetchall()
    kept = (pack.entries, pack.first_recorded_at, pack.last_recorded_at)
    if kept != counted:
        return f"{pack} was frozen with {pack.entries} entries, the books have {counted[0]}"
    for event, debit, credit, currency, amount, postings, found, number in differing:
        what = f"{event} {debit} / {credit} in {currency}"
        return (
            f"{pack} says {_shown(amount, postings)} for {what}, "
            f"the postings say {_shown(found, number)}"
        )
    return None


def _shown(amount: Decimal | None, postings: int | None) -> str:
    return "nothing" if amount is None else f"{money.plain(amount)} in {postings} postings"
