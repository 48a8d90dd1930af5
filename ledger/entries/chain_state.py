"""What decides how an entry is dated and chained, as the database has it after the lock: its clock,
the heads of the books, and the months that are closed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from aforo.database.together import Part, among, select_together
from aforo.errors import InvariantBroken
from ledger import locks
from ledger.models import AccountingPeriod, Book, PeriodStatus


@dataclass(slots=True)
class Head:
    """Where a book's chain ends."""

    sequence: int
    hash: str
    recorded_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChainState:
    """The clock, the heads, and the closed spans of days, of which one without a start reaches back
    for ever. `months` were locked against their close before this was read.
    """

    clock: datetime
    heads: dict[int, Head]
    closed: Sequence[tuple[date | None, date]]
    months: frozenset[date]


def parts(ids: Collection[int], *, months: Collection[date]) -> list[Part]:
    """Return what is to be read of the locked books, `months` having been shared before: their
    heads, and the closed months that could matter, with the first on record.
    """
    mine, asked = among("t.id", ids)
    read = [Part(Book, f"WHERE {mine}", asked)]
    if months:
        closed = (
            "WHERE t.status = 'CLOSED' AND t.ends_on > %s"
            " OR t.starts_on = (SELECT min(starts_on) FROM ledger_accountingperiod)"
        )
        read.append(Part(AccountingPeriod, closed, [min(months)]))
    return read


def of(
    read_at: datetime | None,
    rows: Sequence[Sequence[Any]],
    ids: Collection[int],
    *,
    months: Collection[date],
) -> ChainState:
    """Return the state from the rows that were read by `parts`.

    Raises: InvariantBroken for a book that does not exist.
    """
    books, *periods = rows
    if len(books) != len(ids) or read_at is None:
        raise InvariantBroken("An entry was drafted for a book that does not exist.")
    return ChainState(
        clock=read_at,
        heads={b.pk: Head(b.sequence, b.head_hash, b.last_recorded_at) for b in books},
        closed=_closed(*periods),
        months=frozenset(months),
    )


def _closed(periods: Sequence[AccountingPeriod] = ()) -> list[tuple[date | None, date]]:
    """Return the closed spans in order; the first month on record also stands for every day before
    it.
    """
    in_order = sorted(periods, key=lambda period: period.starts_on)
    return [
        (None if n == 0 else period.starts_on, period.ends_on)
        for n, period in enumerate(in_order)
        if period.status == PeriodStatus.CLOSED
    ]


def share(months: Collection[date]) -> None:
    """Lock months against their close until the transaction ends, after the books."""
    if months:
        locks.share_months(months)


def read(ids: Collection[int], *, months: Collection[date]) -> ChainState:
    """Share months and read the state of locked books."""
    share(months)
    found = select_together(parts(ids, months=months))
    return of(found.read_at, found.rows, ids, months=months)
