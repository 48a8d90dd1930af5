"""Versions: copied, changed member by member, published only when sound, retired."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from aforo.errors import DomainError
from pricing import catalogue
from pricing.models import Charge, ChargeMetric, GrantTemplate, RatePlan, RatePlanVersion
from pricing.plans import plans, version_spec
from tests import factories
from tests.concurrency.test_debits import at_once

pytestmark = pytest.mark.django_db

WORDS: dict[str, Any] = {
    "burn_order": ["CASH", "PROMO"],
    "minimum_spend": "9",
    "maximum_spend": "900",
    "caps": {"tokens": "1000000", "calls": {"quantity": "5.0", "beyond": "REFUSED"}},
    "grace_hours": 6,
    "lapse_grace_hours": 2,
    "late_usage": "NEXT_CYCLE",
    "charges": [
        {"code": "base", "model": "FLAT_RATE", "terms": {"flat_fee": "20"}, "timing": "ADVANCE"},
        {
            "code": "use",
            "description": "Usage",
            "model": "GRADUATED",
            "metrics": [{"metric": "tokens"}, {"metric": "calls", "weight": "2.5"}],
            "terms": {
                "tiers": [
                    {"up_to": "1000", "unit_price": "0.010"},
                    {"up_to": None, "unit_price": "0.005", "flat_fee": "1"},
                ]
            },
        },
    ],
    "grants": [
        {"code": "hello", "kind": "PROMO", "amount": "5", "recurrence": "ONCE",
         "expires_after_days": 14},
        {"kind": "BONUS", "metric": "tokens", "quantity": "20000", "recurrence": "EVERY_CYCLE",
         "expires_at_cycle_end": True, "priority": 5, "ssp_unit_price": "0.002",
         "rollover": {"mode": "CAPPED", "maximum": "500", "cycles": 2}},
    ],
}  # fmt: skip
SAID = [
    "burn_order", "minimum_spend", "maximum_spend", "caps", "grace_hours", "lapse_grace_hours",
    "late_usage", "charges", "grants",
]  # fmt: skip


def say(version: dict[str, Any]) -> dict[str, Any]:
    return {name: version[name] for name in SAID}


@pytest.fixture
def drafted(api: APIClient) -> dict[str, Any]:
    factories.metric("tokens")
    factories.metric("calls")
    response = api.post("/v1/rate-plans", {"code": "p", "name": "P", "currency": "USD"} | WORDS)
    assert response.status_code == 201
    answer: dict[str, Any] = response.json()
    return answer


def everything() -> list[Any]:
    models = (RatePlan, RatePlanVersion, Charge, ChargeMetric, GrantTemplate)
    return [list(model.objects.order_by("pk").values()) for model in models]


def test_an_answer_says_what_was_sent(drafted: dict[str, Any]) -> None:
    assert (drafted["version"], drafted["status"], drafted["published_at"]) == (1, "DRAFT", None)
    assert drafted["burn_order"] == ["CASH", "PROMO"]
    assert (drafted["minimum_spend"], drafted["maximum_spend"]) == ("9", "900")
    assert drafted["caps"] == {
        "tokens": {"quantity": "1000000", "beyond": "PRICED"},
        "calls": {"quantity": "5", "beyond": "REFUSED"},
    }
    base, use = drafted["charges"]
    assert (base["timing"], base["metrics"]) == ("ADVANCE", [])
    assert use["metrics"] == [
        {"metric": "tokens", "weight": "1"},
        {"metric": "calls", "weight": "2.5"},
    ]
    hello, tokens = drafted["grants"]
    assert (hello["code"], hello["amount"], hello["expires_after_days"]) == ("hello", "5", 14)
    assert (tokens["code"], tokens["metric"], tokens["quantity"]) == ("grant_2", "tokens", "20000")
    assert (tokens["priority"], tokens["ssp_unit_price"]) == (5, "0.002")
    assert tokens["rollover"] == {"mode": "CAPPED", "maximum": "500", "cycles": 2}


def test_an_empty_body_copies_the_latest_version(api: APIClient, drafted: dict[str, Any]) -> None:
    api.post("/v1/rate-plans/p/publish", {})

    copy = api.post("/v1/rate-plans/p/versions", {})

    assert copy.status_code == 201
    assert (copy.json()["version"], copy.json()["status"]) == (2, "DRAFT")
    assert say(copy.json()) == say(drafted)
    assert api.get("/v1/rate-plans/p/diff?from=1&to=2").json() == []


def test_a_version_is_read_and_written_in_constant_queries(
    api: APIClient, drafted: dict[str, Any]
) -> None:
    def queries(call: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert call().status_code == 200
        return len(captured)

    def counts(size: int) -> tuple[int, int]:
        charges = [WORDS["charges"][1] | {"code": f"c{n}"} for n in range(size)]
        grants = [{"kind": "PROMO", "amount": 1, "recurrence": "ONCE"} for _ in range(size)]
        written = queries(
            lambda: api.patch("/v1/rate-plans/p", {"charges": charges, "grants": grants})
        )
        return written, queries(lambda: api.get("/v1/rate-plans/p"))

    counts(1)  # What is there before is deleted, so the first has other rows to delete.
    assert counts(1) == counts(20)


def test_half_a_wording_is_no_version(api: APIClient, drafted: dict[str, Any]) -> None:
    api.post("/v1/rate-plans/p/publish", {})
    before = everything()

    refused = api.post("/v1/rate-plans/p/versions", {"minimum_spend": "5"})

    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/charges"]
    assert everything() == before


def test_a_draft_keeps_the_members_that_are_left_out(
    api: APIClient, drafted: dict[str, Any]
) -> None:
    changed = api.patch("/v1/rate-plans/p", {"minimum_spend": None, "grants": []})

    assert changed.status_code == 200
    assert say(changed.json()) == say(drafted) | {"minimum_spend": None, "grants": []}
    assert GrantTemplate.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"maximum_spend": "8"}, "/minimum_spend", "above_maximum"),
        ({"minimum_spend": "-1"}, "/minimum_spend", "negative"),
        ({"burn_order": ["GOLD"]}, "/burn_order/0", "invalid_choice"),
        ({"caps": {"to/ken": 1}}, "/caps/to~1ken", "unknown_metric"),
        ({"caps": {"tokens": 0}}, "/caps/tokens", "not_positive"),
        ({"caps": {"tokens": {}}}, "/caps/tokens/quantity", "required"),
        ({"caps": {"tokens": {"quantity": "x"}}}, "/caps/tokens/quantity", "invalid_number"),
        ({"caps": {"a/b": {"quantity": -1}}}, "/caps/a~1b/quantity", "negative"),
        (
            {"caps": {"tokens": {"quantity": 1, "beyond": "FREE"}}},
            "/caps/tokens/beyond",
            "invalid_choice",
        ),
        ({"caps": {"tokens": {"quantity": 1, "over": 1}}}, "/caps/tokens/over", "unknown_field"),
        (
            {"caps": {"tokens": {"quantity": 1, "beyond": []}}},
            "/caps/tokens/beyond",
            "invalid_choice",
        ),
        ({"caps": [5]}, "/caps", "not_a_dict"),
        ({"charges": [{}]}, "/charges/0/code", "required"),
    ],
)
def test_a_bad_change_of_a_draft(
    api: APIClient, drafted: dict[str, Any], changes: dict[str, Any], pointer: str, code: str
) -> None:
    before = everything()

    refused = api.patch("/v1/rate-plans/p", changes)

    assert refused.status_code == 422
    first = refused.json()["errors"][0]
    assert (first["pointer"], first["code"]) == (pointer, code)
    assert everything() == before


@pytest.mark.parametrize(
    ("charge", "pointer", "code"),
    [
        ({"metric": "no"}, "/charges/0/metric", "unknown_metric"),
        ({"metric": None}, "/charges/0/metric", "null"),
        ({"metrics": [{"metric": "no"}]}, "/charges/0/metrics/0/metric", "unknown_metric"),
        ({"metrics": []}, "/charges/0/metric", "required"),
        (
            {"metrics": [{"metric": "tokens"}, {"metric": "tokens", "weight": 2}]},
            "/charges/0/metrics/1/metric",
            "repeated",
        ),
        (
            {"metric": "tokens", "metrics": [{"metric": "calls"}]},
            "/charges/0/metrics",
            "not_combinable",
        ),
        (
            {"metrics": [{"metric": "tokens", "weight": "0"}]},
            "/charges/0/metrics/0/weight",
            "not_positive",
        ),
        (
            {"metrics": [{"metric": "tokens", "weight": "1" + "0" * 16}]},
            "/charges/0/metrics/0/weight",
            "too_large",
        ),
        (
            {"metric": "tokens", "model": "GRADUATED", "terms": {"tiers": [
                {"up_to": 5, "unit_price": 1}, {"up_to": 5, "unit_price": 1},
                {"up_to": None, "unit_price": 1}]}},
            "/charges/0/terms/tiers/1/up_to",
            "not_ascending",
        ),
        (
            {"metric": "tokens", "model": "INCLUDED_QUOTA", "terms": {
                "included_quantity": 5, "block_size": 0, "block_price": 1}},
            "/charges/0/terms/block_size",
            "not_positive",
        ),
        (
            {"metric": "tokens", "model": "PERCENTAGE", "terms": {
                "percent": "2.5", "minimum_fee": 9, "maximum_fee": 8}},
            "/charges/0/terms/minimum_fee",
            "minimum_above_maximum",
        ),
        ({"metric": "tokens", "terms": None}, "/charges/0/terms", "null"),
        ({"metric": "tokens", "terms": []}, "/charges/0/terms", "invalid_type"),
        ({"metric": "tokens", "model": "MAGIC"}, "/charges/0/model", "invalid_choice"),
        ({"metric": "tokens", "timing": "NEVER"}, "/charges/0/timing", "invalid_choice"),
        ({"metric": "tokens", "price": 1}, "/charges/0/price", "unknown_field"),
    ],
)  # fmt: skip
def test_a_bad_charge(api: APIClient, charge: dict[str, Any], pointer: str, code: str) -> None:
    factories.metric("tokens")
    factories.metric("calls")
    sent = {"code": "c", "model": "PER_UNIT", "terms": {"unit_price": "1"}} | charge

    refused = api.post(
        "/v1/rate-plans", {"code": "p", "name": "P", "currency": "USD", "charges": [sent]}
    )

    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, code)]
    assert everything() == [[], [], [], [], []]


@pytest.mark.parametrize(
    ("grant", "pointer", "code"),
    [
        ({"kind": "GOLD", "amount": 1}, "/grants/0/kind", "invalid_choice"),
        ({"amount": 0}, "/grants/0/amount", "not_positive"),
        ({"amount": 1, "quantity": 1, "metric": "tokens"}, "/grants/0/amount", "required"),
        ({"quantity": 1}, "/grants/0/amount", "required"),
        ({"quantity": 1, "metric": "no"}, "/grants/0/metric", "unknown_metric"),
        ({"amount": 1, "recurrence": "DAILY"}, "/grants/0/recurrence", "invalid_choice"),
        ({"amount": 1, "expires_after_days": 0}, "/grants/0/expires_after_days", "min_value"),
        ({"amount": 1, "priority": -1}, "/grants/0/priority", "min_value"),
        ({"amount": 1, "priority": 32768}, "/grants/0/priority", "max_value"),
        ({"amount": 1, "rollover": {"mode": "PERCENT"}}, "/grants/0/rollover/percent", "required"),
        (
            {"amount": 1, "rollover": {"mode": "PERCENT", "percent": 101}},
            "/grants/0/rollover/percent",
            "too_large",
        ),
        (
            {"quantity": 1, "metric": "tokens", "ssp_unit_price": "1" + "0" * 16},
            "/grants/0/ssp_unit_price",
            "too_large",
        ),
    ],
)
def test_a_bad_grant(api: APIClient, grant: dict[str, Any], pointer: str, code: str) -> None:
    factories.metric("tokens")
    plan = {"code": "p", "name": "P", "currency": "USD", "charges": [],
            "grants": [{"kind": "PROMO", "recurrence": "ONCE"} | grant]}  # fmt: skip

    refused = api.post("/v1/rate-plans", plan)

    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, code)]
    assert everything() == [[], [], [], [], []]


def test_an_empty_plan_is_not_published(api: APIClient) -> None:
    plan = {"code": "p", "name": "P", "currency": "USD", "charges": []}
    assert api.post("/v1/rate-plans", plan).status_code == 201

    refused = api.post("/v1/rate-plans/p/publish", {})

    assert (refused.status_code, refused.json()["code"]) == (422, "empty")
    assert RatePlanVersion.objects.get().status == "DRAFT"


def test_a_draft_typed_part_by_part_is_read_once_more(
    api: APIClient, drafted: dict[str, Any]
) -> None:
    ChargeMetric.objects.all().delete()

    refused = api.post("/v1/rate-plans/p/publish", {})

    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/charges/1/metric"]
    assert RatePlanVersion.objects.get().status == "DRAFT"


def test_a_plan_is_not_published_on_metrics_of_the_other_mode(
    api: APIClient, drafted: dict[str, Any]
) -> None:
    ChargeMetric.objects.filter(metric__code="tokens").update(
        metric=factories.metric("tokens", livemode=True)
    )

    refused = api.post("/v1/rate-plans/p/publish", {})

    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_metric")
    assert RatePlanVersion.objects.get().status == "DRAFT"


@pytest.mark.parametrize("change", ["currency = 'EUR'", "code = 'q'", "livemode = true"])
def test_a_published_plan_keeps_what_its_prices_are_written_in(
    api: APIClient, drafted: dict[str, Any], change: str
) -> None:
    api.post("/v1/rate-plans/p/publish", {})

    with (
        pytest.raises(IntegrityError, match="keeps its code and currency"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE pricing_rateplan SET {change}")

    RatePlan.objects.update(name="Renamed")
    plan = RatePlan.objects.get()
    assert (plan.code, plan.currency, plan.livemode, plan.name) == ("p", "USD", False, "Renamed")


def test_a_version_retires_when_another_is_sold(api: APIClient, drafted: dict[str, Any]) -> None:
    api.post("/v1/rate-plans/p/publish", {})
    sold = {"code": "o", "name": "O", "rate_plan": "p", "billing_mode": "HYBRID",
            "interval": "MONTH"}  # fmt: skip
    assert api.post("/v1/offerings", sold).status_code == 201

    early = api.post("/v1/rate-plans/p/versions/1/retire", {})
    assert (early.status_code, early.json()["code"]) == (409, "on_sale")
    assert RatePlanVersion.objects.get(number=1).status == "PUBLISHED"

    api.post("/v1/rate-plans/p/versions", {})
    draft = api.post("/v1/rate-plans/p/versions/2/retire", {})
    api.post("/v1/rate-plans/p/publish", {})
    retired = api.post("/v1/rate-plans/p/versions/1/retire", {})
    again = api.post("/v1/rate-plans/p/versions/1/retire", {})

    assert (draft.status_code, draft.json()["code"]) == (409, "not_published")
    assert (retired.status_code, retired.json()["status"]) == (200, "RETIRED")
    assert (again.status_code, again.json()["code"]) == (409, "not_published")
    listed = api.get("/v1/rate-plans/p/versions").json()["data"]
    assert [(v["version"], v["status"]) for v in listed] == [(2, "PUBLISHED"), (1, "RETIRED")]
    plan = RatePlan.objects.get()
    assert catalogue.current_version(plan).number == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("threads")
def test_of_publishers_that_meet_one_publishes() -> None:
    factories.metric("tokens")
    plans.create_rate_plan(
        livemode=False, code="p", name="P", currency="USD",
        spec=version_spec.VersionSpec(charges=factories.TOKENS_AT_2_MILLS),
    )  # fmt: skip

    def publish(number: int) -> object:
        try:
            return plans.publish(livemode=False, code="p", now=factories.START).status
        except DomainError as error:
            return error.code

    outcomes = at_once(8, publish)

    assert sorted(map(str, outcomes)) == ["PUBLISHED"] + ["no_draft"] * 7
    assert RatePlanVersion.objects.get().published_at == factories.START


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("threads")
def test_a_part_written_while_its_version_is_published_is_refused() -> None:
    """The writer begins before the publisher commits, and must still see that it is too late."""
    factories.metric("tokens")
    draft = plans.create_rate_plan(
        livemode=False, code="p", name="P", currency="USD",
        spec=version_spec.VersionSpec(charges=factories.TOKENS_AT_2_MILLS),
    )  # fmt: skip
    writing, outcome = threading.Event(), list[str]()

    def write() -> None:
        writing.set()
        try:
            Charge.objects.create(version_id=draft.pk, code="late", model="FLAT_RATE", terms={})
        except IntegrityError as error:
            outcome.append(str(error).splitlines()[0])
        else:
            outcome.append("written")
        finally:
            connection.close()

    with transaction.atomic():
        plans.publish(livemode=False, code="p", now=factories.START)
        writer = threading.Thread(target=write)
        writer.start()
        writing.wait(5)
        writer.join(0.5)
        waited = not outcome
    writer.join(10)

    assert waited
    assert outcome == ["a published rate plan version never changes"]
    assert [charge.code for charge in Charge.objects.all()] == ["tokens"]
