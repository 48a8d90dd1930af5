"""Campaigns in the catalogue: what may be promised, how one lives, what the database holds."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from aforo.errors import Conflict, Invalid
from pricing.campaigns import campaigns as pricing_campaigns
from pricing.models import Campaign
from tests import campaigns, factories
from tests.campaigns import BAD_TERMS, MATCH, TEN_THOUSAND
from tests.factories import FEBRUARY, MARCH, START

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def tokens() -> None:
    factories.metric("tokens")


def everything() -> list[Any]:
    return list(Campaign.objects.order_by("pk").values())


def test_an_answer_says_what_was_sent(api: APIClient) -> None:
    body = TEN_THOUSAND | {
        "code": "WELCOME",
        "audience": "TAGS",
        "audience_list": ["beta", "vip"],
        "starts_at": "2030-01-01T00:00:00Z",
        "ends_at": "2030-02-01T00:00:00Z",
        "priority": 5,
        "budget": "25000",
        "max_grants": 3,
        "max_per_customer": 1,
    }

    made = api.post("/v1/campaigns", body)

    assert made.status_code == 201
    said = made.json()
    assert body.items() <= said.items()
    assert (said["status"], said["kind"], said["redemption_code"]) == ("DRAFT", "PROMO", "WELCOME")
    assert (said["spent"], said["grants"], said["amount"]) == ("0", 0, None)
    assert api.get("/v1/campaigns/WELCOME").json() == said
    assert api.get("/v1/campaigns?status=DRAFT&trigger=CODE").json()["data"] == [said]
    assert api.get("/v1/campaigns?status=ACTIVE").json()["data"] == []


def test_a_match_is_bonus(api: APIClient) -> None:
    made = api.post("/v1/campaigns", MATCH | {"code": "MORE", "max_per_top_up": "50"})

    assert made.status_code == 201
    assert (made.json()["kind"], made.json()["redemption_code"]) == ("BONUS", "")


@pytest.mark.parametrize(("_case", "changes", "faults"), BAD_TERMS)
def test_terms_that_do_not_hold_together(
    api: APIClient, _case: str, changes: dict[str, Any], faults: dict[str, str]
) -> None:
    campaigns.draft("TAKEN")
    before = everything()

    refused = api.post("/v1/campaigns", {"code": "C"} | TEN_THOUSAND | changes)

    assert refused.status_code == 422
    assert {e["pointer"]: e["code"] for e in refused.json()["errors"]} == faults
    assert everything() == before


@pytest.mark.parametrize(("_case", "changes", "faults"), BAD_TERMS)
def test_a_draft_is_not_changed_into_them_either(
    api: APIClient, _case: str, changes: dict[str, Any], faults: dict[str, str]
) -> None:
    if "code" in changes:
        pytest.skip("a campaign keeps its code")
    campaigns.draft("TAKEN")
    campaigns.draft("C")
    before = everything()

    refused = api.patch("/v1/campaigns/C", changes)

    assert refused.status_code == 422
    assert {e["pointer"]: e["code"] for e in refused.json()["errors"]} == faults
    assert everything() == before


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"metric": "nothing"}, "/metric", "unknown_metric"),
        ({"metric": "to\x00ken"}, "/metric", "null_characters_not_allowed"),
        ({"quantity": "0"}, "/quantity", "not_positive"),
        ({"quantity": "1" + "0" * 26}, "/quantity", "too_large"),
        ({"expires_after_days": 0}, "/expires_after_days", "min_value"),
        ({"max_grants": 0}, "/max_grants", "min_value"),
        ({"max_per_customer": 10**12}, "/max_per_customer", "max_value"),
        ({"trigger": "LUCK"}, "/trigger", "invalid_choice"),
        ({"kind": "CASH"}, "/kind", "invalid_choice"),
        ({"audience_list": "all"}, "/audience_list", "not_a_list"),
        ({"starts_at": "soon"}, "/starts_at", "invalid"),
        ({"currency": "XXX"}, "/currency", "unknown_currency"),
        ({"code": "a b"}, "/code", "invalid"),
        ({"spent": "5"}, "/spent", "unknown_field"),
    ],
)
def test_a_member_that_cannot_be_read(
    api: APIClient, changes: dict[str, Any], pointer: str, code: str
) -> None:
    refused = api.post("/v1/campaigns", {"code": "C"} | TEN_THOUSAND | changes)

    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, code)]
    assert everything() == []


def test_metrics_and_offerings_are_those_of_the_mode(live_api: APIClient) -> None:
    factories.offering("sandbox_only")

    refused = live_api.post(
        "/v1/campaigns",
        {"code": "C"} | TEN_THOUSAND
        | {"audience": "OFFERINGS", "audience_list": ["sandbox_only"]},
    )  # fmt: skip

    pointers = [e["pointer"] for e in refused.json()["errors"]]
    assert (refused.status_code, pointers) == (422, ["/metric", "/audience_list/0"])


def test_codes_are_taken_once_a_mode(api: APIClient, live_api: APIClient) -> None:
    factories.metric("tokens", livemode=True)
    body = {"code": "C"} | TEN_THOUSAND

    assert api.post("/v1/campaigns", body).status_code == 201
    assert live_api.post("/v1/campaigns", body).status_code == 201
    again = api.post("/v1/campaigns", body | {"redemption_code": "other"})

    assert (again.status_code, again.json()["code"]) == (409, "code_taken")
    assert live_api.get("/v1/campaigns/nope").status_code == 404


def test_a_change_replaces_what_it_names(api: APIClient) -> None:
    campaigns.draft("C", budget="20000")

    changed = api.patch("/v1/campaigns/C", {"quantity": "5000", "budget": None})

    assert changed.status_code == 200
    said = changed.json()
    assert (said["quantity"], said["budget"], said["expires_after_days"]) == ("5000", None, 14)


def test_a_campaign_lives(api: APIClient) -> None:
    campaigns.draft("C", starts_at=FEBRUARY, ends_at=MARCH)

    def now(at: Any) -> str:
        return str(pricing_campaigns.activate_campaign(livemode=False, code="C", now=at).status)

    assert api.post("/v1/campaigns/C/pause").json()["code"] == "campaign_not_active"
    assert now(START) == "SCHEDULED"
    assert now(FEBRUARY) == "SCHEDULED", "activating it again changes nothing"
    late = api.patch("/v1/campaigns/C", {"name": "other"})
    assert (late.status_code, late.json()["code"]) == (409, "campaign_not_draft")
    assert api.post("/v1/campaigns/C/pause").json()["status"] == "PAUSED"
    assert now(FEBRUARY) == "ACTIVE"
    assert api.post("/v1/campaigns/C/end").json()["status"] == "ENDED"
    assert api.post("/v1/campaigns/C/end").json()["status"] == "ENDED"
    for step in ("activate", "pause"):
        refused = api.post(f"/v1/campaigns/C/{step}")
        assert (refused.status_code, refused.json()["code"]) == (409, "campaign_over")


def test_windows_are_half_open_and_followed() -> None:
    campaigns.running("C", starts_at=FEBRUARY, ends_at=MARCH)
    instant = timedelta(microseconds=1)
    seen = []

    for moment in (FEBRUARY - instant, FEBRUARY, MARCH - instant, MARCH):
        pricing_campaigns.follow_windows(now=moment)
        seen.append(Campaign.objects.get().status)

    assert seen == ["SCHEDULED", "ACTIVE", "ACTIVE", "ENDED"]
    assert pricing_campaigns.follow_windows(now=MARCH) == 0


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"ends_at": FEBRUARY}, "/ends_at"),
        ({"expires_at": FEBRUARY, "expires_after_days": None}, "/expires_at"),
    ],
)
def test_what_is_over_is_not_activated(members: dict[str, Any], pointer: str) -> None:
    campaigns.draft("C", **members)

    with pytest.raises(Invalid) as refused:
        pricing_campaigns.activate_campaign(livemode=False, code="C", now=FEBRUARY)

    assert [(e.pointer, e.code) for e in refused.value.errors] == [(pointer, "in_the_past")]
    assert Campaign.objects.get().status == "DRAFT"


def test_an_activation_under_a_key_is_replayed(api: APIClient) -> None:
    campaigns.draft("C")

    first, second = (
        api.post("/v1/campaigns/C/activate", HTTP_IDEMPOTENCY_KEY="k") for _ in range(2)
    )

    assert (first.status_code, first.json()["status"]) == (200, "ACTIVE")
    assert second.content == first.content
    assert second["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("members", "claims", "left"),
    [
        ({"budget": "25000"}, [(1, 10_000), (1, 10_000)], "budget_spent"),
        ({"max_grants": 1}, [(1, 10_000)], "limit_reached"),
        ({"budget": "10000", "max_grants": 5}, [(1, 10_000)], "budget_spent"),
    ],
)
def test_claims_end_with_what_there_is(
    members: dict[str, Any], claims: list[tuple[int, int]], left: str
) -> None:
    campaign = campaigns.running("C", **members)

    for grants, quantity in claims:
        claimed = pricing_campaigns.claim(campaign=campaign, each=Decimal(10_000))
        assert (claimed.grants, claimed.quantity) == (grants, quantity)
    before = everything()
    with pytest.raises(Conflict) as refused:
        pricing_campaigns.claim(campaign=campaign, each=Decimal(10_000))

    assert refused.value.code == left
    assert everything() == before


def test_a_claim_of_many_is_cut_to_whole_grants_and_a_match_to_what_is_left() -> None:
    many = campaigns.running("MANY", budget="35000.5", max_grants=100)
    match = campaigns.running("MATCH", MATCH, budget="25")

    claimed = pricing_campaigns.claim(campaign=many, each=Decimal(10_000), grants=10)
    first = pricing_campaigns.claim(campaign=match, each=Decimal(20), clip=True)
    second = pricing_campaigns.claim(campaign=match, each=Decimal(20), clip=True)

    assert (claimed.grants, claimed.quantity) == (3, 30_000)
    assert claimed.short is not None
    assert claimed.short.code == "budget_spent"
    assert (first.quantity, second.quantity) == (20, 5)
    assert campaigns.counters("MANY") == (30_000, 3)
    assert campaigns.counters("MATCH") == (25, 2)


@pytest.mark.parametrize("status", ["DRAFT", "PAUSED", "ENDED"])
def test_nothing_is_claimed_of_a_campaign_that_does_not_run(status: str) -> None:
    campaign = campaigns.running("C")
    Campaign.objects.update(status=status)

    with pytest.raises(Conflict) as refused:
        pricing_campaigns.claim(campaign=campaign, each=Decimal(10_000))

    codes = {"ENDED": "campaign_over"}
    assert refused.value.code == codes.get(status, "campaign_not_active")
    assert campaigns.counters("C") == (0, 0)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("budget", {"spent": 20_001}),
        ("max_grants", {"grants": 3}),
        ("match", {"match_percent": 5}),
        ("money_or_units", {"currency": "USD"}),
        ("grant", {"quantity": 0}),
        ("match", {"trigger": "TOP_UP", "redemption_code": ""}),
        ("milestone", {"trigger": "MILESTONE", "redemption_code": ""}),
        ("milestone", {"milestone_quantity": 5}),
        ("redeemable", {"redemption_code": ""}),
        ("audience", {"audience": "TAGS"}),
        ("window", {"ends_at": START}),
        ("one_expiry", {"expires_at": MARCH}),
    ],
)
def test_the_database_holds_it_too(name: str, columns: dict[str, Any]) -> None:
    campaigns.draft("C", budget="20000", max_grants=2, starts_at=START)

    with pytest.raises(IntegrityError, match=f"pricing_campaign_{name}"), transaction.atomic():
        Campaign.objects.update(**columns)


def test_what_was_promised_is_frozen_for_every_writer() -> None:
    campaigns.running("C")

    with (
        pytest.raises(IntegrityError, match="keeps what it promises"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE pricing_campaign SET quantity = 1")
