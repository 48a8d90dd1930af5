"""Stage 9."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, divide, floor_amount, plain, proportion, round_amount
from billing.pipeline.draft import Draft, Line, Payer, traced
from billing.pipeline.tax import tax_on
from wallets.waterfall import Allocation, Lot, allocate, in_burn_order


def route(draft: Draft) -> Draft:
    """Let money credits pay in burn order, and send the rest where the billing mode says.

    Needs: subtotal, discount, tax, overages, money_lots, money_order. Gives: money_burns, payers,
    from_wallet, to_invoice, arrears, the TAX, OVERAGE and final ROUNDING lines, and the final tax
    and total. Keeps: total = from_wallet + to_invoice + arrears; the lines sum to the total.
    """
    order = tuple(
        kind
        for kind in draft.money_order
        if not (draft.billing_mode == "POSTPAID" and kind == "CASH")
    )
    net = draft.subtotal - draft.discount
    promo = _promo_part(draft, net, order)
    tax = tax_on(draft, net - promo)
    total = net + tax + draft.overage
    if draft.is_rounded:
        total = round_amount(total, draft.currency)
    burns = _burns(draft, total, promo, order)
    covered = sum((burn.quantity for burn in burns), ZERO)
    rest = total - covered
    to_invoice, arrears = (ZERO, rest) if draft.billing_mode == "PREPAID" else (rest, ZERO)
    from_wallet = {
        kind: sum((burn.quantity for burn in burns if burn.kind == kind), ZERO)
        for kind in ("PROMO", "BONUS", "CASH")
    }
    settled = replace(
        draft,
        tax=tax,
        total=total,
        lines=(*draft.lines, *_last_lines(draft, net=net, tax=tax, total=total)),
        rounding=draft.rounding + total - (net + tax + draft.overage),
        money_burns=burns,
        from_wallet=from_wallet,
        to_invoice=to_invoice,
        arrears=arrears,
    )
    settled = replace(settled, payers=_payers(settled, tax))
    return traced(
        settled,
        "Route",
        given={"total": total},
        found={**from_wallet, "to_invoice": to_invoice, "arrears": arrears},
        notes=[f"{plain(burn.quantity)} from {burn.kind} lot {burn.lot}." for burn in burns]
        or ["No money credits paid."],
    )


def _promo_part(draft: Draft, net: Decimal, order: Sequence[str]) -> Decimal:
    """Give how much of the net amount promo money pays, which is then not taxed.

    Where paid kinds come first, they pay gross; promo takes what they leave of the net.
    """
    if draft.tax_rate is None or "PROMO" not in order:
        return ZERO
    promo = sum((lot.available for lot in draft.money_lots if lot.kind == "PROMO"), ZERO)
    ahead = order[: order.index("PROMO")]
    paid_first = sum((lot.available for lot in draft.money_lots if lot.kind in ahead), ZERO)
    gross_rate = 1 + draft.tax_rate.percent.scaleb(-2)
    left = net - min(net, divide(paid_first, gross_rate))
    return min(promo, left)


def _burns(
    draft: Draft, total: Decimal, promo: Decimal, order: Sequence[str]
) -> tuple[Allocation, ...]:
    """Allocate the total; where something goes to an invoice, trim so that it is whole cents."""
    lots: list[Lot] = list(draft.money_lots)
    if draft.tax_rate is not None:
        lots = _limited(lots, "PROMO", promo + draft.overage, order)
    burns = list(allocate(lots, total, order).allocations)
    covered = sum((burn.quantity for burn in burns), ZERO)
    if not draft.is_rounded or covered == total:
        return tuple(burns)
    excess = covered - floor_amount(covered, draft.currency)
    while excess > 0:
        last = burns.pop()
        kept = last.quantity - min(excess, last.quantity)
        excess -= last.quantity - kept
        if kept > 0:
            burns.append(replace(last, quantity=kept))
    return tuple(burns)


def _limited(lots: Sequence[Lot], kind: str, limit: Decimal, order: Sequence[str]) -> list[Lot]:
    """Offer no more of one kind than `limit`, in burn order."""
    offered = []
    for lot in in_burn_order(lots, order):
        available = min(lot.available, limit) if lot.kind == kind else lot.available
        if lot.kind == kind:
            limit -= available
        if available > 0:
            offered.append(replace(lot, available=available))
    return offered


def _last_lines(draft: Draft, *, net: Decimal, tax: Decimal, total: Decimal) -> list[Line]:
    lines = []
    if tax != 0 and draft.tax_rate is not None:
        lines.append(Line("TAX", draft.tax_rate.name, tax))
    lines += [
        Line("OVERAGE", f"Overage of debit {overage.debit}", overage.amount)
        for overage in draft.overages
    ]
    residue = total - (net + tax + draft.overage)
    if residue != 0:
        lines.append(Line("ROUNDING", "Rounding", residue))
    return lines


def _payers(draft: Draft, tax: Decimal) -> tuple[Payer, ...]:
    """Say what each payer's part holds of net and tax: promo none, the others the same share.

    The last one takes the remainder, so that the parts sum to the tax.
    """
    parts: list[tuple[str, Decimal, Allocation | None]] = [
        (burn.kind, burn.quantity, burn) for burn in draft.money_burns
    ]
    parts += [
        (kind, amount, None)
        for kind, amount in (("INVOICE", draft.to_invoice), ("ARREARS", draft.arrears))
        if amount > 0
    ]
    taxed = [n for n, (kind, _, _) in enumerate(parts) if kind != "PROMO"]
    whole = sum((parts[n][1] for n in taxed), ZERO)
    payers, left = [], tax
    for n, (kind, gross, burn) in enumerate(parts):
        share = ZERO
        if n in taxed:
            share = left if n == taxed[-1] else proportion(tax, gross, whole)
            share = min(share, gross)
            left -= share
        payers.append(Payer(kind, gross, gross - share, share, burn.lot if burn else None))
    return tuple(payers)
