"""How money credits pay a total, and which part of net and tax each payer then holds. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import groupby

from aforo.money import ZERO, floor_amount, proportion
from billing.calculation.calculation import Calculation, Payer
from billing.calculation.credit_coverage import cover
from billing.calculation.stages.tax import unrounded
from wallets.lots.waterfall import Allocation, in_burn_order


def promo_part(draft: Calculation, net: Decimal) -> Decimal:
    """Return how much of the net amount promo money pays, which is then not taxed.

    Kinds that burn before promo pay gross, so they take divide(what it has, 1 + rate) of the net:
    of 100 at 10 %, 33 cash take 30, and promo may pay up to 70. Where several rates apply, it takes
    the same part of each.
    """
    tax = unrounded(draft)
    if tax == 0:
        return ZERO
    promo, left = ZERO, net
    for is_promo, offered in groupby(_in_turn(draft), key=lambda offer: offer[0] == "PROMO"):
        capacity = sum((quantity for _, quantity in offered), ZERO)
        if is_promo:
            promo += min(capacity, left)
            left -= min(capacity, left)
        else:
            left -= min(left, proportion(capacity, net, net + tax))
    return promo


def _in_turn(draft: Calculation) -> list[tuple[str, Decimal]]:
    """Return kind and capacity of the money credits, in the order in which they pay."""
    offers = [(kept.kind, kept.quantity) for kept in draft.kept_money]
    order = draft.may_pay(draft.money_order)
    return offers + [(lot.kind, lot.available) for lot in in_burn_order(draft.money_lots, order)]


def burns(draft: Calculation, total: Decimal) -> tuple[Allocation, ...]:
    """Allocate the total; where something is left to invoice, trim the last burns to whole cents.

    Wallet 29.9975, total 108.00: 29.99 burns, .0075 stays (docs/decisions.md#d11).
    """
    order = draft.may_pay(draft.money_order)
    outcome = cover(draft.kept_money, draft.money_lots, total, order)
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
    """Return the sum of burns by kind, every kind included."""
    return {
        kind: sum((burn.quantity for burn in burned if burn.kind == kind), ZERO)
        for kind in ("PROMO", "BONUS", "CASH")
    }


def payers(draft: Calculation) -> tuple[Payer, ...]:
    """Return the net and tax in each payer's part: promo none, the others the same share.

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


def share_of(draft: Calculation, payer: Payer, amount: Decimal) -> Decimal:
    """Return a payer's share of a part of the subtotal, after its share of the discount.

    Every payer carries the same share of usage, fees and commitment, and so do the credits owed
    that were used here, which the subtotal no longer includes.
    """
    if amount <= 0:
        return ZERO
    before = draft.subtotal + draft.credited
    discounted = proportion(amount, before - draft.discount, before)
    whole = sum((each.net for each in draft.payers), draft.credited)
    return proportion(discounted, payer.net, whole)


def ahead_of(draft: Calculation, payer: Payer) -> Payer:
    """Return the part of a payer that pays the fees of the next cycle, with its part of the tax."""
    net = min(share_of(draft, payer, draft.in_advance), payer.net)
    tax = proportion(payer.tax, net, payer.net) if net > 0 else ZERO
    return replace(payer, gross=net + tax, net=net, tax=tax)
