"""Metered usage of the open cycles that no credit has paid yet, priced by the same stages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.database import joined
from aforo.money import ZERO
from billing.realtime import open_cycles
from billing.realtime.open_cycles import OpenCycle
from billing.settlement import cycle_burns, usage_burn
from ledger.models import Book
from wallets.models import CreditLot

_MAY_PAY = "WHERE t.book_id = %s AND t.remaining > 0 OR t.id = ANY(%s) ORDER BY t.granted_at, t.id"


def pending(*, book: Book, now: datetime) -> dict[str, Decimal]:
    """Return what burning the open cycles would take now: units by metric code, money by currency.

    Reads without a lock: it is a forecast, and nothing rests on it.
    """
    until = now + usage_burn.MICROSECOND
    cycles = open_cycles.read_unsettled(book=book, now=now, before=until)
    lots = _lots(book, cycles)
    units = {lot.unit_wallet.pk: lot.unit_wallet for lot in lots.values() if lot.unit_wallet}
    taken: dict[str, Decimal] = {}
    for cycle in cycles:
        draft = cycle.price(
            until=until,
            lots=lots.values(),
            units=units.values(),
            pays=usage_burn.payers(cycle.subscription, now),
        )
        after = cycle_burns.targets(draft)
        for lot_id in {*cycle.burns, *after}:
            lot = lots[lot_id]
            code = lot.counted_in if lot.unit_wallet is None else lot.unit_wallet.metric.code
            burned = cycle.burns[lot_id].quantity if lot_id in cycle.burns else ZERO
            open_part = after[lot_id].quantity if lot_id in after else ZERO
            taken[code] = taken.get(code, ZERO) + open_part - burned
    return {code: max(quantity, ZERO) for code, quantity in taken.items()}


def _lots(book: Book, cycles: Iterable[OpenCycle]) -> dict[UUID, CreditLot]:
    """Read the lots that may pay for cycles, with their metrics."""
    burned = [lot_id for cycle in cycles for lot_id in cycle.burns]
    found = joined.select(CreditLot, ["unit_wallet__metric"], _MAY_PAY, [book.pk, burned])
    return {lot.id: lot for lot in found}
