"""Rates of tax, and customers in their countries."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.customers import customers
from billing.invoicing import tax_rates
from billing.invoicing.tax_provider import tax_rate_of
from billing.models import Customer, TaxRate
from ledger.models import Book
from tests.factories import START


def rate(name: str, percent: str, country: str = "CA", **terms: Any) -> TaxRate:
    terms = {"valid_from": START, "livemode": False, **terms}
    return tax_rates.create_tax_rate(
        name=name, percent=Decimal(percent), country=country, now=START, **terms
    )


def fee(amount: str) -> dict[str, Any]:
    return {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": amount}}


def move(book: Book, country: str, region: str = "") -> Customer:
    return customers.update_customer(
        livemode=False, customer_id=book.key, changes={"country": country, "region": region}
    )


def in_force(at: datetime, product_class: str = "") -> tuple[str, str] | None:
    found = tax_rate_of(Customer.objects.get(), at, product_class)
    return None if found is None else (found.name, f"{found.percent:f}")


def quebec() -> None:
    rate("GST", "5")
    rate("QST", "9.975", region="QC", adds_to_country=True)
