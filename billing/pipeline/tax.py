"""Stage 8."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, plain, round_amount, to_books
from billing.pipeline.draft import Draft, traced


def tax_on(draft: Draft, net: Decimal) -> Decimal:
    """Give the tax on a net amount, rounded once, as the document is."""
    if draft.tax_rate is None:
        return ZERO
    exact = net * draft.tax_rate.percent.scaleb(-2)
    return round_amount(exact, draft.currency) if draft.is_rounded else to_books(exact)


def tax(draft: Draft) -> Draft:
    """Tax the net amount by the customer's jurisdiction.

    Needs: subtotal, discount, tax_rate. Gives: tax, total; Route lowers both where promo money
    pays, which is a reduction of the price (DECISIONS 32). Keeps: total = net + tax + overage.
    """
    net = draft.subtotal - draft.discount
    owed = tax_on(draft, net)
    note = "No tax rate applies."
    if draft.tax_rate is not None:
        where = f" ({draft.tax_rate.jurisdiction})" if draft.tax_rate.jurisdiction else ""
        rate = plain(draft.tax_rate.percent)
        note = f"{draft.tax_rate.name}{where}: {rate} % of {plain(net)}."
    return traced(
        replace(draft, tax=owed, total=net + owed + draft.overage),
        "Tax",
        given={"net": net},
        found={"tax": owed},
        notes=[note],
    )
