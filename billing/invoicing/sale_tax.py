"""Tax on top of what is sold: credits under tax at sale."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from aforo.money import ZERO, plain
from billing.calculation import presentation
from billing.calculation.stages.tax import tax_on
from billing.invoicing.tax_provider import tax_rate_of
from billing.models import Customer
from ledger.models import Book
from wallets.models import TopUp


def on_top(
    book: Book, net: Decimal, currency: str, product_class: str, now: datetime
) -> tuple[Decimal, dict[str, object] | None]:
    """Return the tax on top of what is sold to a customer now, each rate rounded, and the rate."""
    customer = Customer.objects.filter(book=book).first()
    rate = None if customer is None else tax_rate_of(customer, now, product_class)
    if rate is None:
        return ZERO, None
    return tax_on(rate, net, currency), presentation.rate_json(rate)


def stated(top_up: TopUp) -> list[dict[str, Any]]:
    """Return each rate with its net and its tax, as the document of a sale states them."""
    if top_up.tax_rate is None:
        return []
    rate = presentation.rate_of_json(top_up.tax_rate)
    return [
        {
            **presentation.rate_json(each),
            "net": plain(top_up.amount),
            "tax": plain(tax_on(each, top_up.amount, top_up.currency)),
            **({"on_top": "yes"} if each.on_top else {}),
        }
        for each in rate.each
    ]
