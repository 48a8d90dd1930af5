"""Checks say what the request that follows does, and do nothing themselves."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from aforo.sandbox.services import now_for
from billing.models import CycleBurn, Subscription, SubscriptionStatus, UsageEvent
from ledger.models import Book
from tests import factories
from tests.billing.realtime.usage_requests import reserve, use
from tests.factories import FEBRUARY, START, advance, set_clock, subscribed
from wallets.models import Wallet

pytestmark = pytest.mark.django_db

WHO = {"customer_id": "cust_1"}
MONEY = {**WHO, "amount": "50", "currency": "USD"}
TOKENS = {**WHO, "metric": "tokens", "quantity": "1000"}


def everything() -> tuple[Any, ...]:
    burns = sorted(CycleBurn.objects.values_list("lot", "quantity", "kept"))
    return (*factories.everything(), UsageEvent.objects.count(), burns)


def check(api: APIClient, body: Mapping[str, object], status: int = 200) -> Any:
    """Check; nothing may change."""
    before = everything()
    answer = api.post("/v1/wallets/check", body)
    assert answer.status_code == status, answer.content
    assert everything() == before
    return answer.json()


class TestDebits:
    def test_it_names_the_lots_that_would_pay(self, api: APIClient) -> None:
        factories.customer()
        factories.top_up("cust_1", "100")
        factories.grant("cust_1", "10", "PROMO")

        found = check(api, MONEY)

        assert (found["covered"], found["shortfall"], found["refused_by"]) == (True, "0", [])
        assert (found["skipped"], found["offers"], found["provisional"]) == ([], [], False)
        parts = [(a["kind"], a["amount"], a["balance_after"]) for a in found["allocations"]]
        assert parts == [("PROMO", "10", "0"), ("CASH", "40", "60")]
        done = api.post("/v1/wallets/debit", {**MONEY, "idempotency_key": "k"}).json()
        assert done["allocations"] == found["allocations"]

    def test_what_is_short_is_explained_as_in_a_refusal(self, api: APIClient) -> None:
        factories.customer()
        factories.top_up("cust_1", "30")
        api.post("/v1/wallets/reservations", {**MONEY, "amount": "5", "idempotency_key": "r"})

        found = check(api, MONEY)

        refused = api.post("/v1/wallets/debit", {**MONEY, "idempotency_key": "k"}).json()
        assert (found["covered"], found["allocations"]) == (False, [])
        assert found["shortfall"] == refused["shortfall"] == "25"
        assert found["skipped"] == refused["skipped"] != []
        assert found["offers"] == refused["offers"] != []

    def test_units_are_asked_with_a_strategy(self, api: APIClient) -> None:
        factories.customer()
        factories.metric("tokens")
        factories.grant_units("cust_1", "1200")

        found = check(api, {**TOKENS, "strategy": "WATERFALL"})

        assert [each["amount"] for each in found["allocations"]] == ["1000"]
        assert not check(api, {**TOKENS, "strategy": "CASH"})["covered"]

    def test_all_that_refuses_is_named(self, api: APIClient) -> None:
        """Suspended, and 50 of 20 would pass an overage limit of 10."""
        book = factories.customer()
        factories.top_up("cust_1", "20")
        rules = {"billing_mode": "HYBRID", "overage_limit": 10, "spend_state": "SUSPENDED"}
        Wallet.objects.filter(book=book).update(**rules)

        found = check(api, MONEY)

        assert not found["covered"]
        assert [(each["code"], each.get("state"), each.get("limit"))
                for each in found["refused_by"]] == [
            ("suspended", "SUSPENDED", None), ("overage_limit", None, "overage_limit"),
        ]  # fmt: skip
        assert (found["shortfall"], found["overage"]) == ("30", "30")
        assert [each["amount"] for each in found["offers"]] == ["20"]
        assert [each["amount"] for each in found["allocations"]] == ["20"]

    def test_bad_bodies(self, api: APIClient) -> None:
        factories.customer()
        assert check(api, {**WHO}, 422)["errors"]
        assert check(api, {**MONEY, "quantity": "1"}, 422)["errors"]
        assert check(api, {**MONEY, "surely": "not"}, 422)["errors"]
        unknown = {**TOKENS, "metric": "nothing"}
        assert check(api, unknown, 422)["code"] == "unknown_metric"
        factories.metric("tokens")
        assert check(api, TOKENS, 409)["code"] == "no_subscription"
        assert check(api, {**MONEY, "customer_id": "nobody"}, 404)["code"] == "unknown_customer"


class TestBudgets:
    """40 of 60 are used by search, until midnight."""

    @pytest.fixture(autouse=True)
    def company(self, api: APIClient) -> None:
        subscribed("PREPAID")
        factories.top_up("cust_1", "1000")
        for code, match in (("a", {"team": "search"}), ("b", {"team": "*"})):
            budget = {**WHO, "code": code, "match": match, "currency": "USD", "window": "DAY"}
            made = api.post("/v1/budgets", {**budget, "limit": "60", "per": "team"})
            assert made.status_code == 201, made.content
        first = {**MONEY, "amount": "40", "attributes": {"team": "search"}}
        api.post("/v1/wallets/debit", {**first, "idempotency_key": "first"})

    def test_all_budgets_that_would_refuse_are_named(self, api: APIClient) -> None:
        body = {**MONEY, "attributes": {"team": "search"}}

        found = check(api, body)

        assert (found["covered"], found["shortfall"], found["offers"]) == (False, "0", [])
        figures = {"value": "search", "limit": "60", "used": "40", "held": "0"}
        assert [(each["budget"], each["code"]) for each in found["refused_by"]] == [
            ("a", "budget_exceeded"), ("b", "budget_exceeded"),
        ]  # fmt: skip
        assert all(figures.items() <= each.items() for each in found["refused_by"])
        # What would pay it, were there no budget.
        assert [each["amount"] for each in found["allocations"]] == ["50"]
        refused = api.post("/v1/wallets/debit", {**body, "idempotency_key": "k"}).json()
        assert (refused["code"], refused["skipped"], refused["offers"]) == (
            "budget_exceeded", [], [],
        )  # fmt: skip
        assert found["retry_after"] == refused["retry_after"] == 24 * 3600
        assert check(api, {**MONEY, "attributes": {"team": "sales"}})["covered"]

    def test_waiting_does_not_help_beyond_the_limit_itself(self, api: APIClient) -> None:
        body = {**MONEY, "amount": "61", "attributes": {"team": "sales"}}

        assert "retry_after" not in check(api, body)

    def test_usage_counts_at_its_price(self, api: APIClient) -> None:
        """10,000 at 0.002 are 20 of the 20 that are left."""
        body = {**TOKENS, "attributes": {"team": "search"}}

        assert check(api, {**body, "quantity": 10_000})["covered"]
        found = check(api, {**body, "quantity": 10_001})

        assert [each["budget"] for each in found["refused_by"]] == ["a", "b"]
        assert not found["covered"]


class TestUsage:
    def test_units_pay_before_money(self, api: APIClient) -> None:
        """15,000 tokens at 0.002: 12,000 units, then 6.00 of which 5 are there."""
        subscribed("HYBRID")
        factories.grant_units("cust_1", "12000")
        factories.top_up("cust_1", "5")

        found = check(api, {**TOKENS, "quantity": 15_000})

        assert (found["covered"], found["overage"]) == (True, "1")
        assert found["allocations"] == use(api, 15_000, "u1").json()["allocations"]

    def test_metered_usage_comes_first(self, api: APIClient) -> None:
        """3 pay 1,000 metered at 0.002, and 500 more; not 600."""
        subscribed("PREPAID")
        factories.top_up("cust_1", "3")
        factories.meter(1_000, START, "m")

        assert check(api, {**TOKENS, "quantity": 500})["covered"]
        found = check(api, {**TOKENS, "quantity": 600})

        assert (found["covered"], found["shortfall"]) == (False, "0.2")
        assert [each["amount"] for each in found["offers"]] == ["0.2"]

    def test_a_cap_and_a_state(self, api: APIClient) -> None:
        cap = {"quantity": "900", "beyond": "REFUSED"}
        subscribed("PREPAID", spec={"caps": {"tokens": cap}})
        factories.top_up("cust_1", "5")
        Subscription.objects.update(status=SubscriptionStatus.PAUSED)

        found = check(api, TOKENS)

        assert [(each["code"], each.get("state"), each.get("cap"))
                for each in found["refused_by"]] == [
            ("paused", "PAUSED", None), ("quota_exceeded", None, "tokens"),
        ]  # fmt: skip

    def test_a_cycle_that_is_over_is_renewed_first(self, api: APIClient) -> None:
        grants = [{"code": "g", "kind": "PROMO", "amount": Decimal(50),
                   "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}]  # fmt: skip
        book = subscribed("PREPAID", grants=grants)
        api.post("/v1/wallets/debit", {**MONEY, "idempotency_key": "k"})
        set_clock(book, FEBRUARY)

        answer = api.post("/v1/wallets/check", MONEY).json()

        assert (answer["covered"], answer["provisional"]) == (True, False)


def test_it_takes_few_statements_and_no_lock(api: APIClient) -> None:
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "5")
    api.post("/v1/wallets/check", TOKENS)
    counts = []
    for n in range(2):
        for body in (MONEY, TOKENS):
            with CaptureQueriesContext(connection) as captured:
                assert api.post("/v1/wallets/check", body).json()["covered"]
            sql = [query["sql"] for query in captured.captured_queries]
            assert not [each for each in sql if "FOR NO KEY" in each or "advisory" in each]
            counts.append(len([each for each in sql if "access_apikey" not in each]))
        for more in range(20 * (1 - n)):
            factories.grant("cust_1", "1", name=f"more-{more}")
            factories.meter(10, now_for(book), f"m{more}")
    # With its savepoint: who it is, whether a cycle is over, and what it needs to know; usage also
    # reads the cycles, their sums, and how they are priced.
    assert counts[0] == 5
    assert counts[:2] == counts[2:]


class TestQuota:
    def ask(self, api: APIClient, quantity: object, path: str = "/api/v1/quota/check") -> Any:
        body = {"customerId": "cust_1", "metricName": "tokens", "quantity": quantity}
        answer = api.post(path, {**body, "tenantId": "ignored"})
        assert answer.status_code == 200, answer.content
        assert answer.json()["success"] is True
        return answer.json()["data"]

    def test_a_hard_cap(self, api: APIClient) -> None:
        cap = {"quantity": "1000", "beyond": "REFUSED"}
        subscribed("PREPAID", spec={"caps": {"tokens": cap}})
        factories.top_up("cust_1", "10")
        use(api, 900, "u1")

        assert self.ask(api, 100) == {"allowed": True, "remaining": "100"}
        refused = {"allowed": False, "remaining": "100", "reason": "quota_exceeded"}
        assert self.ask(api, 101) == self.ask(api, 101, "/v1/quota/check") == refused

    def test_unit_credits_without_a_subscription(self, api: APIClient) -> None:
        factories.customer()
        factories.metric("tokens")
        factories.grant_units("cust_1", "10")

        assert self.ask(api, 10) == {"allowed": True, "remaining": "10"}
        short = {"allowed": False, "remaining": "10", "reason": "insufficient_funds"}
        assert self.ask(api, 11) == short

    def test_money_bounds_no_quantity(self, api: APIClient) -> None:
        subscribed("PREPAID")
        factories.top_up("cust_1", "1")

        assert self.ask(api, 500) == {"allowed": True, "remaining": None}
        short = {"allowed": False, "remaining": None, "reason": "insufficient_funds"}
        assert self.ask(api, 501) == short


CAPS = [{}, {"tokens": {"quantity": "4000", "beyond": "REFUSED"}}]


class History:
    """A customer's days at random: each request is checked before it is made."""

    def __init__(self, api: APIClient, seed: int) -> None:
        self.api, self.dice, self.names = api, random.Random(seed), 0
        mode = self.dice.choice(["PREPAID", "PREPAID", "HYBRID", "POSTPAID"])
        self.book: Book = subscribed(mode, spec={"caps": self.dice.choice(CAPS)})
        self.now, self.reserved = START, list[str]()
        if self.dice.random() < 0.5:
            limits = {"currency": "USD", "overage_limit": str(self.dice.randrange(20))}
            api.patch("/v1/wallets/cust_1/limits", limits)

    def name(self) -> str:
        self.names += 1
        return f"k{self.names}"

    def step(self) -> None:
        """Do something at random."""
        amount, name = str(self.dice.randrange(1, 9)), self.name()
        ends = {"expires_at": self.now + timedelta(hours=self.dice.randrange(1, 30))}
        terms: dict[str, Any] = ends if self.dice.random() < 0.5 else {}
        match self.dice.randrange(7):
            case 0:
                factories.top_up("cust_1", amount, name=name, **terms)
            case 1:
                kind = self.dice.choice(["PROMO", "BONUS"])
                factories.grant("cust_1", amount, kind, name=name, **terms)
            case 2:
                body = {**TOKENS, "quantity": f"{amount}00", "kind": "PROMO", "reason": "test"}
                self.api.post("/v1/wallets/grants", {**body, "idempotency_key": name})
            case 3:
                factories.meter(100 * int(amount), self.now, name)
            case 4:
                terms = {**WHO, "expires_in": self.dice.randrange(60, 90_000)}
                body = {**terms, "amount": amount, "currency": "USD"}
                self.api.post("/v1/wallets/reservations", {**body, "idempotency_key": name})
            case 5:
                reserve(
                    self.api, 100 * int(amount), name, expires_in=self.dice.randrange(60, 9_000)
                )
            case _:
                self.now += timedelta(minutes=self.dice.randrange(1, 900))
                # Whatever is due has been done, or not yet.
                go = advance if self.dice.random() < 0.5 else set_clock
                go(self.book, self.now)

    def ask(self) -> tuple[str, dict[str, Any]]:
        """Return a request: a debit of money or units, or usage."""
        amount = self.dice.randrange(1, 12)
        strategy = self.dice.choice(["WATERFALL", "WATERFALL", "PROMO", "CASH"])
        money = {**WHO, "amount": f"{amount}.{amount}", "currency": "USD", "strategy": strategy}
        units = {**TOKENS, "quantity": f"{amount}00", "strategy": strategy}
        usage = {**TOKENS, "quantity": f"{amount}00"}
        return self.dice.choice(
            [("/v1/wallets/debit", money), ("/v1/wallets/debit", units), ("/v1/usage/debit", usage)]
        )


@pytest.mark.parametrize("seed", range(8))
def test_a_check_says_what_the_request_then_does(api: APIClient, seed: int) -> None:
    history = History(api, seed)
    agreed = 0
    for _ in range(30):
        history.step()
        path, body = history.ask()
        # Whether a cycle of usage must catch up first is the one thing that may differ.
        found = check(api, body)
        done = api.post(path, {**body, "idempotency_key": history.name()})
        if found["provisional"]:
            continue
        agreed += 1
        told = done.json()
        assert found["covered"] == (done.status_code == 200), (body, found, told)
        if found["covered"]:
            assert found["allocations"] == told["allocations"], body
            assert Decimal(found["overage"]) == Decimal(told["overage"])
        elif done.status_code == 409:
            assert told["code"] in {each["code"] for each in found["refused_by"]}
        else:
            assert [found[each] for each in ("shortfall", "skipped", "offers")] == [
                told[each] for each in ("shortfall", "skipped", "offers")
            ]
            assert found.get("retry_after") == told.get("retry_after")
    assert agreed > 15
