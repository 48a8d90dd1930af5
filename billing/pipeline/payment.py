"""How money credits pay a total, and which part of net and tax each payer then holds. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, divide, floor_amount, proportion
from billing.pipeline.draft import Draft, Payer
from wallets.waterfall import Allocation, allocate


def promo_part(draft: Draft, net: Decimal) -> Decimal:
    """Give how much of the net amount promo money pays, which is then not taxed.

    Kinds that burn before promo pay gross, so they take divide(what they have, 1 + rate) of the
    net: of 100 at 10 %, 33 cash take 30, and promo may pay up to 70.
    """
    order = draft.may_pay(draft.money_order)
    if draft.tax_rate is None or "PROMO" not in order:
        return ZERO
    ahead = order[: order.index("PROMO")]
    promo = sum((lot.available for lot in draft.money_lots if lot.kind == "PROMO"), ZERO)
    paid_first = sum((lot.available for lot in draft.money_lots if lot.kind in ahead), ZERO)
    taken = divide(paid_first, 1 + draft.tax_rate.percent.scaleb(-2))
    return min(promo, net - min(net, taken))


def burns(draft: Draft, total: Decimal) -> tuple[Allocation, ...]:
    """Allocate the total; where something is left to invoice, trim the last burns to whole cents.

    Wallet 29.9975, total 108.00: 29.99 burns, .0075 stays (DECISIONS 11).
    """
    outcome = allocate(draft.money_lots, total, draft.may_pay(draft.money_order))
    burned = list(outcome.allocations)
    if not draft.is_rounded or outcome.shortfall == 0:
        return tuple(burned)
    excess = outcome.covered - floor_amount(outcome.covered, draft.currency)
    while excess > 0:
        last = burned.pop()
        kept = max(last.quantity - excess, ZERO)
        excess -= last.quantity - kept
        if kept > 0:
            burned.append(replace(last, quantity=kept))
    return tuple(burned)


def by_kind(burned: tuple[Allocation, ...]) -> dict[str, Decimal]:
    """Sum burns by kind, every kind named."""
    return {
        kind: sum((burn.quantity for burn in burned if burn.kind == kind), ZERO)
        for kind in ("PROMO", "BONUS", "CASH")
    }


def payers(draft: Draft) -> tuple[Payer, ...]:
    """Say what each payer's part holds of net and tax: promo none, the others the same share.

    The share is the growth of a running sum, so the parts sum to the tax and none exceeds its
    payer's gross.
    """
    parts: list[tuple[str, Decimal, Allocation | None]] = [
        (burn.kind, burn.quantity, burn) for burn in draft.money_burns
    ]
    parts += [("INVOICE", draft.to_invoice, None), ("ARREARS", draft.arrears, None)]
    whole = sum((gross for kind, gross, _ in parts if kind != "PROMO"), ZERO)
    found, before, reached = [], ZERO, ZERO
    for kind, gross, burn in parts:
        if gross == 0:
            continue
        share = ZERO
        if kind != "PROMO":
            reached += gross
            share = proportion(draft.tax, reached, whole) - before
            before += share
        found.append(Payer(kind, gross, gross - share, share, burn.lot if burn else None))
    return tuple(found)
