"""Coverage by credits: first what lots paid before they lapsed, then lots in burn order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from wallets.lots.waterfall import Allocated, Allocation, Lot, allocate


def cover(
    kept: Sequence[Allocation], lots: Iterable[Lot], need: Decimal, order: Sequence[str]
) -> Allocated:
    """Cover `need` by the kept allocations, as far as needed, then by the lots in burn order.

    Lots offer what this cycle burned of them before as available again, so the outcome is what the
    whole cycle takes, whenever and however often parts of it were burned on the way.
    """
    taken, left = [], need
    for allocation in kept:
        given = min(allocation.quantity, left)
        if given > 0:
            taken.append(replace(allocation, quantity=given))
            left -= given
    rest = allocate(lots, left, order)
    return Allocated((*taken, *rest.allocations), rest.shortfall)
