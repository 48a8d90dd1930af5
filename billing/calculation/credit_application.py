"""How money credits pay a total, and which part of net and tax each payer then holds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from aforo.money import ZERO, floor_amount, proportion
from billing.calculation.calculation import CalculatedLine, Calculation, Payer
from billing.calculation.credit_coverage import cover
from billing.calculation.stages.tax import unrounded
from wallets.lots.consideration_tax import pays_net, tax_owed, tax_within
from wallets.lots.waterfall import Allocation, in_burn_order


def untaxed_part(draft: Calculation, net: Decimal) -> Decimal:
    """Return how much of the net amount is paid by credits that pay net, which is then not taxed:
    promo, and what a document has taxed already.

    Lots that burn before them pay gross, so they take divide(what it has, 1 + rate) of the net:
    of 100 at 10 %, 33 cash take 30, and promo may pay up to 70. Where several rates apply, it takes
    the same part of each.
    """
    tax = unrounded(draft)
    if tax == 0:
        return ZERO
    untaxed, left = ZERO, net
    for is_net, offered in groupby(_in_turn(draft), key=lambda offer: offer[0]):
        capacity = sum((quantity for _, quantity in offered), ZERO)
        if is_net:
            untaxed += min(capacity, left)
            left -= min(capacity, left)
        else:
            left -= min(left, proportion(capacity, net, net + tax))
    return untaxed


def _in_turn(draft: Calculation) -> list[tuple[bool, Decimal]]:
    """Return whether money credits pay net, and how much there is, in the order in which they
    pay.
    """
    offers = [(is_net(draft, kept.lot, kept.kind), kept.quantity) for kept in draft.kept_money]
    order = draft.may_pay(draft.money_order)
    return offers + [
        (is_net(draft, lot.id, lot.kind), lot.available)
        for lot in in_burn_order(draft.money_lots, order)
    ]


def is_net(draft: Calculation, lot: UUID, kind: str) -> bool:
    """Return whether a lot pays net and owes no tax."""
    paid = draft.considerations.get(lot)
    return pays_net(kind=kind, taxed_at_sale=paid is not None and paid.taxed_at_sale)


def paid_net(draft: Calculation) -> Decimal:
    """Return what the burns come to that pay net."""
    burned = (burn for burn in draft.money_burns if is_net(draft, burn.lot, burn.kind))
    return sum((burn.quantity for burn in burned), ZERO)


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


def payers(draft: Calculation, untaxed: Decimal) -> tuple[Payer, ...]:
    """Return the net and tax in each payer's part: none in the `untaxed` part of the net, the same
    share in all others. Overage of debits is taxed inside, whoever pays it.

    The share is the growth of a running sum, so the parts sum to the tax and none exceeds its
    payer's gross.
    """
    parts: list[tuple[str, Decimal, UUID | None, bool]] = [
        (burn.kind, burn.quantity, burn.lot, is_net(draft, burn.lot, burn.kind))
        for burn in draft.money_burns
    ]
    parts += [("INVOICE", draft.to_invoice, None, False), ("ARREARS", draft.arrears, None, False)]
    taxed, left = [], untaxed
    for _, gross, _, owes_none in parts:
        # Without overage, what rounding takes beyond the net is not taxed either.
        within = min(gross, left) if draft.overages else gross
        left -= within if owes_none else ZERO
        taxed.append(gross - within if owes_none else gross)
    whole = sum(taxed, ZERO)
    found, before, reached = [], ZERO, ZERO
    for (kind, gross, lot, _), part in zip(parts, taxed, strict=True):
        if gross > 0:
            reached += part
            share = proportion(draft.tax, reached, whole) - before if part > 0 else ZERO
            before += share
            found.append(Payer(kind, gross, gross - share, share, lot))
    return tuple(found)


def bonus_in(draft: Calculation) -> Decimal:
    """Return how much of the tax that the payers hold at face is not owed, because less was paid
    for credits than their face.
    """
    return sum((payer.tax - _owed(draft, payer) for payer in draft.payers), ZERO)


def _owed(draft: Calculation, payer: Payer) -> Decimal:
    if payer.lot is None:
        return payer.tax
    if is_net(draft, payer.lot, payer.kind):
        return ZERO
    paid = draft.considerations.get(payer.lot)
    held = payer.gross if paid is None else paid.held_by(payer.gross)
    return tax_owed(payer.tax, face=payer.gross, consideration=held)


def tax_in_units(draft: Calculation) -> Decimal:
    """Return the tax that the burned unit credits owe, which is no part of the total."""
    percent = ZERO if draft.tax_rate is None else draft.tax_rate.percent
    held = (
        draft.considerations[burn.lot].held_by(burn.quantity)
        for burned in draft.unit_burns.values()
        for burn in burned
        if burn.lot in draft.considerations and not is_net(draft, burn.lot, burn.kind)
    )
    return sum((tax_within(carrying, percent) for carrying in held), ZERO)


def share_of(draft: Calculation, payer: Payer, lines: Collection[CalculatedLine]) -> Decimal:
    """Return a payer's share of some lines of the subtotal, after their share of the discount.

    Every payer carries the same share of usage, fees and commitment, and so do the credits owed
    that were used here, which the subtotal no longer includes, nor what is not billed.
    """
    amount = sum((line.amount for line in lines), ZERO)
    if amount <= 0:
        return ZERO
    whole = sum((each.net for each in draft.payers), draft.credited)
    return proportion(_after_discount(draft, lines, amount), payer.net, whole)


def _after_discount(
    draft: Calculation, lines: Iterable[CalculatedLine], amount: Decimal
) -> Decimal:
    left = draft.discounted
    if left is not None:
        return sum(
            (min(max(left.get(line.charge, ZERO), ZERO), line.amount) for line in lines), ZERO
        )
    before = draft.subtotal + draft.credited + draft.forgiven
    return proportion(amount, before - draft.discount, before)


def of_next_cycle(draft: Calculation) -> list[CalculatedLine]:
    """Return the lines of fees for the next cycle."""
    return [line for line in draft.lines if line.in_advance]


def ahead_of(draft: Calculation, payer: Payer) -> Payer:
    """Return the part of a payer that pays the fees of the next cycle, with its part of the tax."""
    net = min(share_of(draft, payer, of_next_cycle(draft)), payer.net)
    tax = proportion(payer.tax, net, payer.net) if net > 0 else ZERO
    return replace(payer, gross=net + tax, net=net, tax=tax)
