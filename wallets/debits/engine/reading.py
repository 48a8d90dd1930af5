"""What a list of requests needs to know, read in one statement after the lock on its books.

One statement, because a lone debit spent most of its time on round trips and plans; a statement of
its own, because what the lock waited for is committed only when it begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aforo.database.together import AnyPart, Part, among, select_together
from ledger.entries import chain_state, entries
from ledger.entries.chain_state import ChainState
from ledger.models import Book
from pricing.models import Metric
from wallets.budgets import counting
from wallets.holds import reservation_holds
from wallets.holds.reservation_holds import Held
from wallets.models import AutoRefill, CreditLot, Operation, UnitWallet, Wallet

_REPLAYS = """
    JOIN unnest(%s::bigint[], %s::text[]) AS asked(book_id, key)
    ON t.book_id = asked.book_id AND t.key = asked.key
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list names: keys with their books, and reservations; whether it may ask for units; and
    what else is to be read for its prices.
    """

    keys: Sequence[tuple[int, str]]
    reservations: Sequence[UUID]
    with_units: bool
    # What the requests are matched by, where a book has budgets.
    values: Collection[str]
    also: Sequence[AnyPart] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of the locked books. `held` are the named reservations and those that are due."""

    state: ChainState | None
    operations: Sequence[Operation]
    wallets: Sequence[Wallet]
    units: Sequence[UnitWallet]
    lots: Sequence[CreditLot]
    held: Sequence[Held]
    refills: Sequence[AutoRefill]
    budgets: Sequence[Sequence[Any]]
    also: Sequence[Sequence[Any]]


def read(
    books: Collection[Book], now: dict[int, datetime], asked: Asked, *, is_locked: bool
) -> Found:
    """Read everything of the books, after holding off the close of the months that they are in. Of
    books that are not locked, where nothing will be written, the chain is not read.
    """
    ids = [book.pk for book in books]
    months = {entries.month_of(entries.day_of(now[b.pk])) for b in books if b.livemode}
    if is_locked:
        chain_state.share(months)
    chain = chain_state.parts(ids, months=months) if is_locked else []
    units = _of_units(ids, with_units=asked.with_units)
    reserved = reservation_holds.parts(
        named=asked.reservations, books=ids, due_by=max(now.values())
    )
    limited = [book.pk for book in books if book.has_budgets]
    budgets = counting.parts(limited, now, asked.values) if limited else []
    mine, book_ids = among("t.book_id", ids)
    found = select_together(
        [
            *chain,
            _replays(asked.keys),
            Part(Wallet, f"WHERE {mine}", book_ids),
            Part(CreditLot, f"WHERE {mine} AND t.remaining > 0", book_ids),
            Part(AutoRefill, f"WHERE {mine} AND t.switched_off_at IS NULL", book_ids),
            *asked.also,
            *units,
            *budgets,
            *reserved,
        ]
    )
    rows = iter(found.rows)
    read_chain = [next(rows) for _ in chain]
    state = chain_state.of(found.read_at, read_chain, ids, months=months) if is_locked else None
    operations, wallets, lots, refills = next(rows), next(rows), next(rows), next(rows)
    also = [next(rows) for _ in asked.also]
    lots.sort(key=lambda lot: (lot.granted_at, lot.id))
    return Found(
        state=state,
        operations=operations,
        wallets=wallets,
        units=_with_metrics(*(next(rows) for _ in units)),
        budgets=[next(rows) for _ in budgets],
        lots=lots,
        refills=refills,
        also=also,
        held=reservation_holds.assemble(list(rows), {lot.id: lot for lot in lots}),
    )


def _replays(keys: Sequence[tuple[int, str]]) -> Part:
    """Return the earlier operations, each key in its own book only: every book times every key
    would read far too much.
    """
    if len(keys) == 1:
        return Part(Operation, "WHERE t.book_id = %s AND t.key = %s", keys[0])
    books, names = [book_id for book_id, _ in keys], [key for _, key in keys]
    return Part(Operation, _REPLAYS, [books, names])


def _of_units(ids: Sequence[int], *, with_units: bool) -> list[Part]:
    if not with_units:
        return []
    mine, book_ids = among("w.book_id", ids)
    metrics = f"WHERE t.id IN (SELECT w.metric_id FROM wallets_unitwallet w WHERE {mine})"  # noqa: S608
    return [
        Part(UnitWallet, f"WHERE {mine.replace('w.', 't.')}", book_ids),
        Part(Metric, metrics, book_ids),
    ]


def _with_metrics(
    wallets: Sequence[UnitWallet] = (), metrics: Sequence[Metric] = ()
) -> list[UnitWallet]:
    by_id = {metric.pk: metric for metric in metrics}
    for wallet in wallets:
        wallet.metric = by_id[wallet.metric_id]
    return list(wallets)
