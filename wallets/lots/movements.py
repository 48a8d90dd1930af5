"""Write movements with the entries that they explain, each with its wallet's balance after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.ids import new_id_text
from aforo.money import ZERO
from ledger.entries.entries import EntryDraft
from ledger.entries.hash_chain import MovementLine
from wallets.models import ADDED, TAKEN, CreditLot, Movement

_COLUMNS = [
    "id", "book_id", "lot_id", "entry_id", "position", "kind", "quantity", "carrying",
    "balance_after", "held_after", "wallet_balance_after",
]  # fmt: skip
# The statement that it is part of reads the lots as they were before it: what each wallet had, and
# what the movements have added since.
_INSERT = """
    INSERT INTO wallets_movement (id, book_id, lot_id, entry_id, position, kind, quantity, carrying,
        balance_after, held_after, wallet_balance_after)
    SELECT r.id, r.book_id, r.lot_id, r.entry_id, r.position, r.kind, r.quantity, r.carrying,
        r.balance_after, r.held_after, coalesce(before.total, 0) + r.wallet_balance_after
    FROM {rows}
    LEFT JOIN (
        SELECT coalesce(wallet_id, -unit_wallet_id) AS wallet, sum(remaining) AS total
        FROM wallets_creditlot WHERE book_id = ANY(%s::bigint[]) AND remaining > 0 GROUP BY 1
    ) AS before USING (wallet)
"""


def write_movements(
    writes: Writes, drafts: Sequence[EntryDraft], lots: Mapping[UUID, CreditLot]
) -> None:
    """Write the movements of entries, in the order in which these are appended, by the statement
    that writes entries and lots (docs/decisions.md#d160).
    """
    added: dict[int, Decimal] = defaultdict(Decimal)
    rows: list[list[Any]] = []
    for draft in drafts:
        for position, line in enumerate(draft.movements):
            lot = lots[line.lot]
            wallet = lot.wallet_id or -(lot.unit_wallet_id or 0)
            added[wallet] += _added(line)
            rows.append(
                [
                    new_id_text(), draft.book.pk, line.lot, draft.id, position, line.kind,
                    line.quantity, line.carrying, line.balance_after, line.held_after,
                    added[wallet], wallet,
                ]
            )  # fmt: skip
    if rows:
        source, arrays = bulk.from_rows(Movement, _COLUMNS, rows, also={"wallet": "bigint"})
        books = list({draft.book.pk for draft in drafts})
        writes.add(_INSERT.replace("{rows}", source), [*arrays, books])


def _added(line: MovementLine) -> Decimal:
    """Return by how much a movement changes what is in its wallet."""
    if line.kind in ADDED:
        return line.quantity
    return -line.quantity if line.kind in TAKEN else ZERO
