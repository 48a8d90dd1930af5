"""Expected breakage at a month's end: estimated by cohort, carried by the lots
(docs/accounting.md#m3).

A cohort is what was sold in one month, of a kind and currency. What it has earned to date is
spread over its lots by what remains of them, so that each lapse uses up its own share of 2190, and
no row is shared between customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from aforo import money
from aforo.money import ZERO
from ledger import posting_rules
from ledger.controls import breakage, policies, recognised_breakage
from ledger.controls.breakage import Cohort
from ledger.entries import books as ledger_books
from ledger.entries import entries
from ledger.models import BreakageMethod, LedgerEvent

BOOKS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class CohortKey:
    """What was sold together."""

    kind: str
    currency: str
    sold_on: date


@dataclass(frozen=True, slots=True)
class Estimate:
    """A cohort, the rate in force (None at the remote method) and what it puts on 2190."""

    key: CohortKey
    cohort: Cohort
    percent: Decimal | None
    accrued: Decimal


@dataclass(frozen=True, slots=True)
class _Share:
    """The share of a lot on 2190."""

    book: int
    lot: UUID
    key: CohortKey
    accrued: Decimal


# The state of each lot at the end of a day, in carrying amounts; a refund undoes the sale, as
# does a lost dispute (ADJUST).
_LOTS = """
    SELECT lot.id, lot.book_id, lot.kind, lot.currency,
        date_trunc('month', lot.granted_at AT TIME ZONE %(zone)s)::date AS sold_on,
        sum(CASE WHEN m.kind = 'GRANT' THEN m.carrying
            WHEN m.kind IN ('REFUND', 'ADJUST') THEN -m.carrying ELSE 0 END) AS sold,
        sum(CASE m.kind WHEN 'BURN' THEN m.carrying WHEN 'REVERSE' THEN -m.carrying ELSE 0 END)
            AS redeemed,
        sum(CASE m.kind WHEN 'EXPIRE' THEN m.carrying ELSE 0 END) AS lapsed
    FROM wallets_creditlot lot
    JOIN ledger_book b ON b.id = lot.book_id AND b.livemode = %(livemode)s
    JOIN wallets_movement m ON m.lot_id = lot.id
    JOIN ledger_entry e ON e.id = m.entry_id AND e.accounting_date <= %(until)s
    WHERE lot.carrying > 0 AND lot.kind IN ('CASH', 'BONUS')
"""
_COHORTS = f"""
    SELECT kind, currency, sold_on, sum(sold), sum(redeemed), sum(lapsed)
    FROM ({_LOTS} GROUP BY lot.id) AS lots
    GROUP BY kind, currency, sold_on ORDER BY kind, currency, sold_on
"""  # noqa: S608
_OF_BOOKS = f"""
    {_LOTS} AND lot.book_id = ANY(%(books)s) GROUP BY lot.id ORDER BY lot.book_id, lot.id
"""
_NEXT_BOOKS = """
    SELECT DISTINCT book_id FROM wallets_creditlot
    WHERE book_id > %(after)s AND carrying > 0 ORDER BY book_id LIMIT %(limit)s
"""


def estimate_breakage(*, livemode: bool, until: date) -> list[Estimate]:
    """Estimate every cohort as it stood at the end of a day, by the rates in force then."""
    policy = policies.policy(livemode=livemode, on=until)
    with connection.cursor() as cursor:
        cursor.execute(_COHORTS, _scope(livemode, until))
        rows = cursor.fetchall()
    estimates = []
    for kind, currency, sold_on, sold, redeemed, lapsed in rows:
        cohort, percent, accrued = Cohort(sold, redeemed, lapsed), None, ZERO
        if policy.breakage_method == BreakageMethod.PROPORTIONAL:
            rate = policies.breakage_rate(
                livemode=livemode, kind=kind, currency=currency, sold_on=sold_on, on=until
            )
            percent = None if rate is None else rate.percent
        if percent is not None:
            unclaimed = policy.unclaimed_percent if kind == "CASH" else ZERO
            accrued = breakage.accrued(cohort, percent=percent, unclaimed_percent=unclaimed)
        estimates.append(Estimate(CohortKey(kind, currency, sold_on), cohort, percent, accrued))
    return estimates


@money.exact
def accrue_breakage(*, livemode: bool, until: date, at: datetime) -> int:
    """Adjust 2190 to the estimates of the end of a day; `at` is the moment just after it.

    Safe to repeat and to kill: each lot is brought to its share, books being locked some at a time.
    Where the method or a rate ended, what was recognised is taken back. Return the number of
    entries.
    """
    estimates = {e.key: e for e in estimate_breakage(livemode=livemode, until=until)}
    running: dict[CohortKey, Decimal] = {}
    after, written = 0, 0
    while books := _next_books(after):
        shares = _shares(livemode, until, books, estimates, running)
        written += _bring_to(shares, until=until, at=at)
        after = books[-1]
    return written


def _scope(livemode: bool, until: date) -> dict[str, bool | str | date]:  # noqa: FBT001
    return {"livemode": livemode, "until": until, "zone": settings.ENTITY_TIMEZONE}


def _next_books(after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_BOOKS, {"after": after, "limit": BOOKS_AT_ONCE})
        return [book for (book,) in cursor.fetchall()]


def _shares(
    livemode: bool,  # noqa: FBT001
    until: date,
    books: Sequence[int],
    estimates: Mapping[CohortKey, Estimate],
    running: dict[CohortKey, Decimal],
) -> list[_Share]:
    """Spread what the cohorts have accrued over the lots of some books, cumulatively, so that the
    shares of all lots sum to it; `running` is how far each cohort has come.
    """
    scope: dict[str, bool | str | date | list[int]] = {**_scope(livemode, until)}
    with connection.cursor() as cursor:
        cursor.execute(_OF_BOOKS, {**scope, "books": list(books)})
        rows = cursor.fetchall()
    shares = []
    for lot, book, kind, currency, sold_on, sold, redeemed, lapsed in rows:
        key = CohortKey(kind, currency, sold_on)
        estimate = estimates.get(key)
        accrued = ZERO
        if estimate is not None and estimate.accrued > 0:
            before = running.get(key, ZERO)
            running[key] = before + Cohort(sold, redeemed, lapsed).remaining
            accrued = _up_to(running[key], estimate) - _up_to(before, estimate)
        shares.append(_Share(book, lot, key, accrued))
    return shares


def _up_to(remaining: Decimal, estimate: Estimate) -> Decimal:
    """Return the accrual of the first lots of a cohort, of which `remaining` is left together."""
    whole = estimate.cohort.remaining
    return money.proportion(estimate.accrued, min(remaining, whole), whole)


@transaction.atomic
def _bring_to(shares: Iterable[_Share], *, until: date, at: datetime) -> int:
    """Post the difference between each lot's share and what it has on 2190, an entry a book."""
    by_book = {book: list(of) for book, of in groupby(shares, key=lambda share: share.book)}
    locked = ledger_books.lock_books(ids=list(by_book))
    accrued = recognised_breakage.accrued_breakage(
        [share.lot for of in by_book.values() for share in of], until=until
    )
    drafts = []
    for book, of in by_book.items():
        lines = [
            line
            for share in of
            for line in posting_rules.breakage_accrued(
                kind=share.key.kind,
                change=share.accrued - accrued.get(share.lot, ZERO),
                currency=share.key.currency,
                lot=share.lot,
            )
        ]
        if lines:
            drafts.append(
                entries.EntryDraft(
                    book=locked[book],
                    event=LedgerEvent.BREAKAGE_ACCRUED,
                    occurred_at=at,
                    document={"period": f"{until:%Y-%m}"},
                    lines=lines,
                    at_period_end=True,
                )
            )
    entries.append(drafts)
    return len(drafts)
