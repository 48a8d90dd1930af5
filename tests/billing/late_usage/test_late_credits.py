"""What late usage makes cheaper is owed to the customer until it is used, or paid out."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing.finance import reports, verification
from billing.invoicing import payments
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import Invoice, LateCredit, Settlement, Subscription
from ledger.models import Book, Entry
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, posted

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
APRIL, JULY, AUGUST = (datetime(2026, month, 1, tzinfo=START.tzinfo) for month in (4, 7, 8))
VOLUME: list[dict[str, Any]] = [
    {"code": "calls", "model": "VOLUME", "metric": "tokens",
     "terms": {"tiers": [{"up_to": "1000", "unit_price": "0.010"},
                         {"up_to": None, "unit_price": "0.005"}]}},
]  # fmt: skip
AHEAD: dict[str, Any] = {
    "code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE",
}  # fmt: skip


def customer_of_volume(mode: str = "HYBRID", charges: Any = VOLUME, *, percent: int = 0) -> Book:
    factories.offering(billing_mode=mode, charges=charges)
    if percent:
        create_tax_rate(livemode=False, name="VAT", country="ES", percent=D(percent), now=START)
    return factories.clocked_customer(country="ES" if percent else "")


def two_euro_less(book: Book) -> None:
    """900 of January are 9.00 in time; with 500 late, 1,400 x .005 are 7.00."""
    factories.subscription("cust_1")
    meter(900, START)
    advance(book, FEBRUARY)
    meter(500, START + DAY)


def totals() -> list[str]:
    return [s.totals["total"] for s in Settlement.objects.filter(kind="CYCLE").order_by("cycle")]


def credit() -> tuple[D, D, D]:
    found = LateCredit.objects.get()
    return found.amount, found.used, found.paid_out


def cancel(api: APIClient) -> None:
    path = f"/v1/subscriptions/{Subscription.objects.get().pk}/cancel"
    assert api.post(path, {"at": "NOW"}).status_code == 200


def test_it_is_owed_when_it_is_found_and_used_as_far_as_a_document_reaches() -> None:
    book = customer_of_volume()
    two_euro_less(book)

    advance(book, MARCH)

    assert totals() == ["9", "0"]
    assert credit() == (2, 0, 0)
    assert (posted("2200"), posted("4020"), posted("1200")) == (-2, -7, 0)
    meter(150, MARCH)
    advance(book, APRIL)
    assert totals() == ["9", "0", "0"]
    assert credit() == (2, D("1.5"), 0)
    assert (posted("2200"), posted("4020"), posted("1200")) == (D("-0.5"), D("-8.5"), 0)
    assert verification.verify().ok


def test_the_report_of_late_items_names_it() -> None:
    book = customer_of_volume()
    two_euro_less(book)
    advance(book, MARCH)
    asked = reports.scope_of(livemode=False, now=MARCH, period="2026-02")

    (late,) = reports.find("late-items").make(asked).rows

    assert (late["occurred_at"], late["amount"], late["currency"]) == (FEBRUARY, -2, "USD")


def test_it_is_kept_however_long_nothing_is_billed() -> None:
    book = customer_of_volume()
    two_euro_less(book)
    advance(book, JULY)
    meter(500, JULY)

    advance(book, AUGUST)

    assert totals() == ["9", "0", "0", "0", "0", "0", "3"]
    assert credit() == (2, 2, 0)
    assert posted("2200") == 0


def test_its_tax_goes_back_with_the_document_at_its_own_rate() -> None:
    """2.00 at 10 % beside 500 x .010 at 20 %: 5.00 - 2.00 and 1.00 - .20 of tax."""
    book = customer_of_volume(percent=10)
    two_euro_less(book)
    advance(book, MARCH)
    create_tax_rate(
        livemode=False, name="VAT+", country="ES", percent=D(20), now=START, valid_from=MARCH
    )
    meter(500, MARCH)

    advance(book, APRIL)

    invoice = Invoice.objects.get(settlement__cycle=2)
    assert (invoice.subtotal, invoice.tax, invoice.amount_due) == (3, D("0.8"), D("3.8"))
    assert [(line.kind, line.amount) for line in invoice.lines.order_by("position")] == [
        ("USAGE", 5),
        ("ADJUSTMENT", -2),
        ("TAX", 1),
        ("TAX", D("-0.2")),
    ]
    assert (posted("2200"), posted("1200")) == (0, 0)
    assert verification.verify().ok


def test_lots_get_back_what_they_paid() -> None:
    book = customer_of_volume("PREPAID")
    factories.top_up("cust_1", "20")
    two_euro_less(book)
    assert factories.available(book) == 11

    advance(book, MARCH)

    assert factories.available(book) == 13
    assert (posted("4000"), posted("2200")) == (-7, 0)
    assert not LateCredit.objects.exists()
    assert verification.verify().ok


def test_what_was_invoiced_comes_before_what_lots_paid() -> None:
    """8.00 of cash and 1.00 invoiced: 1.00 is owed, 1.00 returns to the lot."""
    book = customer_of_volume("HYBRID")
    factories.top_up("cust_1", "8")
    two_euro_less(book)

    advance(book, MARCH)

    assert credit() == (1, 0, 0)
    assert factories.available(book) == 1
    assert verification.verify().ok


def test_open_arrears_are_lowered() -> None:
    book = customer_of_volume("PREPAID")
    factories.top_up("cust_1", "4")
    two_euro_less(book)

    advance(book, MARCH)

    settled = Settlement.objects.get(cycle=0)
    assert (settled.arrears, settled.arrears_paid) == (3, 0)
    assert not LateCredit.objects.exists()
    assert factories.available(book) == 0
    factories.top_up("cust_1", "10")
    assert factories.available(book) == 7
    assert verification.verify().ok


@pytest.mark.parametrize("is_paid", [False, True])
def test_it_is_paid_out_when_the_subscription_ends(api: APIClient, *, is_paid: bool) -> None:
    """Found by the last settlement itself: 2.00 and .20 of tax, off the open invoice, or back."""
    book = customer_of_volume(percent=10)
    two_euro_less(book)
    invoice = Invoice.objects.get()
    if is_paid:
        payments.pay(
            livemode=False,
            invoice=str(invoice.pk),
            amount=D("9.9"),
            reference="wire",
            key="wire",
        )
    advance(book, FEBRUARY + 10 * DAY)

    cancel(api)

    assert credit() == (2, 0, 2)
    invoice.refresh_from_db()
    assert (invoice.credited, invoice.returned) == ((0, D("2.2")) if is_paid else (D("2.2"), 0))
    assert posted("2210") == (D("-2.2") if is_paid else 0)
    assert posted("1100") == (0 if is_paid else D("7.7"))
    assert (posted("2200"), posted("2300"), posted("4020")) == (0, D("-0.7"), -7)
    note = Entry.objects.get(event="CREDIT_NOTE")
    assert (note.document["net"], note.document["tax"]) == ("2", "0.2")
    assert verification.verify().ok


def test_what_was_found_before_a_pause_is_paid_out_when_it_ends_in_it(api: APIClient) -> None:
    book = customer_of_volume()
    two_euro_less(book)
    advance(book, MARCH + DAY)
    path = f"/v1/subscriptions/{Subscription.objects.get().pk}/pause"
    assert api.post(path, {}).status_code == 200

    cancel(api)

    assert credit() == (2, 0, 2)
    assert posted("2200") == 0


def test_a_fee_in_advance_can_be_paid_with_it() -> None:
    """2.00 of the fee of 31.00 for March: 29.00 invoiced, 31.00 deferred and then earned."""
    book = customer_of_volume(charges=[*VOLUME, AHEAD])
    two_euro_less(book)

    advance(book, MARCH)

    assert totals() == ["40", "29"]
    assert (posted("2120"), posted("2200"), posted("1200")) == (-31, 0, 0)
    advance(book, APRIL)
    assert posted("4030") == -93
    assert verification.verify().ok


def test_a_correction_cannot_give_the_same_back_again(api: APIClient) -> None:
    """Of 9.00, 2.00 are owed already: 7.00 are left to be given back."""
    book = customer_of_volume()
    two_euro_less(book)
    advance(book, MARCH)
    path = f"/v1/settlements/{Settlement.objects.get(cycle=0).pk}/adjust"
    before = factories.everything()

    def ask(amount: str) -> Any:
        lines = [{"description": "Error", "amount": amount}]
        body = {"lines": lines, "reason": "test", "idempotency_key": f"adjust {amount}"}
        return api.post(path, body)

    refused = ask("-7.01")

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "exceeds_settlement")
    assert factories.everything() == before
    assert ask("-7").status_code == 201


def test_no_more_is_used_than_is_owed() -> None:
    book = customer_of_volume()
    two_euro_less(book)
    advance(book, MARCH)

    for name in ("used", "paid_out"):
        with (
            pytest.raises(IntegrityError, match="billing_latecredit_amounts"),
            transaction.atomic(),
        ):
            LateCredit.objects.update(**{name: D("2.01")})
