"""Stage 9 decides who pays."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, plain, round_amount
from billing.calculation.calculation import CalculatedLine, Calculation, traced
from billing.calculation.credit_application import burns, by_kind, payers, promo_part
from billing.calculation.stages.tax import described, taxes_on


def route(draft: Calculation) -> Calculation:
    """Pay from money credits in burn order, and route the rest to the invoice or the arrears by the
    billing mode.

    Needs: subtotal, discount, tax, overages, money_lots, kept_money, money_order. Gives:
    money_burns, payers, from_wallet, to_invoice, arrears, the TAX, OVERAGE and final ROUNDING
    lines, and the final tax and total. Keeps: total = from_wallet + to_invoice + arrears; the
    lines sum to the total.
    """
    net = draft.subtotal - draft.discount
    promo = promo_part(draft, net)
    billed = _billed(draft, net - promo)
    spent = by_kind(billed.money_burns)
    if spent["PROMO"] < promo and sum(spent.values(), ZERO) < billed.total:
        # Trimming to whole cents cut promo's own burn: what it left to the invoice is taxed. Where
        # credits cover all, only rounding parts the two: .0045 of tax on bonus credits is none.
        billed = _billed(draft, net - spent["PROMO"])
    from_wallet = by_kind(billed.money_burns)
    rest = billed.total - sum(from_wallet.values(), ZERO)
    to_invoice, arrears = (ZERO, rest) if draft.billing_mode == "PREPAID" else (rest, ZERO)
    residue = billed.total - (net + billed.tax + draft.overage)
    settled = replace(
        billed,
        lines=(*draft.lines, *_last_lines(billed, residue)),
        rounding=draft.rounding + residue,
        from_wallet=from_wallet,
        to_invoice=to_invoice,
        arrears=arrears,
    )
    return traced(
        replace(settled, payers=payers(settled)),
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
    taxes = taxes_on(draft, taxable)
    tax = sum((part.amount for part in taxes), ZERO)
    total = draft.subtotal - draft.discount + tax + draft.overage
    if draft.is_rounded:
        total = round_amount(total, draft.currency)
    return replace(draft, taxes=taxes, tax=tax, total=total, money_burns=burns(draft, total))


def _last_lines(draft: Calculation, residue: Decimal) -> list[CalculatedLine]:
    owing = [part for part in draft.taxes if part.amount != 0]
    lines = [CalculatedLine("TAX", part.rate.name, part.amount) for part in owing]
    if len(owing) > 1:
        lines = [
            replace(line, description=described(part))
            for line, part in zip(lines, owing, strict=True)
        ]
    lines += [
        CalculatedLine("OVERAGE", f"Overage of debit {overage.debit}", overage.amount)
        for overage in draft.overages
    ]
    if residue != 0:
        lines.append(CalculatedLine("ROUNDING", "Rounding", residue))
    return lines
