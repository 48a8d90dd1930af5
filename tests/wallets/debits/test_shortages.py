"""What a 402 says besides: the lots that were not used, the top-ups that help, and the wait."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import resolve
from rest_framework.test import APIClient

from aforo.webhooks.models import EventType, OutboxEvent
from billing.models import UsageEvent
from pricing.catalogue import TopUpTerms
from pricing.offerings import top_up_rules
from tests import factories
from tests.billing.realtime.usage_requests import reserve, use
from tests.factories import FEBRUARY, START, set_clock, subscribed
from tests.wallets.top_ups.disputes import move
from wallets.models import CreditLot
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def debit(amount: str, key: str = "k", **more: Any) -> dict[str, Any]:
    asked = {"customer_id": "cust_1", "amount": amount, "currency": "USD"}
    return {**asked, "idempotency_key": key, **more}


def refused(api: APIClient, body: dict[str, Any], path: str = "/v1/wallets/debit") -> Any:
    """Return the problem of a call that is not covered, and that changed nothing."""
    before = factories.everything()
    answer = api.post(path, body)
    assert answer.status_code == 402, answer.content
    assert factories.everything() == before
    return answer.json()


def lot_of(**named: Any) -> str:
    return str(CreditLot.objects.get(**named).pk)


def offer(amount: str, times: int = 1, **more: Any) -> dict[str, Any]:
    body = {"customer_id": "cust_1", "amount": amount, "currency": "USD", **more}
    return {
        "amount": amount, "currency": "USD", "times": times,
        "method": "POST", "path": "/v1/wallets/top-ups", "body": body,
    }  # fmt: skip


def test_the_offer_of_a_refused_debit_covers_it(api: APIClient) -> None:
    """31.001 of 30: what is missing can be paid as 1.01."""
    factories.customer()
    factories.top_up("cust_1", "30")

    problem = refused(api, debit("31.001"))

    assert (problem["shortfall"], problem["available"]) == ("1.001", "30")
    assert problem["skipped"] == []
    assert problem["offers"] == [offer("1.01")]
    assert "retry_after" not in problem
    (bought,) = problem["offers"]
    assert resolve(bought["path"])
    api.post(bought["path"], {**bought["body"], "idempotency_key": "top-up"})
    assert api.post("/v1/wallets/debit", debit("31.001")).status_code == 200


def test_each_lot_that_was_not_used_says_why(api: APIClient) -> None:
    book = factories.clocked_customer(now=START + HOUR)
    factories.metric("tokens")
    factories.grant("cust_1", "5", name="later")
    set_clock(book, START)
    factories.top_up("cust_1", "100", name="disputed")
    move(api, str(CreditLot.objects.get(face=100).top_up_id), "opened")
    factories.grant("cust_1", "8", "BONUS")
    factories.grant("cust_1", "3", expires_at=START + HOUR / 2)
    factories.grant_units("cust_1", "1000")
    api.post("/v1/wallets/reservations", debit("2", "hold", strategy="PROMO", expires_in=600))
    set_clock(book, START + HOUR / 2)

    problem = refused(api, debit("7", strategy="PROMO"))

    assert (problem["shortfall"], problem["available"]) == ("7", "0")
    reasons = {each["lot"]: (each["reason"], each["amount"]) for each in problem["skipped"]}
    assert reasons == {
        lot_of(face=5): ("not_effective", "5"),
        lot_of(face=100): ("frozen", "100"),
        lot_of(face=8): ("not_in_burn_order", "8"),
        lot_of(face=3): ("expired", "3"),
        lot_of(face=1000): ("other_unit", "1000"),
    }
    # Cash does not pay a debit of promo credits, and the 5 that come are fewer than 7.
    assert problem["offers"] == []
    assert "retry_after" not in problem


def test_a_hold_that_ends_is_worth_waiting_for(api: APIClient) -> None:
    """10, of which 4 and 3 are held for 60 and 90 seconds: 6 are there after 60."""
    factories.clocked_customer()
    factories.top_up("cust_1", "10")
    for amount, seconds in (("4", 60), ("3", 90)):
        body = debit(amount, f"hold-{amount}", expires_in=seconds)
        assert api.post("/v1/wallets/reservations", body).status_code == 201

    problem = refused(api, debit("6"))
    later = refused(api, debit("8"))
    never = refused(api, debit("11"))

    held = {"lot": lot_of(face=10), "reason": "held", "amount": "7"}
    assert problem["skipped"] == later["skipped"] == [held]
    assert (problem["shortfall"], problem["retry_after"]) == ("3", 60)
    assert (later["shortfall"], later["retry_after"]) == ("5", 90)
    assert "retry_after" not in never
    assert problem["offers"] == [offer("3")]


def test_a_lot_that_becomes_effective_is_worth_waiting_for(api: APIClient) -> None:
    book = factories.clocked_customer(now=START + HOUR)
    factories.grant("cust_1", "5")
    set_clock(book, START + timedelta(seconds=0.5))
    factories.top_up("cust_1", "2")

    problem = refused(api, debit("6"))

    # 3,599.5 seconds, in whole ones.
    assert problem["retry_after"] == 3600
    set_clock(book, START + HOUR)
    assert api.post("/v1/wallets/debit", debit("6")).status_code == 200


def test_what_expires_meanwhile_does_not_help(api: APIClient) -> None:
    """5 expire after half an hour, 5 come after an hour: 6 are never there."""
    book = factories.clocked_customer(now=START + HOUR)
    factories.grant("cust_1", "5", name="later")
    set_clock(book, START)
    factories.grant("cust_1", "4", expires_at=START + HOUR / 2)

    assert "retry_after" not in refused(api, debit("6"))


def test_offers_follow_the_terms_and_the_customers_own_refill(api: APIClient) -> None:
    """At least 20 and at most 500 a top-up: 3 are missing, then 1,200 = 3 x 400."""
    factories.customer()
    terms = TopUpTerms(minimum=Decimal(20), maximum=Decimal(500))
    top_up_rules.set_top_up_terms(livemode=False, currency="USD", terms=terms)

    assert refused(api, debit("3"))["offers"] == [offer("20")]
    assert refused(api, debit("1200"))["offers"] == [offer("400", 3)]
    refill.set_auto_refill(
        livemode=False, customer_id="cust_1", currency="USD", threshold=Decimal(0),
        amount=Decimal(50), enabled=True,
    )  # fmt: skip
    own = {"payment": {"method": "test_ok"}}
    assert refused(api, debit("101"))["offers"] == [offer("101"), offer("50", 3, **own)]


def test_units_are_not_bought_by_a_top_up(api: APIClient) -> None:
    factories.customer()
    factories.metric("tokens")
    factories.grant_units("cust_1", "10")
    factories.top_up("cust_1", "7")
    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": "11", "idempotency_key": "k"}

    problem = refused(api, body)

    cash = {"lot": lot_of(face=7), "reason": "other_unit", "amount": "7"}
    assert (problem["skipped"], problem["offers"]) == ([cash], [])


def test_reservations_and_captures_explain_as_well(api: APIClient) -> None:
    """10, of which 4 are held by this reservation and 5 by another: a capture of 6 lacks 1."""
    factories.clocked_customer()
    factories.top_up("cust_1", "10")
    made = api.post("/v1/wallets/reservations", debit("4", "mine", expires_in=600)).json()
    api.post("/v1/wallets/reservations", debit("5", "other", expires_in=60))
    held = {"lot": lot_of(face=10), "reason": "held"}

    reserved = refused(api, debit("2"), "/v1/wallets/reservations")
    captured = refused(
        api,
        {"amount": "6", "allow_more": True, "idempotency_key": "c"},
        f"/v1/wallets/reservations/{made['id']}/capture",
    )

    assert reserved["skipped"] == [{**held, "amount": "9"}]
    assert captured["skipped"] == [{**held, "amount": "5"}]
    assert reserved["offers"] == captured["offers"] == [offer("1")]
    assert reserved["retry_after"] == captured["retry_after"] == 60


def test_each_refusal_of_a_list_sees_what_was_there_at_its_turn(api: APIClient) -> None:
    factories.customer()
    factories.top_up("cust_1", "10")
    debits = [debit("11", "a"), debit("9", "b"), debit("3", "c")]

    first, _, last = api.post("/v1/wallets/debits/batch", {"debits": debits}).json()["results"]

    assert (first["status"], first["offers"]) == (402, [offer("1")])
    assert (last["status"], last["offers"]) == (402, [offer("2")])


def test_the_notice_of_a_refusal_stays_as_it_is(api: APIClient) -> None:
    factories.customer()
    assert api.post("/v1/wallets/debit", debit("3")).status_code == 402

    notice = OutboxEvent.objects.get(type=EventType.DEBIT_DECLINED)

    assert set(notice.payload) == {
        "customer_id", "code", "currency", "asked", "shortfall", "available",
    }  # fmt: skip


class TestUsage:
    def test_an_offer_covers_what_was_metered_before_it(self, api: APIClient) -> None:
        """1.00 pays half of 1,000 metered at 0.002; 500 more cost 1.00: 2.00 are missing."""
        subscribed("PREPAID")
        factories.top_up("cust_1", "1")
        factories.meter(1_000, START, "m")

        problem = use(api, 500, "u1").json()

        assert (problem["code"], problem["shortfall"]) == ("insufficient_funds", "1")
        assert problem["offers"] == [offer("2")]
        assert UsageEvent.objects.count() == 1
        factories.top_up("cust_1", "2")
        assert use(api, 500, "u1").status_code == 200

    def test_a_reservation_of_usage(self, api: APIClient) -> None:
        subscribed("PREPAID")
        factories.grant_units("cust_1", "100")
        factories.top_up("cust_1", "1")
        assert reserve(api, 600, "held", expires_in=60).status_code == 201

        problem = reserve(api, 500, "more").json()

        # 100 units and 500 x 0.002 = 1.00 are held.
        assert [(each["reason"], each["amount"]) for each in problem["skipped"]] == [
            ("held", "100"), ("held", "1"),
        ]  # fmt: skip
        assert problem["offers"] == [offer("1")]
        assert problem["retry_after"] == 60

    def test_a_hard_cap_resets_with_the_cycle(self, api: APIClient) -> None:
        cap = {"quantity": "100", "beyond": "REFUSED"}
        subscribed("PREPAID", spec={"caps": {"tokens": cap}})
        factories.top_up("cust_1", "10")

        problem = use(api, 101, "u1").json()

        assert problem["code"] == "quota_exceeded"
        assert (problem["skipped"], problem["offers"]) == ([], [])
        assert problem["retry_after"] == (FEBRUARY - START).total_seconds()

    def test_an_overage_limit_resets_with_the_cycle(self, api: APIClient) -> None:
        subscribed("HYBRID")
        limits = {"currency": "USD", "overage_limit": "1"}
        assert api.patch("/v1/wallets/cust_1/limits", limits).status_code == 200

        metered, debited = use(api, 1_000, "u1").json(), refused(api, debit("3"))

        assert metered["code"] == debited["code"] == "overage_limit"
        assert (metered["offers"], debited["offers"]) == ([offer("1")], [offer("2")])
        wait = (FEBRUARY - START).total_seconds()
        assert metered["retry_after"] == debited["retry_after"] == wait
