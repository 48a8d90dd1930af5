"""Every move of a subscription is a row; each request, in each state, is allowed or refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from rest_framework.test import APIClient

from aforo.errors import InvariantBroken
from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.models import Subscription, SubscriptionMove, SubscriptionStatus
from billing.subscriptions import moves, states
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
AHEAD: list[dict[str, Any]] = [
    {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"},
    *factories.TOKENS_AT_2_MILLS,
]
Step = tuple[str, str, str]


def ask(api: APIClient, what: str, status: int = 200, **body: Any) -> dict[str, Any]:
    found = Subscription.objects.get()
    response = api.post(f"/v1/subscriptions/{found.pk}/{what}", body)
    assert response.status_code == status, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def steps() -> list[Step]:
    rows = SubscriptionMove.objects.order_by("pk")
    return [(row.kind, row.from_status, row.to_status) for row in rows]


def told() -> list[str]:
    found = OutboxEvent.objects.filter(type__startswith="subscription.").order_by("sequence")
    return [event.type.removeprefix("subscription.") for event in found]


def test_a_life_is_a_row_for_each_move(api: APIClient) -> None:
    factories.offering(trial_days=14)
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    advance(book, START + 20 * DAY)
    ask(api, "pause", reason="On holiday")
    ask(api, "resume")
    ask(api, "cancel", at="PERIOD_END", reason="Too dear")
    ask(api, "uncancel")
    ask(api, "cancel", at="NOW")

    assert steps() == [
        ("CREATED", "", "TRIALING"),
        ("TRIAL_ENDED", "TRIALING", "ACTIVE"),
        ("PAUSED", "ACTIVE", "PAUSED"),
        ("RESUMED", "PAUSED", "ACTIVE"),
        ("CANCELLATION_SET", "ACTIVE", "ACTIVE"),
        ("CANCELLATION_WITHDRAWN", "ACTIVE", "ACTIVE"),
        ("CANCELLED", "ACTIVE", "CANCELLED"),
    ]
    assert told() == [
        "created", "trial_ended", "paused", "resumed", "updated", "updated", "cancelled",
    ]  # fmt: skip
    rows = list(SubscriptionMove.objects.order_by("pk"))
    assert [row.reason for row in rows] == ["", "", "On holiday", "", "Too dear", "", ""]
    assert rows[1].occurred_at == START + 14 * DAY
    assert [row.actor_kind for row in rows[2:]] == ["API_KEY"] * 5
    assert rows[4].facts == {"cancel_at": "2026-02-15T00:00:00+00:00"}
    found = OutboxEvent.objects.filter(type="subscription.paused").get().payload
    assert (found["reason"], found["status"], found["from_status"]) == (
        "On holiday",
        "PAUSED",
        "ACTIVE",
    )
    listed = api.get(f"/v1/subscriptions/{rows[0].subscription_id}/moves").json()["data"]
    assert [each["kind"] for each in listed] == [row.kind for row in reversed(rows)]
    assert listed[0]["actor"]["kind"] == "API_KEY"
    assert verification.verify().ok


def test_a_subscription_that_waits_for_credits_and_runs_out_of_them(api: APIClient) -> None:
    book = subscribed("PREPAID", charges=AHEAD)
    assert steps() == [("CREATED", "", "CREATED")]
    factories.top_up("cust_1", "31")
    advance(book, FEBRUARY)
    factories.top_up("cust_1", "31", name="again")

    assert steps() == [
        ("CREATED", "", "CREATED"),
        ("ACTIVATED", "CREATED", "ACTIVE"),
        ("SUSPENDED", "ACTIVE", "SUSPENDED"),
        ("ACTIVATED", "SUSPENDED", "ACTIVE"),
    ]
    assert told() == ["created", "activated", "suspended", "activated"]


def test_an_end_with_the_period_can_be_withdrawn_and_nothing_of_it_stays(api: APIClient) -> None:
    book = subscribed(charges=AHEAD)
    advance(book, START + DAY)
    ask(api, "cancel", at="PERIOD_END")
    assert ask(api, "cancel", at="PERIOD_END")["cancel_at"] == "2026-02-01T00:00:00Z"

    answer = ask(api, "uncancel", reason="Stays")

    assert (answer["status"], answer["cancel_at"]) == ("ACTIVE", None)
    # Asked for twice, the cancellation was set once.
    assert [kind for kind, _, _ in steps()] == [
        "CREATED", "ACTIVATED", "CANCELLATION_SET", "CANCELLATION_WITHDRAWN",
    ]  # fmt: skip
    advance(book, MARCH)
    found = Subscription.objects.get()
    assert (found.status, found.current_starts_at) == ("ACTIVE", MARCH)
    assert ask(api, "uncancel", 409)["code"] == "no_cancellation"


def test_a_cancellation_that_has_come_is_not_withdrawn(api: APIClient) -> None:
    book = subscribed()
    advance(book, START + DAY)
    ask(api, "cancel", at="PERIOD_END")
    factories.set_clock(book, FEBRUARY)

    # Nobody has swept: the cycle that is over is settled first.
    assert ask(api, "uncancel", 409)["code"] == "already_cancelled"

    assert steps()[-1] == ("CANCELLED", "ACTIVE", "CANCELLED")


def in_state(api: APIClient, state: str) -> None:
    """Subscribe a customer, whose subscription is in a state then."""
    match state:
        case "CREATED":
            subscribed("PREPAID", charges=AHEAD)
        case "TRIALING":
            factories.offering(trial_days=14)
            factories.clocked_customer()
            factories.subscription("cust_1")
        case "SUSPENDED":
            book = subscribed("PREPAID", money="31", charges=AHEAD)
            advance(book, FEBRUARY)
        case _:
            subscribed()
    if state == "PAUSED":
        ask(api, "pause")
    if state == "CANCELLED":
        ask(api, "cancel", at="NOW")
    assert Subscription.objects.get().status == state


ALLOWED = {
    ("pause", "ACTIVE"): "PAUSED",
    ("resume", "PAUSED"): "ACTIVE",
    ("cancel", "CREATED"): "CANCELLED",
    ("cancel", "TRIALING"): "CANCELLED",
    ("cancel", "ACTIVE"): "CANCELLED",
    ("cancel", "SUSPENDED"): "CANCELLED",
    ("cancel", "PAUSED"): "CANCELLED",
}
REFUSED = {"pause": "not_active", "resume": "not_paused", "cancel": "already_cancelled",
           "uncancel": "no_cancellation"}  # fmt: skip
# What leaves the state as it is; one without a running period ends at once with its period.
STEADY: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "migrate": (
        {"at": "NOW", "offering": "other"},
        {"TRIALING": "TRIALING", "ACTIVE": "ACTIVE"},
    ),
    "migrate later": (
        {"at": "PERIOD_END", "offering": "other"},
        {"TRIALING": "TRIALING", "ACTIVE": "ACTIVE", "SUSPENDED": "SUSPENDED"},
    ),
    "unmigrate": ({}, {}),
    "cancel later": (
        {"at": "PERIOD_END"},
        {
            "TRIALING": "TRIALING",
            "ACTIVE": "ACTIVE",
            "SUSPENDED": "SUSPENDED",
            "CREATED": "CANCELLED",
            "PAUSED": "CANCELLED",
        },
    ),
}


@pytest.mark.parametrize("state", SubscriptionStatus.values)
@pytest.mark.parametrize("what", REFUSED)
def test_every_request_in_every_state(api: APIClient, state: str, what: str) -> None:
    in_state(api, state)
    before = factories.everything(), Subscription.objects.values().get(), steps(), told()
    body: dict[str, Any] = {"at": "NOW"} if what == "cancel" else {}
    ends_in = ALLOWED.get((what, state))

    if ends_in is not None:
        assert ask(api, what, **body)["status"] == ends_in
        assert steps()[-1][1:] == (state, ends_in)
        assert verification.verify().ok
        return
    code = ask(api, what, 409, **body)["code"]

    is_over = state == "CANCELLED" and what == "uncancel"
    assert code == ("already_cancelled" if is_over else REFUSED[what])
    after = factories.everything(), Subscription.objects.values().get(), steps(), told()
    assert after == before


@pytest.mark.parametrize("state", SubscriptionStatus.values)
@pytest.mark.parametrize("what", STEADY)
def test_every_change_of_plan_and_end_of_period_in_every_state(
    api: APIClient, state: str, what: str
) -> None:
    in_state(api, state)
    mode = Subscription.objects.get().billing_mode
    factories.offering("other", billing_mode=mode, charges=AHEAD)
    before = factories.everything(), Subscription.objects.values().get(), steps(), told()

    (path, *_), (body, allowed) = what.split(), STEADY[what]

    if state in allowed:
        assert ask(api, path, **body)["status"] == allowed[state]
        assert steps()[-1][1:] == (state, allowed[state])
        assert verification.verify().ok
        return
    ask(api, path, 409, **body)

    after = factories.everything(), Subscription.objects.values().get(), steps(), told()
    assert after == before


def test_a_final_overage_is_no_move(api: APIClient) -> None:
    book = subscribed()
    meter(1_000, START)
    ask(api, "cancel", at="NOW")
    before = steps()

    advance(book, MARCH)

    assert steps() == before
    assert before[-1] == ("CANCELLED", "ACTIVE", "CANCELLED")


def test_what_the_table_does_not_have_is_a_fault() -> None:
    book = subscribed()
    found = Subscription.objects.get()

    with pytest.raises(InvariantBroken, match="ACTIVE to CREATED"), transaction.atomic():
        moves.move(book=book, subscription=found, to=SubscriptionStatus.CREATED, at=START)

    found.refresh_from_db()
    assert found.status == "ACTIVE"
    assert set(states.NEXT) == {"", *SubscriptionStatus.values}


@pytest.mark.parametrize("change", [{"reason": "x"}, None])
def test_moves_are_only_added(change: dict[str, str] | None) -> None:
    subscribed()
    rows = SubscriptionMove.objects.all()

    with pytest.raises(DatabaseError, match="append"), transaction.atomic():
        rows.delete() if change is None else rows.update(**change)

    assert rows.count() == 2


def test_a_plan_without_a_fee_asks_nothing_of_money() -> None:
    """What is created runs at once: both moves are at the customer's time of subscribing."""
    subscribed(grants=[{"kind": "PROMO", "amount": Decimal(1), "recurrence": "ONCE"}])

    assert [row.occurred_at for row in SubscriptionMove.objects.all()] == [START, START]
