"""Plans whose prices contain the tax, through documents, books, real time and month ends."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import AdvanceFee, Invoice, MonthEnd, Settlement, Subscription
from ledger.models import Book
from pricing.offerings import coupons
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.invoicing.taxing import quebec, rate
from tests.factories import FEBRUARY, MARCH, START, advance, meter
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
INCLUSIVE = {"tax_inclusive": True}


def fee(amount: str, timing: str = "ARREARS") -> dict[str, Any]:
    return {"code": "fee", "model": "FLAT_RATE", "timing": timing, "terms": {"flat_fee": amount}}


def usage(price: str) -> dict[str, Any]:
    return {"code": "calls", "model": "PER_UNIT", "metric": "tokens",
            "terms": {"unit_price": price}}  # fmt: skip


def subscribed(mode: str, *charges: dict[str, Any], country: str = "DE", **plan: Any) -> Book:
    if country == "DE":
        rate("MwSt", "19", "DE")
    spec = INCLUSIVE | plan.pop("spec", {})
    return factories.subscribed(mode, charges=charges, country=country, spec=spec, **plan)


def figures(invoice: Invoice) -> tuple[Decimal, ...]:
    return (invoice.subtotal, invoice.discount, invoice.tax, invoice.total.amount)


@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
def test_an_invoice_of_a_price_of_119_is_100_and_19(mode: str, api: APIClient) -> None:
    book = subscribed(mode, fee("119"))

    advance(book, FEBRUARY)

    assert figures(Invoice.objects.get()) == (100, 0, 19, 119)
    (shown,) = api.get("/v1/invoices").json()["data"]
    assert [(line["kind"], line["description"], line["amount"]) for line in shown["lines"]] == [
        ("FEE", "fee, 119.00 with tax", "100"),
        ("TAX", "MwSt", "19"),
    ]
    assert (-factories.posted("4030"), -factories.posted("2300")) == (100, 19)
    assert [(row["base"], row["charged"]) for row in rows("tax", "2026-02")] == [(100, 19)]
    assert verification.verify().ok


def test_credits_pay_the_price_and_earn_the_net() -> None:
    book = subscribed("PREPAID", usage("0.99"), money="50")
    meter(10, START)

    advance(book, FEBRUARY)

    assert factories.available(book) == D("40.1")
    assert -factories.posted("2300") == D("1.580672268908")
    assert verification.verify().ok


def test_usage_in_real_time_costs_its_price(api: APIClient) -> None:
    """10 x .99 at once are 9.90, and the settlement owes no more."""
    book = subscribed("PREPAID", usage("0.99"), money="50")
    ask = {"customer_id": "cust_1", "metric": "tokens", "quantity": "10"}
    checked = api.post("/v1/wallets/check", ask).json()

    answer = api.post("/v1/usage/debit", {**ask, "idempotency_key": "a"})

    assert answer.json()["amount"] == "9.9"
    assert [each["amount"] for each in checked["allocations"]] == ["9.9"]
    advance(book, FEBRUARY)
    assert factories.available(book) == D("40.1")
    assert Settlement.objects.get().arrears == 0
    assert verification.verify().ok


def test_two_rates_on_one_invoice_of_a_price() -> None:
    quebec()
    book = subscribed("HYBRID", fee("114.98"), country="CA")
    customer = book.customer
    customer.region = "QC"
    customer.save(update_fields=["region"])

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get()
    assert figures(invoice) == (100, 0, D("14.98"), D("114.98"))
    assert [line.amount for line in invoice.lines.filter(kind="TAX")] == [5, D("9.98")]
    assert verification.verify().ok


def test_fees_in_advance_are_earned_without_the_tax() -> None:
    """Of 119 for January, 100 are earned by its days; the credits of 60 come out of the 100. They
    pay 60 of February's 100, and were taxed: 40 and 7.60 are left.
    """
    cash = {"kind": "CASH", "amount": D(60), "recurrence": "EVERY_CYCLE"}
    book = subscribed("HYBRID", fee("119", "ADVANCE"), grants=[cash])

    advance(book, FEBRUARY)

    fees = AdvanceFee.objects.order_by("starts_at")
    assert [(each.amount, each.recognised) for each in fees] == [(40, 40), (40, 0)]
    assert [lot.carrying for lot in CreditLot.objects.all()] == [60, 60]
    assert [figures(each) for each in Invoice.objects.order_by("starts_at")] == [
        (100, 0, 19, 119),
        (100, 0, D("7.6"), D("107.6")),
    ]
    assert verification.verify().ok


def test_fees_in_arrears_accrue_without_the_tax() -> None:
    """16 of 31 days of 119 are 61.42, of which 9.81 are tax."""
    rate("MwSt", "19", "DE")
    factories.offering(charges=[fee("119")], spec=INCLUSIVE)
    book = factories.clocked_customer(now=START + 15 * DAY, country="DE")
    factories.subscription("cust_1")

    advance(book, FEBRUARY)

    assert MonthEnd.objects.get().fees == D("51.61")
    advance(book, FEBRUARY + 15 * DAY)
    assert figures(Invoice.objects.get()) == (100, 0, 19, 119)
    assert verification.verify().ok


def test_late_usage_is_billed_at_its_price() -> None:
    """One more at 1.19 in January is 1 net and .19 on February's invoice."""
    book = subscribed("HYBRID", usage("1.19"))
    meter(100, START)
    advance(book, FEBRUARY + DAY)
    meter(1, START, "late")

    advance(book, MARCH)

    first, second = Invoice.objects.order_by("starts_at")
    assert (figures(first), figures(second)) == ((100, 0, 19, 119), (1, 0, D("0.19"), D("1.19")))
    assert verification.verify().ok


def test_a_fixed_coupon_is_used_up_by_prices() -> None:
    """150 take 119 off a price of 119: what is used of it is counted with the tax."""
    coupons.create_coupon(
        livemode=False, code="FIX", type="FIXED", value=D(150), currency="USD", duration="ONCE"
    )
    rate("MwSt", "19", "DE")
    book = factories.subscribed(
        "HYBRID", charges=[fee("119")], country="DE", spec=INCLUSIVE, coupon="FIX"
    )

    advance(book, FEBRUARY)

    assert figures(Invoice.objects.get()) == (100, 100, 0, 0)
    totals: Any = Settlement.objects.get().totals
    assert totals["coupons"] == [{"code": "FIX", "amount": "119", "period": 0}]
    assert verification.verify().ok


def test_fees_of_the_next_plan_are_taxed_as_that_one_has_it(api: APIClient) -> None:
    """January's plan bills 50 net in arrears; February's 119 with its tax, of its own class, in
    advance: 50 + 9.50 and 111.21 + 7.79 (7 %).
    """
    rate("MwSt", "7", "DE", product_class="book")
    spec = {**INCLUSIVE, "tax_class": "book"}
    factories.offering("books", charges=[fee("119", "ADVANCE")], spec=spec)
    book = subscribed("HYBRID", fee("50"), spec={"tax_inclusive": False})
    found = Subscription.objects.get()
    asked = {"offering": "books", "at": "PERIOD_END", "reason": "Reads"}
    assert api.post(f"/v1/subscriptions/{found.pk}/migrate", asked).status_code == 200

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get()
    assert figures(invoice) == (D("161.21"), 0, D("17.29"), D("178.5"))
    assert [line.description for line in invoice.lines.filter(kind="TAX")] == [
        "MwSt, 19 % of 50",
        "MwSt, 7 % of 111.21",
    ]
    assert AdvanceFee.objects.get().amount == D("111.21")
    assert verification.verify().ok


@pytest.mark.parametrize("is_inclusive", [True, False])
def test_a_minimum_that_is_owed_with_its_tax_does_not_suspend(is_inclusive: bool) -> None:
    """A shortfall of 119, tax included either way, is no more than the minimum's own."""
    minimum = "119" if is_inclusive else "100"
    spec = {"minimum_spend": minimum, "tax_inclusive": is_inclusive}
    book = subscribed("PREPAID", usage("1"), spec=spec)

    advance(book, FEBRUARY)

    assert Settlement.objects.get().arrears == 119
    assert Subscription.objects.get().status == "ACTIVE"


def test_a_change_in_the_middle_of_a_period_gives_net_and_tax_back(api: APIClient) -> None:
    """Half of January is left: 59.50 of 119 is owed, and 119 of 238 is billed: 50 and 9.50 more."""
    factories.offering("more", charges=[fee("238", "ADVANCE")], spec=INCLUSIVE)
    book = subscribed("HYBRID", fee("119", "ADVANCE"))
    advance(book, START + 15 * DAY + timedelta(hours=12))
    found = Subscription.objects.get()

    asked = {"offering": "more", "at": "NOW"}
    assert api.post(f"/v1/subscriptions/{found.pk}/migrate", asked).status_code == 200

    latest = Invoice.objects.order_by("starts_at", "created_at").last()
    assert latest is not None
    assert figures(latest) == (50, 0, D("9.5"), D("59.5"))
    lines = [(line.kind, line.amount) for line in latest.lines.order_by("position")]
    assert lines == [("FEE", 100), ("ADJUSTMENT", -50), ("TAX", D("9.5"))]
    assert verification.verify().ok
