"""Every trigger gives what was promised, once per cause, to its audience, and never more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from billing.customers import customers
from billing.finance import verification
from ledger.models import Book, Entry
from pricing.models import Campaign
from tests import campaigns, factories
from tests.campaigns import TEN_THOUSAND
from tests.factories import FEBRUARY, MARCH, START
from wallets.models import CampaignGrant, CreditLot

pytestmark = pytest.mark.django_db

SUBSCRIBED = TEN_THOUSAND | {"trigger": "SUBSCRIPTION"}


@pytest.fixture(autouse=True)
def tokens() -> None:
    factories.metric("tokens")


@pytest.fixture
def book() -> Book:
    return factories.clocked_customer()


def everything() -> tuple[Any, ...]:
    return (
        factories.everything(),
        CampaignGrant.objects.count(),
        list(Campaign.objects.order_by("pk").values()),
    )


def redeem(api: APIClient, code: str, customer: str = "cust_1", key: str = "k") -> Any:
    body = {"customer_id": customer, "code": code, "idempotency_key": key}
    return api.post("/v1/campaigns/redeem", body)


def test_a_code_gives_ten_thousand_tokens_for_14_days(api: APIClient, book: Book) -> None:
    campaigns.running("WELCOME")

    answer = redeem(api, "welcome")

    assert answer.status_code == 201
    said = answer.json()
    assert (said["campaign"], said["kind"], said["metric"], said["quantity"]) == (
        "WELCOME", "PROMO", "tokens", "10000",
    )  # fmt: skip
    (lot,) = said["lots"]
    assert (lot["granted"], lot["source"], lot["carrying"]) == ("10000", "CAMPAIGN", "0")
    assert lot["expires_at"] == "2026-01-15T00:00:00Z"
    stored = CreditLot.objects.get()
    assert (stored.cause, stored.reason) == ("campaign:WELCOME:code", "10,000 free tokens")
    entry = Entry.objects.get(pk=said["entry"])
    assert (entry.event, entry.document["campaign"]) == ("GRANT", "WELCOME")
    assert not entry.postings.exists(), "nothing was paid, so nothing is posted"
    assert campaigns.counters("WELCOME") == (10_000, 1)
    (listed,) = api.get("/v1/campaigns/WELCOME/grants?customer_id=cust_1").json()["data"]
    assert (listed["cause"], listed["quantity"], listed["lot"]) == ("code", "10000", lot["lot"])
    assert verification.verify().ok


def test_a_redemption_is_replayed_and_never_repeated(api: APIClient, book: Book) -> None:
    campaigns.running("WELCOME")
    first = redeem(api, "WELCOME")
    before = everything()

    again = redeem(api, "WELCOME")
    other_key = redeem(api, "WELCOME", key="k2")
    other_code = redeem(api, "OTHER")
    no_key = api.post("/v1/campaigns/redeem", {"customer_id": "cust_1", "code": "WELCOME"})

    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"
    assert (other_key.status_code, other_key.json()["code"]) == (409, "already_granted")
    assert (other_code.status_code, other_code.json()["code"]) == (422, "key_reused")
    assert no_key.json()["code"] == "idempotency_key_required"
    assert everything() == before


@pytest.mark.parametrize(
    ("_case", "members", "status", "code"),
    [
        ("paused", {}, "PAUSED", "campaign_not_active"),
        ("a draft", {}, "DRAFT", "campaign_not_active"),
        ("ended", {}, "ENDED", "campaign_over"),
        ("not begun", {"starts_at": FEBRUARY}, None, "campaign_not_active"),
        ("over, though not swept", {"ends_at": START}, "ACTIVE", "campaign_over"),
        (
            "what it gives has lapsed",
            {"expires_at": START, "expires_after_days": None},
            "ACTIVE",
            "campaign_over",
        ),
        ("not tagged", {"audience": "TAGS", "audience_list": ["vip"]}, None, "not_in_audience"),
        (
            "not listed",
            {"audience": "CUSTOMERS", "audience_list": ["cust_2"]},
            None,
            "not_in_audience",
        ),
        (
            "not subscribed",
            {"audience": "OFFERINGS", "audience_list": ["tokens_monthly"]},
            None,
            "not_in_audience",
        ),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    api: APIClient,
    book: Book,
    _case: str,
    members: dict[str, Any],
    status: str | None,
    code: str,
) -> None:
    factories.offering()
    campaigns.running("C", now=START - timedelta(days=1), **members)
    if status is not None:
        Campaign.objects.update(status=status)
    before = everything()

    refused = redeem(api, "C")

    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert everything() == before
    # The key is still free.
    campaigns.running("GOOD")
    assert redeem(api, "GOOD").status_code == 201


@pytest.mark.parametrize(
    ("members", "code"),
    [({"budget": "15000"}, "budget_spent"), ({"max_grants": 1}, "limit_reached")],
)
def test_the_last_grant_is_the_last(
    api: APIClient, book: Book, members: dict[str, Any], code: str
) -> None:
    factories.clocked_customer("cust_2")
    campaigns.running("C", **members)
    assert redeem(api, "C").status_code == 201
    before = everything()

    refused = redeem(api, "C", "cust_2")

    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert everything() == before


@pytest.mark.parametrize("code", ["nope", "\x00", "x" * 64, "WELCOME%", "W_LCOME"])
def test_a_code_that_does_not_exist(api: APIClient, book: Book, code: str) -> None:
    campaigns.running("WELCOME")
    before = everything()

    refused = redeem(api, code)

    assert refused.status_code == 422
    assert everything() == before
    assert redeem(api, "WELCOME", "cust_9").status_code == 404


def test_other_triggers_are_not_redeemed(api: APIClient, book: Book) -> None:
    campaigns.running("S", SUBSCRIBED)

    assert redeem(api, "S").json()["code"] == "unknown_code"


def test_a_code_of_the_audience(api: APIClient) -> None:
    factories.offering()
    factories.clocked_customer("cust_1")
    factories.subscription("cust_1")
    customers.create_customer(livemode=False, customer_id="cust_2", name="Two", tags=["a", "vip"])
    campaigns.running("O", audience="OFFERINGS", audience_list=["tokens_monthly"])
    campaigns.running("T", audience="TAGS", audience_list=["vip", "beta"])
    campaigns.running("L", audience="CUSTOMERS", audience_list=["cust_1"])

    got = {
        code: [redeem(api, code, c, key=f"{code}{c}").status_code for c in ("cust_1", "cust_2")]
        for code in ("O", "T", "L")
    }

    assert got == {"O": [201, 409], "T": [409, 201], "L": [201, 409]}


def test_a_subscription_is_welcomed_once(book: Book) -> None:
    factories.offering()
    other = [
        {"code": "calls", "model": "PER_UNIT", "metric": "calls", "terms": {"unit_price": "1"}}
    ]
    factories.metric("calls")
    factories.offering("calls_monthly", charges=other)
    campaigns.running("ALL", SUBSCRIBED)
    only: dict[str, Any] = {"audience": "OFFERINGS", "audience_list": ["calls_monthly"]}
    campaigns.running("ONLY", SUBSCRIBED, **only)
    campaigns.running("ONCE", SUBSCRIBED, max_per_customer=1)

    first = factories.subscription("cust_1")
    assert [campaigns.given(code) for code in ("ALL", "ONLY", "ONCE")] == [
        [("cust_1", "10000")], [], [("cust_1", "10000")],
    ]  # fmt: skip
    second = factories.subscription("cust_1", "calls_monthly")
    factories.advance(book, MARCH)

    assert campaigns.given("ALL") == [("cust_1", "10000")] * 2
    assert campaigns.given("ONLY") == [("cust_1", "10000")]
    assert campaigns.given("ONCE") == [("cust_1", "10000")]
    causes = CampaignGrant.objects.filter(campaign__code="ALL").values_list("cause", flat=True)
    assert set(causes) == {str(first.pk), str(second.pk)}
    assert verification.verify().ok


def test_a_subscription_starts_also_where_a_campaign_has_nothing_left(book: Book) -> None:
    factories.offering()
    campaigns.running("C", SUBSCRIBED, budget="10000")
    Campaign.objects.update(spent=5_000)

    factories.subscription("cust_1")

    assert campaigns.given("C") == []
    assert campaigns.counters("C") == (5_000, 0)


def test_money_of_a_campaign_is_burned_as_promo(api: APIClient, book: Book) -> None:
    money: dict[str, Any] = {"amount": "5", "currency": "USD", "metric": "", "quantity": None}
    campaigns.running("FIVE", **money)
    factories.top_up("cust_1", "10")
    redeem(api, "FIVE")

    paid = factories.body(factories.debit("cust_1", "7"))["allocations"]

    assert [(a["kind"], a["source"], a["amount"]) for a in paid] == [
        ("PROMO", "CAMPAIGN", "5"),
        ("CASH", "TOP_UP", "2"),
    ]
    assert verification.verify().ok


def test_windows_open_and_close_with_the_sweep() -> None:
    now = timezone.now()
    campaigns.running("SOON", now=now - timedelta(hours=2), starts_at=now - timedelta(hours=1))
    campaigns.running("GONE", now=now - timedelta(hours=2), ends_at=now - timedelta(hours=1))
    assert Campaign.objects.get(code="SOON").status == "SCHEDULED"

    campaigns.sweep()

    assert Campaign.objects.get(code="SOON").status == "ACTIVE"
    assert Campaign.objects.get(code="GONE").status == "ENDED"


def test_scopes(api: APIClient) -> None:
    def client(*scopes: str) -> APIClient:
        _, secret = create_api_key(livemode=False, name="some", scopes=list(scopes))
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return made

    factories.customer()
    campaigns.running("C", now=datetime(2026, 1, 1, tzinfo=UTC))

    assert redeem(client("catalog"), "C").status_code == 403
    assert client("wallets").get("/v1/campaigns").status_code == 403
    assert redeem(client("wallets"), "C").status_code == 201
    assert client("catalog").get("/v1/campaigns/C/progress").status_code == 200
