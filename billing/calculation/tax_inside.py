"""Prices that contain the tax: it is taken out of what coupons leave, once for each rate, so that
the net and the tax are the price: 119 at 19 % are 100 and 19. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, amount_text, plain, proportion, round_amount, to_books
from billing.calculation.calculation import (
    CalculatedLine,
    Calculation,
    Group,
    GroupNet,
    changed,
)
from billing.calculation.stages.tax import before_and_off, group_of, own_group, shares


def take_out(draft: Calculation) -> Calculation:
    """Lower lines, subtotal and discount to what they are without the tax inside.

    The lines of a rounded document are whole cents; their descriptions keep the price. What coupons
    took off stays as it is: of the prices.
    """
    parts = before_and_off(draft)
    if not any(group.inside for group in parts):
        return draft
    nets = {group: _net(draft, group, amount - off) for group, (amount, off) in parts.items()}
    off_net = {group: without(group, off) for group, (_, off) in parts.items()}
    discount = _rounded(draft, sum(off_net.values(), ZERO))
    net = sum((each.net for each in nets.values()), ZERO)
    lowered = {group: nets[group].net + off_net[group] for group in parts if group.inside}
    lines = _lines(draft, lowered)
    subtotal = net + discount + draft.adjusted
    rounding = subtotal - sum((line.amount for line in lines), ZERO)
    if rounding != 0:
        lines.append(CalculatedLine("ROUNDING", "Rounding", rounding))
    return changed(
        draft,
        nets=nets,
        lines=tuple(lines),
        subtotal=subtotal,
        discount=discount,
        discounted=_discounted(draft),
        commitment=to_books(without(own_group(draft), draft.commitment)),
        rounding=rounding,
    )


def without(group: Group, amount: Decimal) -> Decimal:
    """Return the part of an amount that is not the tax inside of it, unrounded."""
    if group.rate is None or not group.inside:
        return amount
    return proportion(amount, Decimal(100), 100 + group.rate.percent)


def notes(draft: Calculation) -> list[str]:
    """Return what was taken out of the prices of each group, in words."""
    found = []
    for group, each in (draft.nets or {}).items():
        taken = sum(each.taken_out, ZERO)
        if group.inside and group.rate is not None:
            found.append(
                f"Of {plain(each.net + taken)} with tax, {plain(taken)} is {group.rate.name}, "
                f"{plain(group.rate.percent)} %: net {plain(each.net)}."
            )
    return found


def _net(draft: Calculation, group: Group, gross: Decimal) -> GroupNet:
    """Return the net of a price, and the tax inside of it for each of the rates; a price that
    rounding would leave nothing of has none.
    """
    if group.rate is None or not group.inside:
        return GroupNet(gross)
    whole = 100 + group.rate.percent
    taken = [_rounded(draft, proportion(gross, each.percent, whole)) for each in group.rate.each]
    net = gross - sum(taken, ZERO)
    if net <= 0:
        return GroupNet(gross, tuple(ZERO for _ in taken))
    return GroupNet(net, tuple(taken))


def _lines(draft: Calculation, lowered: Mapping[Group, Decimal]) -> list[CalculatedLine]:
    """Return the lines with what the groups come to without tax spread over theirs, and without
    that of rounding, which is made anew.
    """
    lines = [line for line in draft.lines if line.kind != "ROUNDING"]
    for group, amount in lowered.items():
        mine = [n for n, line in enumerate(lines) if group_of(draft, line) == group]
        for n, net in zip(
            mine, _spread(draft, group, amount, [lines[n] for n in mine]), strict=True
        ):
            price = amount_text(lines[n].amount, draft.currency)
            described = f"{lines[n].description}, {price} with tax"
            lines[n] = replace(lines[n], amount=net, description=described)
    return lines


def _spread(
    draft: Calculation, group: Group, amount: Decimal, lines: list[CalculatedLine]
) -> list[Decimal]:
    weights = [line.amount for line in lines]
    if sum(weights, ZERO) == 0:
        return [_rounded(draft, without(group, weight)) for weight in weights]
    return shares(draft, amount, weights)


def _discounted(draft: Calculation) -> Mapping[str, Decimal] | None:
    """Return what coupons leave of each charge without the tax inside."""
    if draft.discounted is None:
        return None
    groups = {
        line.charge: group_of(draft, line)
        for line in draft.lines
        if line.charge and line.adjusts is None
    }
    own = own_group(draft)
    return {code: without(groups.get(code, own), left) for code, left in draft.discounted.items()}


def _rounded(draft: Calculation, amount: Decimal) -> Decimal:
    return round_amount(amount, draft.currency) if draft.is_rounded else to_books(amount)
