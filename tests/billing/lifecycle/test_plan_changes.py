"""A plan changes with the renewal: each cycle is priced by the terms that it ran on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Invoice, PlanChange, Settlement, Subscription, SubscriptionMove
from ledger.models import Entry
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def plan(fee: str, price: str, grant: str, **terms: Any) -> dict[str, Any]:
    return {
        "charges": [
            {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": fee}, "timing": "ADVANCE"},
            {"code": "tokens", "model": "PER_UNIT", "metric": "tokens",
             "terms": {"unit_price": price}},
        ],
        "grants": [{"code": "gift", "kind": "PROMO", "metric": "tokens", "quantity": Decimal(grant),
                    "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}],
        **terms,
    }  # fmt: skip


def ask(api: APIClient, what: str, status: int = 200, **body: Any) -> dict[str, Any]:
    found = Subscription.objects.get(customer__book__key="cust_1")
    response = api.post(f"/v1/subscriptions/{found.pk}/{what}", body)
    assert response.status_code == status, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def totals() -> list[tuple[str, Decimal]]:
    rows = Settlement.objects.filter(status="SETTLED").order_by("sealed_at", "cycle")
    return [(row.kind, Decimal(row.totals["total"])) for row in rows]


def sold(mode: str = "HYBRID", **basic: Any) -> Any:
    factories.offering("pro", billing_mode=mode, **plan("93", "0.001", "2000"))
    factories.offering("basic", billing_mode=mode, **plan("31", "0.002", "1000"), **basic)
    book = factories.clocked_customer()
    if mode == "PREPAID":
        factories.top_up("cust_1", "40")
    factories.subscription("cust_1", "basic")
    advance(book, START + DAY)
    return book


def test_the_next_cycle_runs_on_the_new_terms_and_the_old_one_on_its_own(api: APIClient) -> None:
    """January: 3,000 tokens less 1,000 at .002 are 4, with the fee of 93 ahead 97; February: 1,000
    beyond 2,000 at .001 are 1, with 93 ahead 94.
    """
    book = sold()
    answer = ask(api, "migrate", offering="pro", at="PERIOD_END", reason="Grows")
    assert (answer["next_offering"], answer["next_version"]) == ("pro", 1)
    assert (answer["offering"], answer["status"]) == ("basic", "ACTIVE")
    meter(3_000, START + DAY)

    advance(book, FEBRUARY)

    found = Subscription.objects.get()
    assert (found.offering.code, found.next_version, found.plan_changes) == ("pro", None, 1)
    assert (found.current_starts_at, found.current_ends_at) == (FEBRUARY, MARCH)
    assert totals() == [("OPENING", 31), ("CYCLE", 97)]
    lots = CreditLot.objects.filter(source="PLAN").order_by("granted_at")
    assert [lot.face for lot in lots] == [1000, 2000]
    meter(3_000, FEBRUARY)
    advance(book, MARCH)
    assert totals()[2:] == [("CYCLE", 94)]
    moves = SubscriptionMove.objects.filter(kind__startswith="PLAN").order_by("pk")
    assert [(move.kind, move.reason, move.actor_kind) for move in moves] == [
        ("PLAN_CHANGE_SET", "Grows", "API_KEY"),
        ("PLAN_CHANGED", "", "JOB"),
    ]
    assert moves[1].occurred_at == FEBRUARY
    change = PlanChange.objects.get()
    assert (change.cycle, change.from_offering.code, change.to_offering.code) == (
        1, "basic", "pro",
    )  # fmt: skip
    issued = Entry.objects.filter(event="INVOICE").order_by("sequence")
    products = [entry.document["product"] for entry in issued]
    assert products == ["plan_basic", "plan_basic", "plan_pro"]
    assert Invoice.objects.count() == 3
    assert verification.verify().ok


def test_late_usage_is_priced_by_the_plan_of_its_cycle(api: APIClient) -> None:
    """500 beyond what January had left, at .002, are 1.00 more in the settlement of February."""
    book = sold()
    ask(api, "migrate", offering="pro", at="PERIOD_END")
    meter(1_000, START + DAY)
    advance(book, FEBRUARY + DAY)

    meter(500, START + 5 * DAY, "late")
    advance(book, MARCH)

    assert totals() == [("OPENING", 31), ("CYCLE", 93), ("CYCLE", 94)]
    assert verification.verify().ok


def test_with_a_grace_the_old_cycle_is_settled_later_on_its_own_terms(api: APIClient) -> None:
    """The next cycle opens at once with the fee of 93; usage within the grace costs .002."""
    book = sold(spec={"grace_hours": 48})
    ask(api, "migrate", offering="pro", at="PERIOD_END")
    advance(book, FEBRUARY + DAY)
    assert Subscription.objects.get().offering.code == "pro"

    meter(3_000, START + 5 * DAY, "within the grace")
    advance(book, FEBRUARY + 3 * DAY)

    settled = Settlement.objects.get(kind="CYCLE", cycle=0)
    assert Decimal(settled.totals["total"]) == 4
    opened = Settlement.objects.get(kind="OPENING", cycle=1)
    assert Decimal(opened.totals["total"]) == 93
    assert verification.verify().ok


def test_prepaid_credits_that_do_not_cover_the_new_fee_suspend(api: APIClient) -> None:
    """Of 40 the first fee leaves 9; the new one of 93 waits for 84 more, and owes nothing."""
    book = sold("PREPAID")
    ask(api, "migrate", offering="pro", at="PERIOD_END")

    advance(book, FEBRUARY)

    found = Subscription.objects.get()
    assert (found.offering.code, found.status) == ("pro", "SUSPENDED")
    assert [row.arrears for row in Settlement.objects.all()] == [0, 0]
    factories.top_up("cust_1", "84", name="more")
    assert Subscription.objects.get().status == "ACTIVE"
    assert CreditLot.objects.filter(source="PLAN").order_by("-granted_at")[0].face == 2000
    assert verification.verify().ok


def test_it_is_taken_back_and_nothing_changes(api: APIClient) -> None:
    book = sold()
    ask(api, "migrate", offering="pro", at="PERIOD_END")

    answer = ask(api, "unmigrate", reason="Stays")

    assert (answer["next_offering"], answer["next_version"]) == (None, None)
    assert ask(api, "unmigrate", 409)["code"] == "no_plan_change"
    advance(book, FEBRUARY)
    assert Subscription.objects.get().offering.code == "basic"
    assert totals() == [("OPENING", 31), ("CYCLE", 31)]
    assert PlanChange.objects.count() == 0


def test_the_same_key_sets_it_once(api: APIClient) -> None:
    sold()
    found = Subscription.objects.get()
    body = {"offering": "pro", "at": "PERIOD_END"}
    answers = [
        api.post(f"/v1/subscriptions/{found.pk}/migrate", body, HTTP_IDEMPOTENCY_KEY="k").json()
        for _ in range(2)
    ]

    assert answers[0] == answers[1]
    assert SubscriptionMove.objects.filter(kind="PLAN_CHANGE_SET").count() == 1


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"offering": "basic"}, 409, "already_there"),
    ({"offering": "yearly"}, 422, "interval_differs"),
    ({"offering": "postpaid"}, 422, "billing_mode_differs"),
    ({"offering": "calls"}, 409, "metric_dropped"),
    ({}, 422, "required"),
    ({"offering": "yearly", "at": "NOW"}, 422, "interval_differs"),
    ({"offering": "postpaid", "at": "NOW"}, 422, "billing_mode_differs"),
    ({"offering": "calls", "at": "NOW"}, 409, "metric_dropped"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(
    api: APIClient, body: dict[str, Any], status: int, code: str
) -> None:
    sold()
    factories.offering("yearly", interval="YEAR", **plan("300", "0.001", "9"))
    factories.offering("postpaid", billing_mode="POSTPAID", **plan("9", "0.001", "9"))
    factories.metric("calls")
    factories.offering(
        "calls",
        charges=[{"code": "calls", "model": "PER_UNIT", "metric": "calls",
                  "terms": {"unit_price": "1"}}],
    )  # fmt: skip
    before = Subscription.objects.values().get(), SubscriptionMove.objects.count()

    problem = ask(api, "migrate", status, **{"at": "PERIOD_END", **body})

    codes = {problem["code"], *(fault["code"] for fault in problem.get("errors", []))}
    assert code in codes
    assert (Subscription.objects.values().get(), SubscriptionMove.objects.count()) == before


@pytest.mark.parametrize(
    ("what", "body"), [("pause", {}), ("cancel", {"at": "NOW"}), ("cancel", {"at": "PERIOD_END"})]
)
def test_what_is_paused_or_ends_does_not_change_its_plan(
    api: APIClient, what: str, body: dict[str, Any]
) -> None:
    sold()
    ask(api, what, **body)
    before = Subscription.objects.values().get()

    ask(api, "migrate", 409, offering="pro", at="PERIOD_END")

    assert Subscription.objects.values().get() == before


def test_nobody_else_takes_what_it_changes_to(api: APIClient) -> None:
    sold()
    ask(api, "migrate", offering="pro", at="PERIOD_END")

    refused = api.post("/v1/subscriptions", {"customer_id": "cust_1", "offering": "pro"})

    assert refused.status_code == 409
    assert Subscription.objects.count() == 1


@pytest.mark.parametrize("is_deleted", [False, True])
def test_changes_are_only_added(api: APIClient, is_deleted: bool) -> None:
    book = sold()
    ask(api, "migrate", offering="pro", at="PERIOD_END")
    advance(book, FEBRUARY)
    rows = PlanChange.objects.all()

    with pytest.raises(DatabaseError, match="append"), transaction.atomic():
        rows.delete() if is_deleted else rows.update(cycle=7)

    assert rows.get().cycle == 1
