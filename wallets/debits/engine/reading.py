"""What a list of requests needs to know, read in one statement after the lock on its books.

One statement, because a lone debit spent most of its time on round trips and plans; a statement of
its own, because what the lock waited for is committed only when it begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aforo.database.together import Part, select_together
from ledger.entries import chain_state, entries
from ledger.entries.chain_state import ChainState
from ledger.models import Book
from pricing.models import Metric
from wallets.holds import reservation_holds
from wallets.holds.reservation_holds import Held
from wallets.models import CreditLot, Operation, UnitWallet, Wallet

# Each key in its own book only: every book times every key would read far too much.
_REPLAYS = """
    JOIN unnest(%s::bigint[], %s::text[]) AS asked(book_id, key)
    ON t.book_id = asked.book_id AND t.key = asked.key
"""
_METRICS = "WHERE t.id IN (SELECT metric_id FROM wallets_unitwallet WHERE book_id = ANY(%s))"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list names: keys with their books, and reservations; and whether it may ask for
    units.
    """

    keys: Sequence[tuple[int, str]]
    reservations: Sequence[UUID]
    with_units: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of the locked books. `held` are the named reservations and those that are due."""

    state: ChainState
    operations: Sequence[Operation]
    wallets: Sequence[Wallet]
    units: Sequence[UnitWallet]
    lots: Sequence[CreditLot]
    held: Sequence[Held]


def read(books: Collection[Book], now: dict[int, datetime], asked: Asked) -> Found:
    """Read everything of the books, after holding off the close of the months that they are in."""
    ids = [book.pk for book in books]
    months = {entries.month_of(entries.day_of(now[b.pk])) for b in books if b.livemode}
    chain_state.share(months)
    chain = chain_state.parts(ids, months=months)
    names, keys = [book_id for book_id, _ in asked.keys], [key for _, key in asked.keys]
    found = select_together(
        [
            *chain,
            Part(Operation, _REPLAYS, [names, keys]),
            Part(Wallet, "WHERE t.book_id = ANY(%s)", [ids]),
            Part(CreditLot, "WHERE t.book_id = ANY(%s) AND t.remaining > 0", [ids]),
            *reservation_holds.parts(named=asked.reservations, books=ids, due_by=max(now.values())),
            *_of_units(ids, with_units=asked.with_units),
        ]
    )
    operations, wallets, lots, reservations, holds, *units = found.rows[len(chain) :]
    lots.sort(key=lambda lot: (lot.granted_at, lot.id))
    return Found(
        state=chain_state.of(found, ids, months=months),
        operations=operations,
        wallets=wallets,
        units=_with_metrics(*units) if units else (),
        lots=lots,
        held=reservation_holds.assemble(reservations, holds, {lot.id: lot for lot in lots}),
    )


def _of_units(ids: Sequence[int], *, with_units: bool) -> list[Part]:
    if not with_units:
        return []
    return [
        Part(UnitWallet, "WHERE t.book_id = ANY(%s)", [ids]),
        Part(Metric, _METRICS, [ids]),
    ]


def _with_metrics(wallets: Sequence[UnitWallet], metrics: Sequence[Metric]) -> list[UnitWallet]:
    by_id = {metric.pk: metric for metric in metrics}
    for wallet in wallets:
        wallet.metric = by_id[wallet.metric_id]
    return list(wallets)
