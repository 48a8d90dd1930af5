"""Stage 8 taxes the net amount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate, chain, pairwise

from aforo.money import ZERO, plain, proportion, round_amount, split, to_books
from billing.calculation.calculation import (
    CalculatedLine,
    Calculation,
    Group,
    Tax,
    Taxed,
    changed,
    traced,
)


def tax(draft: Calculation) -> Calculation:
    """Tax the net amount by the customer's jurisdiction, each line by the rate at its tax point.

    Needs: subtotal, discount, tax_rate, ahead_tax_rate, late, credits_owed, overages. Gives: taxes,
    tax, total; Route lowers them where promo money pays, which is a reduction of the price, and
    states as bonus what of the tax is not owed. Keeps: total = net + tax + net overage.
    """
    net = draft.subtotal - draft.discount
    inside = taxes_in_overage(draft)
    taxes = together(taxes_on(draft, net), inside)
    owed, in_overage = (sum((p.amount for p in parts), ZERO) for parts in (taxes, inside))
    on_net = owed - in_overage
    return traced(
        changed(draft, taxes=taxes, tax=owed, total=net + on_net + draft.overage),
        "Tax",
        given={"net": net},
        found={"tax": on_net, **({"tax_in_overage": in_overage} if inside else {})},
        notes=[_note(part) for part in taxes] or ["No tax rate applies."],
    )


def taxes_on(draft: Calculation, taxable: Decimal) -> tuple[Taxed, ...]:
    """Return the tax on a part of the net by rate, each rounded once, as the document is.

    Every rate has the same share in what is taxable. Rates without a net of their own are left out.
    Tax that was taken out of prices is rounded by itself, so that it and the net are the price.
    """
    nets = _nets(draft)
    whole = sum(nets.values(), ZERO)
    parts = list(nets.values())
    if taxable != whole:
        parts = split(taxable, parts)
    sums: dict[tuple[Tax, bool], tuple[Decimal, Decimal]] = {}
    for group, net in zip(nets, parts, strict=True):
        for each, tax in _taxed(draft, group, net):
            base, so_far = sums.get((each, group.inside), (ZERO, ZERO))
            sums[each, group.inside] = base + net, so_far + tax
    found = []
    for (rate, _), (net, exact) in sums.items():
        amount = round_amount(exact, draft.currency) if draft.is_rounded else to_books(exact)
        found.append(Taxed(rate, net, amount))
    return tuple(_not_below_zero(found))


def tax_on(rate: Tax, net: Decimal, currency: str) -> Decimal:
    """Return the tax on an amount, each rate rounded: 5 and 9.98 of 100 at 5 % and 9.975 %."""
    return sum((round_amount(net * each.percent.scaleb(-2), currency) for each in rate.each), ZERO)


def taxes_in_overage(draft: Calculation) -> tuple[Taxed, ...]:
    """Return the tax inside the overage of debits by rate, each rounded once: 8 of 48 at 20 %."""
    sums: dict[Tax, Decimal] = {}
    for each in draft.overages:
        if each.tax_rate is not None:
            sums[each.tax_rate] = sums.get(each.tax_rate, ZERO) + each.amount
    found = []
    for rate, gross in sums.items():
        amounts = [proportion(gross, each.percent, 100 + rate.percent) for each in rate.each]
        if draft.is_rounded:
            amounts = [round_amount(amount, draft.currency) for amount in amounts]
        net = gross - sum(amounts, ZERO)
        found += [Taxed(each, net, amount) for each, amount in zip(rate.each, amounts, strict=True)]
    return together(found)


def together(*taxes: Sequence[Taxed]) -> tuple[Taxed, ...]:
    """Return one part a rate, in the order in which rates first come."""
    found: dict[Tax, Taxed] = {}
    for part in chain(*taxes):
        before = found.get(part.rate, Taxed(part.rate, ZERO, ZERO))
        found[part.rate] = Taxed(part.rate, before.net + part.net, before.amount + part.amount)
    return tuple(found.values())


def shares(draft: Calculation, total: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split an amount by weight, in whole cents where the document is rounded."""
    if not any(weights):
        return [ZERO for _ in weights]
    parts = split(total, weights)
    if not draft.is_rounded:
        return parts
    ends = [round_amount(end, draft.currency) for end in accumulate(parts)]
    return [end - before for before, end in pairwise([ZERO, *ends])]


def unrounded(draft: Calculation) -> Decimal:
    """Return the tax on all of the net, at all rates together, before it is rounded."""
    nets = _nets(draft).items()
    return sum((tax for group, net in nets for _, tax in _taxed(draft, group, net)), ZERO)


def described(part: Taxed) -> str:
    """Return the label of a rate with the net that it taxes, where a document has several."""
    return f"{part.rate.name}, {plain(part.rate.percent)} % of {plain(part.net)}"


def rate_of(draft: Calculation, line: CalculatedLine) -> Tax | None:
    """Return the rate at the tax point of a line: the first instant of the period that a fee in
    advance is for, else the last one of its cycle, which for late usage is the cycle in which it
    occurred.
    """
    if line.adjusts is not None:
        rates = {late.settlement: late.tax_rate for late in draft.late}
        rates |= {owed.settlement: owed.tax_rate for owed in draft.credits_owed}
        return rates.get(line.adjusts)
    return draft.ahead_tax_rate if line.in_advance else draft.tax_rate


def group_of(draft: Calculation, line: CalculatedLine) -> Group:
    """Return the group of a line; what settled cycles owe is net."""
    if line.adjusts is not None:
        return Group(rate_of(draft, line))
    is_inclusive = draft.ahead_tax_inclusive if line.in_advance else draft.tax_inclusive
    rate = rate_of(draft, line)
    return Group(rate, is_inclusive and rate is not None and rate.percent > 0)


def own_group(draft: Calculation) -> Group:
    """Return the group of the cycle itself."""
    return group_of(draft, CalculatedLine("", "", ZERO))


def before_and_off(draft: Calculation) -> dict[Group, tuple[Decimal, Decimal]]:
    """Return the amount of each group, the cycle's own first, and the part of the discount that is
    its own: it is spread over the lines that it applies to.
    """
    own = own_group(draft)
    amounts = {own: draft.subtotal - draft.adjusted}
    for line in draft.lines:
        group = group_of(draft, line)
        if line.adjusts is None and group != own:
            amounts[group] = amounts.get(group, ZERO) + line.amount
            amounts[own] -= line.amount
    off = _discounts(draft, amounts)
    off[own] = ZERO
    off[own] = draft.discount - sum(off.values(), ZERO)
    return {group: (amount, off[group]) for group, amount in amounts.items()}


def _taxed(draft: Calculation, group: Group, net: Decimal) -> list[tuple[Tax, Decimal]]:
    """Return the tax on a net of a group by rate, exact, or as it was taken out of the prices."""
    rates = () if group.rate is None else group.rate.each
    if draft.nets is None or not group.inside:
        return [(rate, net * rate.percent.scaleb(-2)) for rate in rates]
    whole = draft.nets[group]
    taken = (proportion(tax, net, whole.net) for tax in whole.taken_out)
    return list(zip(rates, taken, strict=True))


def _nets(draft: Calculation) -> dict[Group, Decimal]:
    """Sum the net by group, the cycle's own first."""
    if draft.nets is None:
        nets = {group: amount - off for group, (amount, off) in before_and_off(draft).items()}
    else:
        nets = {group: each.net for group, each in draft.nets.items()}
    for line in draft.lines:
        if line.adjusts is not None:
            group = group_of(draft, line)
            nets[group] = nets.get(group, ZERO) + line.amount
    own = own_group(draft)
    nets[own] = ZERO
    nets[own] = draft.subtotal - draft.discount - sum(nets.values(), ZERO)
    return {group: net for group, net in nets.items() if net != 0}


def _discounts(draft: Calculation, amounts: Mapping[Group, Decimal]) -> dict[Group, Decimal]:
    """Return the part of the discount in each group; the cycle's own has the rest."""
    found = dict.fromkeys(amounts, ZERO)
    if draft.discount == 0:
        return found
    if draft.discounted is None:
        return dict(zip(amounts, split(draft.discount, list(amounts.values())), strict=True))
    for line in draft.lines:
        if line.charge in draft.discounted and line.adjusts is None and line.charge:
            found[group_of(draft, line)] += line.amount - draft.discounted[line.charge]
    return found


def _not_below_zero(taxes: Sequence[Taxed]) -> Sequence[Taxed]:
    """Move the last places that rounding by rate may leave below zero to the greatest tax."""
    short = -sum((part.amount for part in taxes), ZERO)
    if short <= 0:
        return taxes
    greatest = max(range(len(taxes)), key=lambda n: taxes[n].amount)
    return [
        replace(part, amount=part.amount + short) if n == greatest else part
        for n, part in enumerate(taxes)
    ]


def _note(part: Taxed) -> str:
    where = f" ({part.rate.jurisdiction})" if part.rate.jurisdiction else ""
    return f"{part.rate.name}{where}: {plain(part.rate.percent)} % of {plain(part.net)}."
