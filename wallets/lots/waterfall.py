"""The credit waterfall: lots, a need and a burn order in; allocations out. Pure.

The order: the kinds as the burn order lists them (a kind that is missing is never burned); inside
a kind low priority first, then soonest expiry (none last), then oldest grant, then id. Every tie
is decided, so the same lots always burn the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import InvariantBroken
from aforo.money import ZERO


@dataclass(frozen=True, slots=True)
class Lot:
    """What the waterfall sees of a credit lot; `available` leaves out what is held."""

    id: UUID
    kind: str
    available: Decimal
    priority: int
    expires_at: datetime | None
    granted_at: datetime
    effective_at: datetime

    def spendable_at(self, moment: datetime) -> bool:
        """Return whether the lot is alive: [effective_at, expires_at)."""
        return self.effective_at <= moment and (self.expires_at is None or moment < self.expires_at)


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one lot gives, above zero."""

    lot: UUID
    kind: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Allocated:
    """The outcome: `shortfall` is what no lot covers."""

    allocations: tuple[Allocation, ...]
    shortfall: Decimal

    @property
    def covered(self) -> Decimal:
        return sum((a.quantity for a in self.allocations), ZERO)


def in_burn_order(lots: Iterable[Lot], order: Sequence[str]) -> list[Lot]:
    """Sort lots as they burn, without the kinds that the order does not name."""
    rank = {kind: position for position, kind in enumerate(order)}
    return sorted(
        (lot for lot in lots if lot.kind in rank),
        key=lambda lot: (
            rank[lot.kind],
            lot.priority,
            lot.expires_at is None,
            lot.expires_at or lot.granted_at,
            lot.granted_at,
            lot.id,
        ),
    )


@money.exact
def allocate(lots: Iterable[Lot], need: Decimal, order: Sequence[str]) -> Allocated:
    """Allocate `need` to the lots in burn order, each as far as it reaches.

    Promo 10, bonus 20, cash 100 and a need of 50: promo 10, bonus 20, cash 20, shortfall 0.
    Whether a shortfall refuses or becomes overage is the caller's rule.
    """
    if need < 0:
        raise InvariantBroken(f"A need below zero: {need}.")
    allocations = []
    left = need
    for lot in in_burn_order(lots, order):
        if left == 0:
            break
        given = min(lot.available, left)
        if given > 0:
            allocations.append(Allocation(lot.id, lot.kind, given))
            left -= given
    return Allocated(tuple(allocations), left)
