"""What usage in real time takes of budgets in money and in units, by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import UsageEvent
from ledger.models import Book, Entry
from tests import factories
from tests.billing.realtime.usage_requests import capture, reserve, use
from tests.factories import START
from wallets.models import BudgetCounter

pytestmark = pytest.mark.django_db

SEARCH: dict[str, Any] = {"attributes": {"team": "search"}}


@pytest.fixture(autouse=True)
def book() -> Book:
    """A customer with 100 in cash whose tokens cost 0.002."""
    return factories.subscribed("PREPAID", money="100")


def counted(code: str) -> list[tuple[str, str]]:
    """Return used and held of each window, the oldest first."""
    found = BudgetCounter.objects.filter(budget__code=code).order_by("starts_at")
    return [(f"{each.used.normalize():f}", f"{each.held.normalize():f}") for each in found]


def refused(answer: Any, budget: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (402, "budget_exceeded"), answer.content
    assert answer.json()["budget"] == budget


def test_a_debit_counts_its_price_and_its_quantity(api: APIClient) -> None:
    """1,000 tokens cost 2.00; of a budget of 5.00 a second thousand and 501 more do not fit."""
    factories.budget("money", "5")
    factories.budget("tokens", "10000", metric="tokens")
    use(api, 1_000, "a", **SEARCH)
    before, events = factories.everything(), UsageEvent.objects.count()

    refused(use(api, 1_501, "b", **SEARCH), "money")

    assert (factories.everything(), UsageEvent.objects.count()) == (before, events)
    assert use(api, 1_500, "c", **SEARCH).status_code == 200
    assert (counted("money"), counted("tokens")) == ([("5", "0")], [("2500", "0")])
    assert verification.verify().ok


def test_properties_match_like_attributes(api: APIClient) -> None:
    factories.budget("tokens", "1000", metric="tokens")

    use(api, 400, "a", properties={"team": "search"})
    use(api, 400, "b", properties={"metadata": {"team": "ads"}})
    use(api, 400, "c", properties={"team": ["search"]})

    assert counted("tokens") == [("800", "0")]
    refused(use(api, 201, "d", properties={"team": "search"}), "tokens")


def test_what_units_pay_costs_no_money(api: APIClient) -> None:
    factories.grant_units("cust_1", "1000")
    factories.budget("money", "1")
    factories.budget("tokens", "1000", metric="tokens")

    assert use(api, 1_000, "a", **SEARCH).status_code == 200

    assert (counted("money"), counted("tokens")) == ([], [("1000", "0")])
    refused(use(api, 1, "b", **SEARCH), "tokens")


def test_usage_that_burns_nothing_is_counted_in_an_entry_of_its_own(api: APIClient) -> None:
    factories.offering("free", billing_mode="HYBRID")
    factories.clocked_customer("cust_2")
    factories.subscription("cust_2", "free")
    factories.budget("tokens", "1000", metric="tokens", customer="cust_2")
    before = Entry.objects.filter(book__key="cust_2").count()

    answer = use(api, 10, "a", customer_id="cust_2", **SEARCH)

    assert (answer.status_code, answer.json()["overage"]) == (200, "0.02"), answer.content
    assert Entry.objects.filter(book__key="cust_2").count() == before + 1
    assert answer.json()["entry"] == str(Entry.objects.filter(book__key="cust_2").latest("id").pk)
    assert verification.verify().ok


def test_reserved_usage_is_held_and_captured_in_its_window(api: APIClient, book: Book) -> None:
    """3,000 tokens reserve 6.00; 1,000 of them, captured an hour later, cost 2.00."""
    factories.budget("money", "10", window="HOUR")
    factories.budget("tokens", "10000", metric="tokens", window="HOUR")
    made = reserve(api, 3_000, expires_in=7_200, **SEARCH).json()["id"]
    assert (counted("money"), counted("tokens")) == ([("0", "6")], [("0", "3000")])
    factories.set_clock(book, START + timedelta(hours=1))

    assert capture(api, made, quantity=1_000).status_code == 200

    assert (counted("money"), counted("tokens")) == ([("2", "0")], [("1000", "0")])
    assert verification.verify().ok


def test_a_part_leaves_the_rest_held(api: APIClient) -> None:
    factories.budget("money", "10")
    factories.budget("tokens", "10000", metric="tokens")
    made = reserve(api, 3_000, **SEARCH).json()["id"]

    capture(api, made, quantity=1_000, final=False)

    assert (counted("money"), counted("tokens")) == ([("2", "4")], [("1000", "2000")])
    api.post(f"/v1/wallets/reservations/{made}/void", {"idempotency_key": "v"})
    assert (counted("money"), counted("tokens")) == ([("2", "0")], [("1000", "0")])
    assert verification.verify().ok


def test_what_goes_beyond_is_checked_and_counts_now(api: APIClient, book: Book) -> None:
    factories.budget("tokens", "3500", metric="tokens", window="HOUR")
    made = reserve(api, 3_000, expires_in=7_200, **SEARCH).json()["id"]
    before = factories.everything()
    refused(capture(api, made, quantity=6_501, allow_more=True), "tokens")
    assert factories.everything() == before
    factories.set_clock(book, START + timedelta(hours=1))

    assert capture(api, made, quantity=6_000, allow_more=True).status_code == 200

    assert counted("tokens") == [("3000", "0"), ("3000", "0")]
    assert verification.verify().ok


def test_a_refused_reservation_changes_nothing(api: APIClient) -> None:
    factories.budget("money", "1")
    before = factories.everything()

    refused(reserve(api, 501, **SEARCH), "money")

    assert factories.everything() == before
    assert reserve(api, 500, key="r2", **SEARCH).status_code == 201


def test_a_pause_sells_what_was_reserved_in_its_window(api: APIClient) -> None:
    """The reservation is honoured at its price while the subscription pauses."""
    factories.budget("money", "10")
    factories.budget("tokens", "10000", metric="tokens")
    made = reserve(api, 3_000, **SEARCH).json()["id"]
    subscription = api.get("/v1/subscriptions").json()["data"][0]["id"]
    api.post(f"/v1/subscriptions/{subscription}/pause", {})

    answer = capture(api, made, quantity=1_500)

    assert (answer.status_code, answer.json()["amount"]) == (200, "3"), answer.content
    assert (counted("money"), counted("tokens")) == ([("3", "0")], [("1500", "0")])
    assert verification.verify().ok
