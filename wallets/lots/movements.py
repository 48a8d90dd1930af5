"""Write movements with the entries that they explain, each with its wallet's balance after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from aforo.database import bulk
from aforo.ids import new_id
from aforo.money import ZERO
from ledger.entries.entries import EntryDraft
from ledger.entries.hash_chain import MovementLine
from wallets.models import ADDED, TAKEN, CreditLot, Movement

_COLUMNS = [
    "id", "book_id", "lot_id", "entry_id", "position", "kind", "quantity", "carrying",
    "balance_after", "held_after", "wallet_balance_after",
]  # fmt: skip
# What the wallets have by now, less what the list's later movements added: one statement still.
_INSERT = """
    INSERT INTO wallets_movement (id, book_id, lot_id, entry_id, position, kind, quantity, carrying,
        balance_after, held_after, wallet_balance_after)
    SELECT r.id, r.book_id, r.lot_id, r.entry_id, r.position, r.kind, r.quantity, r.carrying,
        r.balance_after, r.held_after, coalesce(present.total, 0) - r.wallet_balance_after
    FROM {rows}
    JOIN wallets_creditlot lot ON lot.id = r.lot_id
    LEFT JOIN (
        SELECT coalesce(wallet_id, -unit_wallet_id) AS wallet, sum(remaining) AS total
        FROM wallets_creditlot WHERE book_id = ANY(%s) AND remaining > 0 GROUP BY 1
    ) AS present ON present.wallet = coalesce(lot.wallet_id, -lot.unit_wallet_id)
"""


def write_movements(drafts: Sequence[EntryDraft], lots: Mapping[UUID, CreditLot]) -> None:
    """Write the movements of entries, in the order in which these were appended, in one statement.

    The lots must be written already: what they have now is what their wallets have after the last
    movement, and what each wallet had after an earlier one follows from that
    (docs/decisions.md#d160).
    """
    later: dict[tuple[int | None, int | None], Decimal] = defaultdict(Decimal)
    rows: list[list[Any]] = []
    for draft in reversed(drafts):
        for position, line in reversed(list(enumerate(draft.movements))):
            lot = lots[line.lot]
            wallet = (lot.wallet_id, lot.unit_wallet_id)
            rows.append(
                [
                    new_id(), draft.book.pk, line.lot, draft.id, position, line.kind,
                    line.quantity, line.carrying, line.balance_after, line.held_after,
                    later[wallet],
                ]
            )  # fmt: skip
            later[wallet] += _added(line)
    if not rows:
        return
    source, arrays = bulk.from_rows(Movement, _COLUMNS, rows[::-1])
    with connection.cursor() as cursor:
        books = list({draft.book.pk for draft in drafts})
        cursor.execute(_INSERT.replace("{rows}", source), [*arrays, books])


def _added(line: MovementLine) -> Decimal:
    """Return by how much a movement changes what is in its wallet."""
    if line.kind in ADDED:
        return line.quantity
    return -line.quantity if line.kind in TAKEN else ZERO
