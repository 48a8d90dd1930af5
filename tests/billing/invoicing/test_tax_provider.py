"""Who says which rate a customer is taxed by: the table, or another source in its place."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from django.conf import LazySettings

from billing.calculation.calculation import Tax
from billing.finance import verification
from billing.invoicing.tax_provider import RateTable, TaxProvider, tax_rate_of
from billing.models import Customer, Invoice
from tests import factories
from tests.billing.invoicing.taxing import fee, rate
from tests.factories import FEBRUARY, START, advance

pytestmark = pytest.mark.django_db


class Everywhere:
    """7 % for everybody, 3 % of books."""

    def rate_of(self, customer: Customer, at: datetime, product_class: str) -> Tax | None:
        """Return the rate of a class of products."""
        return Tax("Flat", Decimal(3 if product_class == "ebook" else 7), customer.country)


def test_the_table_answers_by_itself() -> None:
    rate("VAT", "20", "EE")
    customer = factories.clocked_customer(country="EE").customer

    found = tax_rate_of(customer, START)

    table: TaxProvider = RateTable()
    assert found == table.rate_of(customer, START, "") == Tax("VAT", Decimal(20), "EE")


def test_another_one_takes_its_place(settings: LazySettings) -> None:
    settings.TAX_PROVIDER = f"{__name__}.Everywhere"
    rate("VAT", "20", "EE")
    book = factories.subscribed(
        "HYBRID", country="EE", charges=[fee("100")], spec={"tax_class": "ebook"}
    )

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get()
    assert (invoice.tax, invoice.amount_due) == (3, 103)
    assert [line.description for line in invoice.lines.filter(kind="TAX")] == ["Flat"]
    assert verification.verify().ok
