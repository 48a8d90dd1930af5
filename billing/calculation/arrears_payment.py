"""How credits pay what a settled cycle still owes, tax inside. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import proportion
from wallets.lots.waterfall import Lot


@dataclass(frozen=True, slots=True)
class Part:
    """What a lot gives, and how much of the arrears that covers."""

    lot: UUID
    quantity: Decimal
    covers: Decimal


def parts(
    lots: Iterable[Lot], *, owed: Decimal, tax: Decimal, taxed: Collection[UUID]
) -> list[Part]:
    """Return what lots give in turn. Those that were `taxed` when they were sold pay the net of
    what they cover: 120 with 20 of tax are covered by 100 of them.
    """
    found, left, net = list[Part](), owed, owed - tax
    for lot in lots:
        if lot.available <= 0 or left == 0:
            continue
        needed = proportion(left, net, owed) if lot.id in taxed and net > 0 else left
        quantity = min(lot.available, needed)
        covers = left if quantity == needed else proportion(quantity, left, needed)
        if quantity > 0:
            found.append(Part(lot.id, quantity, covers))
            left -= covers
    return found
