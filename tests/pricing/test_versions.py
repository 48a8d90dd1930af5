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
from tests.concurrency.threads import at_once
from tests.pricing.versions import WORDS, say

pytestmark = pytest.mark.django_db


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


def test_a_draft_keeps_the_members_that_are_left_out(
    api: APIClient, drafted: dict[str, Any]
) -> None:
    changed = api.patch("/v1/rate-plans/p", {"minimum_spend": None, "grants": []})

    assert changed.status_code == 200
    assert say(changed.json()) == say(drafted) | {"minimum_spend": None, "grants": []}
    assert GrantTemplate.objects.count() == 0


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
