"""EVERYBODY campaigns: everybody who matches gets it once, whatever kills or repeats the run."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from billing.campaigns import campaign_runs
from billing.customers import customers
from billing.finance import verification
from billing.isolation import Isolation
from billing.jobs import tasks
from billing.models import CampaignRun, RunStatus
from pricing.campaigns import campaigns as pricing_campaigns
from pricing.models import Campaign
from tests import campaigns, factories
from tests.campaigns import TEN_THOUSAND
from wallets.grants import campaign_grants
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

FREE = TEN_THOUSAND | {"name": "For everybody", "trigger": "EVERYBODY"}


@pytest.fixture(autouse=True)
def five_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three with a tag, served in chunks of two."""
    factories.metric("tokens")
    monkeypatch.setattr(campaign_runs, "CHUNK", 2)
    for n in range(1, 6):
        tags = ["vip"] if n % 2 else []
        customers.create_customer(livemode=False, customer_id=f"cust_{n}", name="C", tags=tags)
    factories.customer("cust_1", livemode=True)


def begin(**members: Any) -> CampaignRun:
    campaigns.draft("FREE", FREE, **members)
    _, run = campaign_runs.activate(livemode=False, code="FREE", now=timezone.now())
    assert run is not None
    return run


def execute(run: CampaignRun) -> CampaignRun:
    return campaign_runs.execute(run_id=run.pk, clock=timezone.now)


def told(run: CampaignRun) -> tuple[str, int, int, int, int]:
    return run.status, run.total, run.done, run.granted, run.skipped


def test_everybody_gets_it() -> None:
    run = begin()
    assert told(run) == ("QUEUED", 5, 0, 0, 0)

    assert told(execute(run)) == ("DONE", 5, 5, 5, 0)

    assert campaigns.given("FREE") == [(f"cust_{n}", "10000") for n in range(1, 6)]
    assert campaigns.counters("FREE") == (50_000, 5)
    lot = CreditLot.objects.order_by("pk")[0]
    assert (lot.cause, lot.source) == ("campaign:FREE:everybody", "CAMPAIGN")
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("members", "matching"),
    [
        ({"audience": "TAGS", "audience_list": ["vip", "x"]}, ["cust_1", "cust_3", "cust_5"]),
        ({"audience": "CUSTOMERS", "audience_list": ["cust_4", "cust_9"]}, ["cust_4"]),
        ({"audience": "OFFERINGS", "audience_list": ["tokens_monthly"]}, ["cust_2"]),
    ],
)
def test_everybody_who_matches(members: dict[str, Any], matching: list[str]) -> None:
    factories.offering()
    factories.subscription("cust_2")

    run = execute(begin(**members))

    assert told(run) == ("DONE", len(matching), len(matching), len(matching), 0)
    assert [customer for customer, _ in campaigns.given("FREE")] == matching


@pytest.mark.parametrize("members", [{"budget": "35000"}, {"max_grants": 3}])
def test_it_ends_with_the_budget(members: dict[str, Any]) -> None:
    run = execute(begin(**members))

    assert told(run) == ("DONE", 5, 5, 3, 2)
    assert [customer for customer, _ in campaigns.given("FREE")] == ["cust_1", "cust_2", "cust_3"]
    assert campaigns.counters("FREE") == (30_000, 3)


def test_killed_in_the_middle_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies in its second chunk: the chunk is undone, the lease holds, then ends."""
    run = begin()
    give = campaign_grants.grant_credits
    calls = iter(range(10))

    def dying(**arguments: Any) -> Any:
        given = give(**arguments)
        if next(calls) == 1:
            raise KeyboardInterrupt
        return given

    with monkeypatch.context() as patched:
        patched.setattr(campaign_grants, "grant_credits", dying)
        with pytest.raises(KeyboardInterrupt):
            execute(run)
    assert campaigns.given("FREE") == [("cust_1", "10000"), ("cust_2", "10000")]
    assert campaigns.counters("FREE") == (20_000, 2)

    assert told(execute(run)) == ("DONE", 5, 5, 5, 0)
    again = campaign_runs.begin_run(Campaign.objects.get())
    assert told(execute(again)) == ("DONE", 5, 5, 0, 5)

    assert campaigns.given("FREE") == [(f"cust_{n}", "10000") for n in range(1, 6)]
    assert campaigns.counters("FREE") == (50_000, 5)
    assert verification.verify().ok


def test_a_lease_keeps_others_out_until_it_runs_out() -> None:
    run = begin()
    now = timezone.now()
    CampaignRun.objects.update(status=RunStatus.RUNNING, heartbeat_at=now)

    assert told(execute(run)) == ("RUNNING", 5, 0, 0, 0)
    assert campaign_runs.resume(now=now, clock=timezone.now, alone=Isolation()) == 0
    later = now + campaign_runs.LEASE + timedelta(seconds=1)
    assert campaign_runs.resume(now=later, clock=lambda: later, alone=Isolation()) == 5


def test_a_pause_stops_it_and_an_activation_goes_on() -> None:
    run = begin()
    pricing_campaigns.pause_campaign(livemode=False, code="FREE")

    assert told(execute(run)) == ("QUEUED", 5, 0, 0, 0)
    assert campaigns.sweep() == 0
    _, again = campaign_runs.activate(livemode=False, code="FREE", now=timezone.now())
    assert again == run
    assert told(execute(run)) == ("DONE", 5, 5, 5, 0)


def test_an_end_ends_it() -> None:
    run = begin()
    pricing_campaigns.end_campaign(livemode=False, code="FREE")

    assert told(execute(run)) == ("DONE", 5, 5, 0, 5)
    assert campaigns.counters("FREE") == (0, 0)


def test_the_sweep_begins_what_was_scheduled() -> None:
    now = timezone.now()
    early, opened = now - timedelta(hours=2), now - timedelta(hours=1)
    campaigns.draft("FREE", FREE, starts_at=opened)
    campaign, run = campaign_runs.activate(livemode=False, code="FREE", now=early)
    assert (campaign.status, run) == ("SCHEDULED", None)

    assert campaigns.sweep() == 5
    assert campaigns.sweep() == 0

    assert told(CampaignRun.objects.get()) == ("DONE", 5, 5, 5, 0)


def test_customers_who_came_later_get_it_with_the_next_run() -> None:
    execute(begin())
    factories.customer("cust_6")

    run = campaign_runs.begin_run(Campaign.objects.get())

    assert told(execute(run)) == ("DONE", 6, 6, 1, 5)


def test_over_the_api(api: APIClient) -> None:
    campaigns.draft("FREE", FREE, budget="100000")
    none = api.get("/v1/campaigns/FREE/progress").json()
    assert (none["spent"], none["budget"], none["unit"]) == ("0", "100000", "tokens")
    assert none["run"] is None

    assert api.post("/v1/campaigns/FREE/activate").json()["status"] == "ACTIVE"
    run = CampaignRun.objects.get()
    tasks.run_campaign(str(run.pk))

    said = api.get("/v1/campaigns/FREE/progress").json()
    assert (said["spent"], said["grants"], said["status"]) == ("50000", 5, "ACTIVE")
    assert (said["run"]["id"], said["run"]["status"], said["run"]["granted"]) == (
        str(run.pk), "DONE", 5,
    )  # fmt: skip
    grants = api.get("/v1/campaigns/FREE/grants?page_size=2").json()
    assert [g["customer_id"] for g in grants["data"]] == ["cust_5", "cust_4"]
    assert grants["next"] is not None
    second = api.post("/v1/campaigns/FREE/run")
    assert (second.status_code, second.json()["status"]) == (200, "QUEUED")
    third = api.post("/v1/campaigns/FREE/run")
    assert third.json()["id"] == second.json()["id"], "a campaign has one unfinished run"


def test_only_what_is_for_everybody_runs(api: APIClient) -> None:
    campaigns.running("CODE")
    campaigns.draft("FREE", FREE)

    codes = [api.post(f"/v1/campaigns/{c}/run").json()["code"] for c in ("CODE", "FREE", "NOPE")]

    assert codes == ["not_for_everybody", "campaign_not_active", "unknown_campaign"]
    assert not CampaignRun.objects.exists()


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("run_campaign", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_runs_it_and_repeats_it() -> None:
    campaigns.running("FREE", FREE, now=timezone.now())

    assert command("FREE", "--mode", "sandbox") == "5 of 5 customers, 5 granted, 0 skipped\n"
    assert command("FREE", "--mode", "sandbox") == "5 of 5 customers, 0 granted, 5 skipped\n"
    with pytest.raises(CommandError, match="There is no campaign FREE"):
        command("FREE")


def test_the_command_says_that_another_process_is_at_it() -> None:
    begin()
    CampaignRun.objects.update(status=RunStatus.RUNNING, heartbeat_at=timezone.now())

    with pytest.raises(CommandError, match="Not finished"):
        command("FREE", "--mode", "sandbox")
