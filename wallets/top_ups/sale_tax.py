"""Tax at sale: credits that are taxed when they are bought, and pay net (docs/decisions.md#d44)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from aforo import money
from aforo.money import ZERO
from ledger.models import Book
from pricing.catalogue import TopUpTerms
from wallets import port
from wallets.lots.tax_rates import rate_of_json
from wallets.models import CreditLot, TopUp


@dataclass(frozen=True, slots=True)
class Returned:
    """What goes back of one top-up: its lots, and net and tax in money."""

    top_up: TopUp
    lots: list[CreditLot]
    net: Decimal
    tax: Decimal


def of_order(
    *, book: Book, amount: Decimal, currency: str, terms: TopUpTerms, now: datetime
) -> dict[str, Any]:
    """Return what a top-up keeps of its tax: 100 at 20 % charges 120. Empty where credits are taxed
    as they are used.
    """
    if not terms.tax_at_sale:
        return {}
    tax, rate = port.billing().sale_tax(book, amount, currency, terms.tax_class, now)
    return {"taxed_at_sale": True, "tax": tax, "tax_rate": rate}


def facts(top_up: TopUp, lots: Iterable[CreditLot]) -> dict[str, Any]:
    """Return how an entry names the tax of lots that are sold, or taken back."""
    if top_up.tax_rate is None:
        return {}
    return {
        **rate_of_json(top_up.tax_rate).facts,
        "taxed_lots": [str(lot.id) for lot in lots],
    }


def of_several(parts: Iterable[Returned]) -> dict[str, Any]:
    """Return how an entry names the tax of several top-ups, each rate with its part."""
    taxed = [part for part in parts if part.top_up.tax_rate is not None]
    if not taxed:
        return {}
    found = [facts(part.top_up, part.lots) for part in taxed]
    named = {**found[0], "taxed_lots": [lot for each in found for lot in each["taxed_lots"]]}
    if all(each["tax_code"] == named["tax_code"] for each in found):
        return named
    names = ("tax_code", "tax_percent", "jurisdiction")
    named["taxes"] = [
        {
            **{name: each[name] for name in names},
            "net": money.plain(part.net),
            "tax": money.plain(part.tax),
        }
        for each, part in zip(found, taxed, strict=True)
    ]
    return named


def of_part(top_up: TopUp, net: Decimal) -> Decimal:
    """Return the tax in a part of what was paid, as its currency can pay it: 8 of 20 with 40 of
    100.
    """
    if top_up.tax == 0:
        return ZERO
    exact = money.proportion(top_up.tax, net, top_up.amount)
    return min(money.round_amount(exact, top_up.currency), top_up.tax)
