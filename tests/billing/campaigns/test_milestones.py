"""Usage milestones: so much in a month of the customer's own, and a grant comes, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.campaigns import milestones
from billing.customers import customers
from billing.finance import verification
from billing.isolation import Isolation
from billing.usage import ingest
from ledger.models import Book
from pricing.campaigns import campaigns as pricing_campaigns
from pricing.models import Campaign
from tests import campaigns, factories
from tests.campaigns import TEN_THOUSAND
from tests.factories import FEBRUARY, START
from wallets.models import CampaignGrant, CreditLot

pytestmark = pytest.mark.django_db

REACHED = TEN_THOUSAND | {
    "trigger": "MILESTONE",
    "milestone_metric": "tokens",
    "milestone_quantity": "1000",
    "quantity": "50",
}


@pytest.fixture(autouse=True)
def tokens() -> None:
    factories.metric("tokens")


@pytest.fixture
def book() -> Book:
    return factories.clocked_customer()


def test_a_milestone_is_reached_once_a_month(book: Book) -> None:
    campaigns.running("REACHED", REACHED)
    campaigns.use("999.5", "a", START)
    assert campaigns.sweep() == 0

    campaigns.use("0.5", "b", START)
    assert campaigns.sweep() == 1
    campaigns.use("5000", "c", START)
    assert campaigns.sweep() == 0
    factories.advance(book, FEBRUARY)
    campaigns.use("999", "d", FEBRUARY)
    assert campaigns.sweep() == 0
    campaigns.use("1", "e", FEBRUARY)
    assert campaigns.sweep() == 1
    assert campaigns.sweep() == 0

    assert campaigns.given("REACHED") == [("cust_1", "50")] * 2
    causes = CampaignGrant.objects.order_by("pk").values_list("cause", flat=True)
    assert list(causes) == ["2026-01", "2026-02"]
    assert verification.verify().ok


def test_months_are_those_of_the_customer(book: Book) -> None:
    """2 February 03:00 UTC is 1 February in New York; 1 February 03:00 UTC is January there."""
    customers.update_customer(
        livemode=False, customer_id="cust_1", changes={"timezone": "America/New_York"}
    )
    campaigns.running("REACHED", REACHED)
    factories.advance(book, FEBRUARY + timedelta(days=2))

    campaigns.use("600", "a", FEBRUARY - timedelta(days=3))
    campaigns.use("400", "b", FEBRUARY + timedelta(hours=3))
    assert campaigns.sweep() == 1

    assert CampaignGrant.objects.get().cause == "2026-01"


def test_only_usage_inside_the_window_counts(book: Book) -> None:
    starts, ends = START + timedelta(days=10), START + timedelta(days=20)
    campaigns.running("REACHED", REACHED, starts_at=starts, ends_at=ends)
    factories.advance(book, FEBRUARY)
    Campaign.objects.update(status="ACTIVE")

    campaigns.use("900", "before", starts - timedelta(seconds=1))
    campaigns.use("999", "inside", starts)
    campaigns.use("900", "after", ends)
    assert campaigns.sweep() == 0
    assert Campaign.objects.get().status == "ENDED", "the real day is later"

    Campaign.objects.update(status="ACTIVE")
    campaigns.use("1", "last", ends - timedelta(seconds=1))
    assert campaigns.sweep() == 1, (
        "reached inside the window, seen after it and before it is closed"
    )


def test_a_clock_that_advances_gives_first_what_was_reached(book: Book) -> None:
    campaigns.running("REACHED", REACHED)
    campaigns.use("1000", "a", START)

    factories.advance(book, FEBRUARY)

    lot = CreditLot.objects.get()
    assert (lot.face, lot.granted_at, lot.cause) == (50, START, "campaign:REACHED:2026-01")
    # It was given on 1 January for 14 days, and time has passed since.
    assert lot.remaining == 0


def test_live_customers_reach_milestones_too() -> None:
    factories.metric("tokens", livemode=True)
    factories.customer("cust_1", livemode=True)
    now = timezone.now()
    pricing_campaigns.create_campaign(livemode=True, code="R", terms=campaigns.terms(**REACHED))
    pricing_campaigns.activate_campaign(livemode=True, code="R", now=now)
    event = factories.event("cust_1", "1000", "a", now)
    ingest.ingest(livemode=True, events=[event], received_at=now)

    assert campaigns.sweep() == 1
    assert campaigns.given("R") == [("cust_1", "50")]


def test_a_sweep_without_new_usage_reads_no_customer(book: Book) -> None:
    campaigns.running("REACHED", REACHED)
    campaigns.use("10", "a", START)
    later = timezone.now() + timedelta(minutes=10)
    assert milestones.check(now=later, alone=Isolation()) == 0

    with CaptureQueriesContext(connection) as captured:
        assert milestones.check(now=later + timedelta(minutes=1), alone=Isolation()) == 0

    assert not any("billing_customer" in query["sql"] for query in captured)
