"""The invariants after every stage: a wrong bill stops here. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain
from uuid import UUID

from aforo.errors import InvariantBroken
from aforo.money import ZERO, to_books
from billing.calculation.calculation import Calculation

LAST_PLACE = Decimal("0.000000000001")


def check(draft: Calculation) -> None:
    """Check the invariants of the stages that a calculation has passed.

    Raises: InvariantBroken, naming the stage and the rule.
    """
    stage = len(draft.trace)
    rules = {
        "nothing is negative": min(draft.subtotal, draft.discount, draft.tax, draft.total) >= 0,
        "a discount is at most the subtotal": draft.discount <= draft.subtotal,
        "what is billable is not negative": all(d.billable >= 0 for d in draft.demands),
        "what is included is at most the quota": all(
            d.included <= draft.quotas.get(d.charge.code, ZERO) for d in draft.demands
        ),
    }
    if stage == 3:
        # Units and the included quantity only take off from here on.
        rules["no more is billed than was ingested"] = all(
            weighted <= to_books(dict(d.charge.feeds)[metric] * _ingested(draft, metric))
            for d in draft.demands
            for metric, weighted in d.weighted.items()
        )
    if stage == 4:
        # A weight of 0.7 divides back to the 12 places of the books.
        rules["no more units burn than were ingested"] = all(
            sum((burn.quantity for burn in burns), ZERO) <= _ingested(draft, metric) + LAST_PLACE
            for metric, burns in draft.unit_burns.items()
        )
    in_lines = sum((line.amount for line in draft.lines), ZERO)
    if 5 <= stage <= 6:
        rules["the lines sum to the subtotal"] = in_lines == draft.subtotal
    if 7 <= stage <= 8:
        rules["the lines sum to the net"] = in_lines == draft.subtotal - draft.discount
    if stage == 9:
        rules |= _settled(draft) | {"the lines sum to the total": in_lines == draft.total}
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        title = draft.trace[-1].title if draft.trace else "Load"
        raise InvariantBroken(f"After stage {title}: {'; '.join(broken)} does not hold.")


def _ingested(draft: Calculation, metric: str) -> Decimal:
    return max(draft.usage[metric].quantity, ZERO) if metric in draft.usage else ZERO


def _settled(draft: Calculation) -> dict[str, bool]:
    wallet = sum(draft.from_wallet.values(), ZERO)
    free = [(lot.id, lot.available) for lot in draft.money_lots]
    free += [(lot.id, lot.available) for lots in draft.unit_lots.values() for lot in lots]
    kept = [*draft.kept_money, *chain(*draft.kept_units.values())]
    offered = _by_lot([*free, *((paid.lot, paid.quantity) for paid in kept)])
    burned = [*draft.money_burns, *chain(*draft.unit_burns.values())]
    burns = _by_lot((burn.lot, burn.quantity) for burn in burned)
    return {
        "the total is paid by credits, invoice and arrears": draft.total
        == wallet + draft.to_invoice + draft.arrears,
        "no payer pays less than nothing": min(draft.to_invoice, draft.arrears, wallet) >= 0,
        "the payers pay the total": sum((p.gross for p in draft.payers), ZERO) == draft.total,
        "the payers hold the tax, owed or not": sum((p.tax for p in draft.payers), ZERO)
        == draft.tax + draft.bonus,
        "what a payer holds is its gross": all(p.gross == p.net + p.tax for p in draft.payers),
        "no part of a payer is below zero": all(min(p.net, p.tax) >= 0 for p in draft.payers),
        "no lot gives more than it has": all(
            quantity <= offered.get(lot, ZERO) for lot, quantity in burns.items()
        ),
    }


def _by_lot(parts: Iterable[tuple[UUID, Decimal]]) -> dict[UUID, Decimal]:
    sums: dict[UUID, Decimal] = {}
    for lot, quantity in parts:
        sums[lot] = sums.get(lot, ZERO) + quantity
    return sums
