"""Campaigns for the tests, built by the services; and what no campaign may promise."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from billing.jobs import due_work
from pricing.campaigns import campaign_terms, campaigns
from pricing.models import Campaign
from tests import factories
from tests.factories import START
from wallets.models import CampaignGrant

# "10,000 free tokens, gone in 14 days."
TEN_THOUSAND: dict[str, Any] = {
    "name": "10,000 free tokens",
    "trigger": "CODE",
    "metric": "tokens",
    "quantity": "10000",
    "expires_after_days": 14,
}
MATCH: dict[str, Any] = {
    "name": "20 % more",
    "trigger": "TOP_UP",
    "currency": "USD",
    "match_percent": "20",
}
NO_UNITS = {"metric": "", "quantity": None}

# What is wrong, and the fields that say so, each with its code.
BAD_TERMS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("no quantity", {"quantity": None}, {"/quantity": "required"}),
    ("no metric", {"metric": ""}, {"/metric": "required"}),
    ("nothing given", NO_UNITS, {"/amount": "required"}),
    ("money without currency", NO_UNITS | {"amount": "5"}, {"/currency": "currency_required"}),
    ("units in a currency", {"currency": "USD"}, {"/currency": "not_combinable"}),
    (
        "money and units",
        {"amount": "5", "currency": "USD"},
        {"/metric": "not_combinable", "/quantity": "not_combinable"},
    ),
    (
        "two expiries",
        {"expires_at": "2030-01-01T00:00:00Z"},
        {"/expires_at": "two_expiries"},
    ),
    ("a match by code", {"match_percent": "20"}, {"/match_percent": "not_combinable"}),
    ("a cap by code", {"max_per_top_up": "20"}, {"/max_per_top_up": "not_combinable"}),
    (
        "a milestone by code",
        {"milestone_metric": "tokens", "milestone_quantity": "5"},
        {"/milestone_metric": "not_combinable", "/milestone_quantity": "not_combinable"},
    ),
    (
        "a milestone without terms",
        {"trigger": "MILESTONE"},
        {"/milestone_metric": "required", "/milestone_quantity": "required"},
    ),
    (
        "a code nobody redeems",
        {"trigger": "EVERYBODY", "redemption_code": "X"},
        {"/redemption_code": "not_combinable"},
    ),
    (
        "a match without terms",
        {"trigger": "TOP_UP"},
        {
            "/match_percent": "required",
            "/currency": "currency_required",
            "/quantity": "not_combinable",
            "/metric": "not_combinable",
        },
    ),
    ("a match as promo", NO_UNITS | MATCH | {"kind": "PROMO"}, {"/kind": "bonus_only"}),
    (
        "a match of too much",
        NO_UNITS | MATCH | {"match_percent": "1000.01"},
        {"/match_percent": "too_large"},
    ),
    ("a budget below one grant", {"budget": "9999.99"}, {"/budget": "below_one_grant"}),
    (
        "a window that ends as it begins",
        {"starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"},
        {"/ends_at": "before_start"},
    ),
    (
        "credits gone before the start",
        {
            "expires_after_days": None,
            "starts_at": "2030-01-01T00:00:00Z",
            "expires_at": "2030-01-01T00:00:00Z",
        },
        {"/expires_at": "before_start"},
    ),
    (
        "credits gone before the end",
        {
            "expires_after_days": None,
            "ends_at": "2030-02-01T00:00:00Z",
            "expires_at": "2030-01-31T00:00:00Z",
        },
        {"/expires_at": "before_end"},
    ),
    ("no list", {"audience": "TAGS"}, {"/audience_list": "required"}),
    ("a list for all", {"audience_list": ["a"]}, {"/audience_list": "not_combinable"}),
    (
        "an offering nobody sells",
        {"audience": "OFFERINGS", "audience_list": ["nope"]},
        {"/audience_list/0": "unknown_offering"},
    ),
    (
        "a tag twice",
        {"audience": "TAGS", "audience_list": ["a", "b", "a"]},
        {"/audience_list/2": "repeated"},
    ),
    ("an address", {"code": "redeem"}, {"/code": "reserved"}),
    ("a code taken", {"redemption_code": "Taken"}, {"/redemption_code": "code_taken"}),
]


def terms(**members: Any) -> campaign_terms.CampaignTerms:
    """Read terms whose decimals are written as strings."""
    decimals = {
        "amount", "quantity", "match_percent", "max_per_top_up", "milestone_quantity", "budget",
    }  # fmt: skip
    read: dict[str, Any] = {
        name: Decimal(value) if name in decimals and value is not None else value
        for name, value in members.items()
    }
    return campaign_terms.CampaignTerms(**read)


def draft(code: str, base: dict[str, Any] | None = None, **members: Any) -> Campaign:
    """Draft a sandbox campaign."""
    base = TEN_THOUSAND if base is None else base
    return campaigns.create_campaign(livemode=False, code=code, terms=terms(**(base | members)))


def running(
    code: str, base: dict[str, Any] | None = None, *, now: datetime = START, **members: Any
) -> Campaign:
    """Draft a sandbox campaign and activate it."""
    draft(code, base, **members)
    return campaigns.activate_campaign(livemode=False, code=code, now=now)


def given(code: str) -> list[tuple[str, str]]:
    """Return the grants of a campaign: customer and quantity."""
    grants = CampaignGrant.objects.filter(campaign__code=code).select_related("book")
    return [(g.book.key, f"{g.quantity.normalize():f}") for g in grants.order_by("pk")]


def counters(code: str) -> tuple[Decimal, int]:
    """Return what a campaign has granted, and its number of grants."""
    campaign = Campaign.objects.get(code=code)
    return campaign.spent, campaign.grants


def use(quantity: str, name: str, at: datetime, customer: str = "cust_1") -> None:
    """Meter tokens of a sandbox customer."""
    factories.meter(quantity, at, name, key=customer)


def sweep() -> int:
    """Sweep; return the number of grants of campaigns."""
    return due_work.sweep(now=timezone.now(), clock=timezone.now).campaign_grants
