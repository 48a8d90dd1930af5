"""Stage 9 decides who pays."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO, plain, proportion, round_amount
from billing.calculation.calculation import CalculatedLine, Calculation, Taxed, changed, traced
from billing.calculation.credit_application import (
    bonus_in,
    burns,
    by_kind,
    paid_net,
    payers,
    untaxed_part,
)
from billing.calculation.stages.tax import (
    described,
    shares,
    taxes_in_overage,
    taxes_on,
    together,
)


def route(draft: Calculation) -> Calculation:
    """Pay from money credits in burn order, and route the rest to the invoice or the arrears by the
    billing mode.

    Needs: subtotal, discount, tax, overages, money_lots, kept_money, considerations, money_order.
    Gives: money_burns, payers, from_wallet, to_invoice, arrears, bonus, the TAX, BONUS, OVERAGE and
    final ROUNDING lines, and the final tax and total. Keeps: total = from_wallet + to_invoice +
    arrears; the lines sum to the total.
    """
    net = draft.subtotal - draft.discount
    untaxed = untaxed_part(draft, net)
    billed = _billed(draft, net - untaxed)
    covered = sum((burn.quantity for burn in billed.money_burns), ZERO)
    if paid_net(billed) < untaxed and covered < billed.total:
        # Trimming to whole cents cut promo's own burn: what it left to the invoice is taxed. Where
        # credits cover all, only rounding parts the two: .0045 of tax on bonus credits is none.
        untaxed = paid_net(billed)
        billed = _billed(draft, net - untaxed)
    from_wallet = by_kind(billed.money_burns)
    rest = billed.total - sum(from_wallet.values(), ZERO)
    to_invoice, arrears = (ZERO, rest) if draft.billing_mode == "PREPAID" else (rest, ZERO)
    paid = changed(billed, from_wallet=from_wallet, to_invoice=to_invoice, arrears=arrears)
    owing = _owing(changed(paid, payers=payers(paid, untaxed)))
    lines, residue = _last_lines(owing, net)
    settled = changed(owing, lines=(*draft.lines, *lines), rounding=draft.rounding + residue)
    return traced(
        settled,
        "Route",
        given={"total": settled.total},
        found={**from_wallet, "to_invoice": to_invoice, "arrears": arrears},
        notes=[
            f"{plain(burn.quantity)} from {burn.kind} lot {burn.lot}."
            for burn in settled.money_burns
        ]
        or ["No money credits paid."],
    )


def _billed(draft: Calculation, taxable: Decimal) -> Calculation:
    """Tax a part of the net, add up the total, and allocate it to the lots."""
    on_net = taxes_on(draft, taxable)
    taxes = together(on_net, taxes_in_overage(draft))
    total = draft.subtotal - draft.discount + draft.overage
    total += sum((part.amount for part in on_net), ZERO)
    if draft.is_rounded:
        total = round_amount(total, draft.currency)
    tax = sum((part.amount for part in taxes), ZERO)
    return changed(draft, taxes=taxes, tax=tax, total=total, money_burns=burns(draft, total))


def _owing(draft: Calculation) -> Calculation:
    """Lower the tax by what its payers do not owe, and each rate's base with it."""
    exact = bonus_in(draft)
    if exact == 0:
        return draft
    bonus = round_amount(exact, draft.currency) if draft.is_rounded else exact
    less = shares(draft, bonus, [part.amount for part in draft.taxes])
    taxes = []
    for part, unpaid in zip(draft.taxes, less, strict=True):
        base = part.net - proportion(part.net, exact, draft.tax)
        if draft.is_rounded:
            base = round_amount(base, draft.currency)
        taxes.append(Taxed(part.rate, base, part.amount - unpaid))
    return changed(
        draft,
        taxes=tuple(taxes),
        tax=draft.tax - bonus,
        bonus=bonus,
        bonus_residue=exact - bonus,
    )


def _last_lines(draft: Calculation, net: Decimal) -> tuple[list[CalculatedLine], Decimal]:
    """Return the lines after the net, and the residue of rounding them to the total."""
    owing = [part for part in draft.taxes if part.amount != 0]
    lines = [CalculatedLine("TAX", part.rate.name, part.amount) for part in owing]
    if len(owing) > 1:
        lines = [
            replace(line, description=described(part))
            for line, part in zip(lines, owing, strict=True)
        ]
    if draft.bonus != 0:
        lines.append(CalculatedLine("BONUS", "Face of credits beyond what was paid", draft.bonus))
    lines += [
        CalculatedLine("OVERAGE", f"Overage of debit {debit}", amount)
        for debit, amount in _overages(draft)
    ]
    residue = draft.total - net - sum((line.amount for line in lines), ZERO)
    if residue != 0:
        lines.append(CalculatedLine("ROUNDING", "Rounding", residue))
    return lines, residue


def _overages(draft: Calculation) -> list[tuple[UUID, Decimal]]:
    """Return the overage of each debit without the tax inside."""
    net = {each.debit: each.amount for each in draft.overages}
    for part in taxes_in_overage(draft):
        mine = [
            o for o in draft.overages if o.tax_rate is not None and part.rate in o.tax_rate.each
        ]
        inside = shares(draft, part.amount, [each.amount for each in mine])
        for each, tax in zip(mine, inside, strict=True):
            net[each.debit] -= tax
    return list(net.items())
