"""Settled cycles corrected: who gets back, in which order, and who pays more
(docs/decisions.md#d36).

Tokens cost .002, taxed at 20 %. 50,000 of January are 100.00, with tax 120.00.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.finance.closing import tie_outs
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import Invoice, Settlement, SettlementAdjustment, Subscription
from ledger.models import Book, Entry
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, posted

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)


def lived(
    mode: str, *, cash: str = "0", promo: str = "0", taxed: bool = True, **terms: Any
) -> Book:
    """Return a book after a settled January with 50,000 tokens used."""
    if taxed:
        create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    factories.offering(billing_mode=mode)
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.subscription("cust_1")
    if D(promo):
        factories.grant("cust_1", promo, "PROMO", **terms)
    if D(cash):
        factories.top_up("cust_1", cash)
    advance(book, START + DAY)
    factories.meter(50_000, START + DAY, "january")
    advance(book, FEBRUARY)
    return book


def ask(api: APIClient, *amounts: str, key: str = "a", **changes: Any) -> Any:
    settlement = Settlement.objects.order_by("cycle")[0]
    body = {
        "lines": [{"description": f"Line {n}", "amount": each} for n, each in enumerate(amounts)],
        "reason": "outage",
        "idempotency_key": key,
    }
    body = {name: value for name, value in (body | changes).items() if value is not None}
    return api.post(f"/v1/settlements/{settlement.pk}/adjust", body)


def adjust(api: APIClient, *amounts: str, key: str = "a") -> dict[str, Any]:
    answer = ask(api, *amounts, key=key)
    assert answer.status_code == 201, answer.content
    read: dict[str, Any] = answer.json()
    parts = ("receivable", "customer_credit", "arrears", "wallet")
    assert sum(D(read[part]) for part in parts) == D(read["total"])
    assert verification.verify().ok
    ties = tie_outs.of_day(livemode=False, until=date(2099, 12, 31))
    assert [tie for tie in ties if not tie.holds] == []
    return read


def where(read: dict[str, Any]) -> list[str]:
    parts = ("receivable", "customer_credit", "arrears", "wallet")
    return [read["total"], read["tax"], *(read[part] for part in parts)]


def pay(api: APIClient, amount: str) -> None:
    number = Invoice.objects.order_by("created_at")[0].number
    body = {"amount": amount, "reference": "wire", "idempotency_key": f"pay {amount}"}
    assert api.post(f"/v1/invoices/{number}/pay", body).status_code == 200


def test_open_first_then_what_was_paid_then_lots(api: APIClient) -> None:
    """Cash 60.00 paid half: 120.00 less 60.00 on the invoice, of which 24.00 are paid.

    80.00 before tax come back as 96.00: 36.00 open, 24.00 paid, and 36.00 of the cash. The next
    20.00 are the last 24.00 of it.
    """
    lived("HYBRID", cash="60")
    pay(api, "24")

    read = adjust(api, "-50", "-30")

    assert where(read) == ["-96", "-16", "-36", "-24", "0", "-36"]
    assert [(a["kind"], a["amount"], a["balance_after"]) for a in read["allocations"]] == [
        ("CASH", "36", "36"),
    ]  # fmt: skip
    invoice = api.get(f"/v1/invoices/{Invoice.objects.get().number}").json()
    assert [invoice[name] for name in ("status", "amount_due", "paid", "credited", "returned")] == [
        "PAID", "60", "24", "36", "24",
    ]  # fmt: skip
    assert invoice["open"] == "0"
    # 36 + 24 gross are 50 of revenue and 10 of tax; 36 of cash hold 6 of tax.
    assert (posted("1100"), posted("2210"), posted("4910")) == (0, -24, 50)
    assert (posted("2300"), posted("2100"), posted("4000")) == (-4, -36, -20)
    assert where(adjust(api, "-20", key="b")) == ["-24", "-4", "0", "0", "0", "-24"]
    assert posted("2300") == 0
    before = factories.everything()
    refused = ask(api, "-0.01", key="c")
    assert (refused.status_code, refused.json()["code"]) == (422, "exceeds_settlement")
    assert factories.everything() == before


def test_the_invoice_can_be_paid_as_far_as_it_is_open(api: APIClient) -> None:
    """Of 120.00, 36.00 are taken off; 84.00 pay the rest, and 1.00 more is unapplied."""
    lived("HYBRID")
    assert where(adjust(api, "-30")) == ["-36", "-6", "-36", "0", "0", "0"]
    assert Invoice.objects.get().status == "OPEN"

    pay(api, "85")

    assert Invoice.objects.get().status == "PAID"
    assert (posted("1100"), posted("2220")) == (0, -1)
    # All of it was paid by now: what comes back is the customer's credit.
    assert where(adjust(api, "-70", key="b")) == ["-84", "-14", "0", "-84", "0", "0"]


def test_lots_get_back_last_burned_first_each_with_its_own_tax(api: APIClient) -> None:
    """Promo 20.00 pays untaxed: 80.00 are taxed, 96.00 of cash. 90.00: 80.00 of cash, 10.00."""
    lived("PREPAID", cash="200", promo="20")

    read = adjust(api, "-90")

    assert where(read) == ["-106", "-16", "0", "0", "0", "-106"]
    assert [(a["kind"], a["amount"]) for a in read["allocations"]] == [
        ("CASH", "96"), ("PROMO", "10"),
    ]  # fmt: skip
    assert (posted("2100"), posted("4000"), posted("2300")) == (-200, 0, 0)


def test_arrears_are_lowered_first_and_what_is_paid_up_runs_again(api: APIClient) -> None:
    """Cash 60.00 of 120.00: 60.00 are owed, 50.00 before tax. 55.00: all of it and 6.00 of cash."""
    lived("PREPAID", cash="60")
    assert Subscription.objects.get().status == "SUSPENDED"

    read = adjust(api, "-55")

    assert where(read) == ["-66", "-11", "0", "0", "-60", "-6"]
    assert Subscription.objects.get().status == "ACTIVE"
    assert Settlement.objects.get().arrears == 0
    assert (posted("2100"), posted("2300")) == (-6, -9)


def test_arrears_that_were_paid_come_back_to_the_lots_that_paid(api: APIClient) -> None:
    """60.00 at the cycle's end, 60.00 by a later top-up, which gets back first."""
    book = lived("PREPAID", cash="60")
    factories.top_up("cust_1", "70")
    assert factories.available(book) == 10

    read = adjust(api, "-60")

    assert [(a["amount"], a["balance_after"]) for a in read["allocations"]] == [
        ("60", "70"), ("12", "12"),
    ]  # fmt: skip
    assert where(read) == ["-72", "-12", "0", "0", "0", "-72"]
    assert posted("2300") == -8


@pytest.mark.parametrize(
    ("mode", "cash", "parts"),
    [
        # 12.00 with tax: what the wallet has, then invoice or arrears.
        ("HYBRID", "5", ["12", "2", "7", "0", "0", "5"]),
        ("HYBRID", "20", ["12", "2", "0", "0", "0", "12"]),
        ("POSTPAID", "20", ["12", "2", "12", "0", "0", "0"]),
        ("PREPAID", "5", ["12", "2", "0", "0", "7", "5"]),
    ],
)
def test_more_is_charged_as_a_cycle_is(
    api: APIClient, mode: str, cash: str, parts: list[str]
) -> None:
    lived(mode, cash="120" if mode == "PREPAID" else "0")
    factories.top_up("cust_1", cash)

    read = adjust(api, "12", "-2")

    assert where(read) == parts
    if mode == "PREPAID":
        found = Settlement.objects.get()
        assert (found.arrears, round(found.arrears_tax, 6)) == (7, D("1.166667"))
        assert Subscription.objects.get().status == "SUSPENDED"
        factories.top_up("cust_1", "7", name="pays")
        assert Subscription.objects.get().status == "ACTIVE"
    else:
        number = api.get(f"/v1/invoices/{read['invoice']}").json()
        assert (number["total"], number["amount_due"]) == ("12", parts[2])
        assert [line["amount"] for line in number["lines"]] == ["12", "-2", "2"]
    assert posted("2300") == -22
    assert adjust(api, "-10", key="b")["total"] == "-12"
    assert posted("2300") == -20


def test_what_returns_to_lapsed_promo_lapses_at_once(api: APIClient) -> None:
    book = lived("HYBRID", promo="30", taxed=False, expires_at=FEBRUARY)  # 70.00 go to the invoice.
    pay(api, "70")

    read = adjust(api, "-80")

    assert where(read) == ["-80", "0", "0", "-70", "0", "-10"]
    assert factories.available(book) == 0
    assert list(
        Entry.objects.filter(book=book).order_by("-sequence").values_list("event", flat=True)[:2]
    ) == ["EXPIRY", "CREDIT_NOTE"]


def test_a_lapsed_lot_that_was_paid_for_lives_on(api: APIClient) -> None:
    """20.00 bought to 1 February pay for January; 5.00 come back, for another cycle at least."""
    factories.offering(billing_mode="HYBRID")
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.bundle("cust_1", "20", bonus="20", expires_at=FEBRUARY)
    factories.meter(20_000, START, "january")
    advance(book, FEBRUARY)

    read = adjust(api, "-5")

    assert where(read) == ["-5", "0", "0", "0", "0", "-5"]
    (returned,) = read["allocations"]
    assert (returned["kind"], returned["balance_after"]) == ("CASH", "5")
    assert returned["expires_at"] == "2026-04-01T00:00:00Z"
    # 20 + 20 were sold for 20.00, so each of the 5 carries half.
    assert posted("2100") == D("-2.5")


def test_the_last_place_that_another_burn_released_is_no_obstacle(api: APIClient) -> None:
    """Bonus of 2 for two thirds of 1.00: the cycle's 1 releases .333333333333, a debit's 1 one last
    place more, which giving back the cycle's restores.
    """
    factories.offering(billing_mode="HYBRID")
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.bundle("cust_1", "1", bonus="2")
    factories.meter(500, START, "january")
    advance(book, FEBRUARY)
    factories.debit("cust_1", "1", strategy="BONUS")

    assert where(adjust(api, "-1")) == ["-1", "0", "0", "0", "0", "-1"]

    assert posted("2110") == D("-0.333333333334")


def test_a_repeat_is_replayed_and_other_content_refused(api: APIClient) -> None:
    lived("HYBRID")
    first = ask(api, "-1")
    before = factories.everything()

    again = ask(api, "-1.00")

    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"
    assert ask(api, "-2").json()["code"] == "key_reused"
    assert factories.everything() == before
    made = SettlementAdjustment.objects.get()
    assert made.by.startswith("API key ")
    assert Entry.objects.get(pk=made.entry_id).document["reason"] == "outage"


@pytest.mark.parametrize(
    ("amounts", "changes", "status", "code"),
    [
        (["1", "-1"], {}, 422, "nothing_to_adjust"),
        (["-0.001"], {}, 422, "not_payable"),
        (["-100.01"], {}, 422, "exceeds_settlement"),
        ([], {}, 422, "min_length"),
        (["x"], {}, 422, "invalid_number"),
        (["-1"], {"reason": ""}, 422, "blank"),
        (["-1"], {"idempotency_key": None}, 422, "idempotency_key_required"),
        (["-1"], {"more": 1}, 422, "unknown_field"),
    ],
)
def test_what_is_refused_changes_nothing(
    api: APIClient, amounts: list[str], changes: dict[str, Any], status: int, code: str
) -> None:
    lived("HYBRID")
    before = (factories.everything(), SettlementAdjustment.objects.count())

    refused = ask(api, *amounts, **changes)

    assert (refused.status_code, code in refused.content.decode()) == (status, True), (
        refused.content
    )
    assert (factories.everything(), SettlementAdjustment.objects.count()) == before


def test_only_a_settled_cycle_is_corrected(api: APIClient, live_api: APIClient) -> None:
    lived("HYBRID")
    assert ask(live_api, "-1").status_code == 404
    Settlement.objects.update(status="VOIDED")

    refused = ask(api, "-1")

    assert (refused.status_code, refused.json()["code"]) == (409, "not_settled")


def test_prepaid_settlements_are_numbered_without_gaps(api: APIClient) -> None:
    book = lived("PREPAID", cash="500")
    advance(book, MARCH)
    settlements = api.get("/v1/settlements?customer_id=cust_1").json()["data"]

    assert [found["statement_number"] for found in settlements] == [
        "TEST-STM-000002", "TEST-STM-000001",
    ]  # fmt: skip
