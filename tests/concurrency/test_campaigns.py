"""Real threads and real commits on one campaign: never beyond its budget, never twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from aforo.errors import Conflict
from billing.campaigns import campaign_runs
from billing.finance import verification
from billing.models import CampaignRun
from tests import campaigns, factories
from tests.campaigns import MATCH, TEN_THOUSAND
from tests.concurrency.threads import at_once
from wallets.grants import campaign_grants

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


def redeem(customer: str, key: str = "k") -> str:
    try:
        campaign_grants.redeem(livemode=False, customer_id=customer, code="C", key=key)
    except Conflict as refused:
        return refused.code
    return "granted"


@pytest.mark.parametrize(
    ("members", "refusal"),
    [({"budget": "19999"}, "budget_spent"), ({"max_grants": 1}, "limit_reached")],
)
def test_two_redeem_the_last_grant_and_one_wins(members: dict[str, Any], refusal: str) -> None:
    factories.metric()
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
    campaigns.running("C", now=timezone.now(), **members)

    results = at_once(2, lambda n: redeem(f"cust_{n + 1}"))

    assert sorted(results) == sorted(["granted", refusal])
    assert campaigns.counters("C") == (10_000, 1)
    assert len(campaigns.given("C")) == 1
    assert verification.verify().ok


def test_twenty_customers_on_a_budget_for_seven() -> None:
    factories.metric()
    for n in range(20):
        factories.customer(f"cust_{n}")
    campaigns.running("C", now=timezone.now(), budget="75000")

    results = Counter(at_once(20, lambda n: redeem(f"cust_{n}")))

    assert results == {"granted": 7, "budget_spent": 13}
    assert campaigns.counters("C") == (70_000, 7)
    assert verification.verify().ok


def test_one_customer_redeems_ten_times_under_ten_keys() -> None:
    factories.metric()
    factories.customer()
    campaigns.running("C", now=timezone.now())

    results = Counter(at_once(10, lambda n: redeem("cust_1", f"k{n}")))

    assert results == {"granted": 1, "already_granted": 9}
    assert campaigns.given("C") == [("cust_1", "10000")]


def test_top_ups_at_once_share_what_is_left_and_all_succeed() -> None:
    """Ten top-ups of 100 match 20 each on a budget of 70: three whole ones, one of 10."""
    for n in range(10):
        factories.customer(f"cust_{n}")
    campaigns.running("M", MATCH, now=timezone.now(), budget="70")

    at_once(10, lambda n: factories.top_up(f"cust_{n}", "100"))

    assert sorted(quantity for _, quantity in campaigns.given("M")) == ["10", "20", "20", "20"]
    assert campaigns.counters("M") == (70, 4)
    assert verification.verify().ok


def test_a_run_executed_by_many_gives_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any lease, so that all of them work on the same chunks."""
    factories.metric()
    monkeypatch.setattr(campaign_runs, "CHUNK", 3)
    monkeypatch.setattr(campaign_runs, "LEASE", timedelta(days=-1))
    for n in range(20):
        factories.customer(f"cust_{n}")
    free = TEN_THOUSAND | {"trigger": "EVERYBODY"}
    campaigns.draft("C", free)
    _, run = campaign_runs.activate(livemode=False, code="C", now=timezone.now())
    assert run is not None
    run_id = run.pk

    at_once(4, lambda _: campaign_runs.execute(run_id=run_id, clock=timezone.now))

    done = CampaignRun.objects.get()
    assert (done.status, done.total, done.done, done.granted) == ("DONE", 20, 20, 20)
    assert campaigns.counters("C") == (200_000, 20)
    assert len(set(campaigns.given("C"))) == 20
    assert verification.verify().ok
