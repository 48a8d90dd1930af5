"""One customer's failing due work never stops another's, at any step, in either mode."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.errors import Busy, InvariantBroken
from billing.campaigns import campaign_runs, milestones
from billing.cycle_end import cycle_settlement, runs
from billing.finance import verification
from billing.isolation import Isolation
from billing.jobs import due_work, tasks
from billing.lifecycle import subscribing
from billing.models import AdvanceFee, CampaignRun, MilestoneWatch, MonthEnd, Settlement
from billing.month_ends import month_end
from billing.prepaid import reactivation
from billing.settlement import usage_burn
from billing.subscriptions import advance_fees
from billing.usage import ingest
from ledger.models import Book, Seal
from pricing.campaigns import campaigns as campaign_states
from pricing.models import Campaign
from tests import campaigns, factories
from wallets.grants import campaign_grants
from wallets.models import CampaignGrant, CreditLot, TopUp
from wallets.top_ups import payments, refill

pytestmark = pytest.mark.django_db

POISONED = "cust_2"
KEYS = ["cust_1", POISONED, "cust_3"]
HOUR = timedelta(hours=1)


def subscribe(
    key: str, offering: str = "tokens_monthly", *, livemode: bool, days: int = 32
) -> None:
    subscribing.subscribe(
        livemode=livemode,
        customer_id=key,
        offering=offering,
        starts_at=timezone.now() - timedelta(days=days),
    )


def sweep(now: datetime | None = None) -> due_work.Swept:
    return due_work.sweep(now=now or timezone.now(), clock=timezone.now)


def book_of(terms: dict[str, Any]) -> Book:
    """Return the book that a step was called for."""
    if "book" in terms:
        found: Book = terms["book"]
        return found
    if "books" in terms:
        listed: list[Book] = terms["books"]
        return next((b for b in listed if b.key == POISONED), listed[0])
    named = terms["book_id"] if "book_id" in terms else terms["top_up"].book_id
    return Book.objects.get(pk=named)


def poison(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, error: type[Exception]
) -> Callable[[], None]:
    """Patch a step to fail for one customer, as a number that cannot be added up would."""
    real = getattr(place, name)

    def poisoned(**terms: Any) -> Any:
        if book_of(terms).key == POISONED:
            raise error("poisoned")
        return real(**terms)

    monkeypatch.setattr(place, name, poisoned)
    return lambda: monkeypatch.setattr(place, name, real)


def settled_cycles() -> list[str]:
    return sorted(Settlement.objects.filter(status="SETTLED").values_list("book__key", flat=True))


def prepare_settlement(livemode: bool) -> None:
    factories.offering(livemode=livemode)
    for key in KEYS:
        subscribe(key, livemode=livemode)


def prepare_lapse(livemode: bool) -> None:
    for key in KEYS:
        expires_at = timezone.now() + timedelta(seconds=20)
        factories.grant(key, "5", livemode=livemode, expires_at=expires_at)


def lapsed() -> list[str]:
    return sorted(CreditLot.objects.filter(remaining=0).values_list("book__key", flat=True))


def prepare_burn(livemode: bool) -> None:
    factories.offering(billing_mode="PREPAID", livemode=livemode)
    for key in KEYS:
        factories.top_up(key, "10", livemode=livemode)
        subscribe(key, livemode=livemode, days=1)
        event = factories.event(key, 1000, f"e-{key}", timezone.now() - HOUR)
        ingest.ingest(livemode=livemode, events=[event], received_at=timezone.now())


def burned() -> list[str]:
    return sorted(CreditLot.objects.filter(remaining=8).values_list("book__key", flat=True))


def prepare_fees(livemode: bool) -> None:
    fee = {"code": "fee", "model": "FLAT_RATE", "timing": "ADVANCE", "terms": {"flat_fee": "31"}}
    factories.offering(charges=[fee], livemode=livemode)
    for key in KEYS:
        subscribe(key, livemode=livemode, days=3)


def prepare_month_end(livemode: bool) -> None:
    factories.offering(livemode=livemode, interval="YEAR")
    for key in KEYS:
        subscribe(key, livemode=livemode, days=timezone.now().day + 3)


def reached() -> list[str]:
    found = MonthEnd.objects.values_list("subscription__customer__book__key", flat=True)
    return sorted(found)


def recognised() -> list[str]:
    found = AdvanceFee.objects.filter(recognised__gt=0)
    return sorted(found.values_list("book__key", flat=True))


def prepare_payment(livemode: bool) -> None:
    now = timezone.now()
    for key in KEYS:
        TopUp.objects.create(
            book=Book.objects.get(key=key),
            currency="USD",
            amount=10,
            channel="GATEWAY",
            method="test_ok",
            status="PENDING",
            created_at=now,
        )


def paid() -> list[str]:
    return sorted(TopUp.objects.filter(status="SUCCEEDED").values_list("book__key", flat=True))


def prepare_refill(livemode: bool) -> None:
    for key in KEYS:
        refill.set_auto_refill(
            livemode=livemode,
            customer_id=key,
            currency="USD",
            threshold=Decimal(1),
            amount=Decimal(10),
            enabled=True,
        )


def prepare_milestone(livemode: bool) -> None:
    factories.metric("tokens")
    campaigns.running("M", MILESTONE, now=timezone.now() - HOUR)
    for key in KEYS:
        event = factories.event(key, 1000, f"e-{key}", timezone.now())
        ingest.ingest(livemode=livemode, events=[event], received_at=timezone.now())


MILESTONE: dict[str, Any] = {
    "name": "Reached",
    "trigger": "MILESTONE",
    "milestone_metric": "tokens",
    "milestone_quantity": "1000",
    "amount": "5",
    "currency": "USD",
}


def prepare_campaign_run(livemode: bool) -> None:
    campaigns.running("E", EVERYBODY, now=timezone.now() - HOUR)


EVERYBODY: dict[str, Any] = {
    "name": "All",
    "trigger": "EVERYBODY",
    "amount": "5",
    "currency": "USD",
}


def granted() -> list[str]:
    found = CampaignGrant.objects.exclude(book__key="sealed")
    return sorted(found.values_list("book__key", flat=True))


STEPS: dict[str, tuple[Any, str, Callable[[bool], None], Callable[[], list[str]]]] = {
    "payments": (payments, "resolve_payment", prepare_payment, paid),
    "settlement": (cycle_settlement, "settle_book", prepare_settlement, settled_cycles),
    "month ends": (month_end, "reach_locked", prepare_month_end, reached),
    "holds and lapses": (usage_burn, "lapse", prepare_lapse, lapsed),
    "prepaid burns": (reactivation, "burn_prepaid", prepare_burn, burned),
    "fees": (advance_fees, "recognise_fees", prepare_fees, recognised),
    "milestones": (campaign_grants, "grant_credits", prepare_milestone, granted),
    "campaign runs": (campaign_grants, "grant_credits", prepare_campaign_run, granted),
    "refills": (payments, "resolve_payment", prepare_refill, paid),
}
LIVE_TOO = ["settlement", "month ends", "holds and lapses", "prepaid burns", "fees"]


@pytest.mark.parametrize("error", [InvariantBroken, ZeroDivisionError, Busy])
@pytest.mark.parametrize(
    ("step", "livemode"), [*((s, False) for s in STEPS), *((s, True) for s in LIVE_TOO)]
)
def test_a_customer_who_fails_is_named_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, step: str, livemode: bool, error: type[Exception]
) -> None:
    place, name, prepare, done = STEPS[step]
    for key in KEYS:
        factories.customer(key, livemode=livemode)
    factories.customer("sealed", livemode=livemode)
    factories.grant("sealed", "1", livemode=livemode)
    prepare(livemode)
    heal = poison(monkeypatch, place, name, error)

    swept = sweep(timezone.now() + timedelta(seconds=30))

    assert done() == ["cust_1", "cust_3"]
    assert {(f.customer_id, f.step, f.livemode) for f in swept.failures} == {
        (POISONED, step, livemode)
    }
    said = {InvariantBroken: "poisoned", Busy: "busy: poisoned"}
    assert swept.failures[0].reason == said.get(error, "unexpected: ZeroDivisionError")
    assert Seal.objects.filter(livemode=livemode).count() == 1
    heal()
    if step == "campaign runs":
        campaign_runs.begin_run(Campaign.objects.get())
    later = sweep(timezone.now() + timedelta(minutes=2))
    assert later.failures == []
    assert done() == KEYS
    assert verification.verify().ok


def test_a_failure_is_a_line_and_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for key in KEYS:
        factories.customer(key)
    prepare_settlement(livemode=False)
    prepare_refill(livemode=False)
    poison(monkeypatch, cycle_settlement, "settle_book", InvariantBroken)
    poison(monkeypatch, payments, "resolve_payment", InvariantBroken)
    out, err = StringIO(), StringIO()

    with pytest.raises(CommandError, match=r"^1 customers were passed over, 1 failures"):
        call_command("settle", stdout=out, stderr=err)
    assert err.getvalue().splitlines() == ["  cust_2 (sandbox), settlement: poisoned"]
    assert "2 cycles settled for 3 customers, 1 failed" in out.getvalue()
    err = StringIO()
    with pytest.raises(CommandError, match=r"^1 customers were passed over, 2 failures"):
        call_command("sweep", stdout=out, stderr=err)

    assert err.getvalue().splitlines() == [
        "  cust_2 (sandbox), settlement: poisoned",
        "  cust_2 (sandbox), refills: poisoned",
    ]
    named = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert any("cust_2 (sandbox), refills: poisoned" in line for line in named)


def test_the_task_returns_whom_it_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        factories.customer(key)
    prepare_refill(livemode=False)
    poison(monkeypatch, payments, "resolve_payment", InvariantBroken)

    result = tasks.sweep()

    assert result["refilled"] == 2
    assert result["failures"] == [
        {"customer_id": POISONED, "step": "refills", "reason": "poisoned"}
    ]


def test_a_step_that_fails_as_a_whole_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.customer("cust_1")
    factories.grant("cust_1", "1")

    def fail(**terms: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(runs, "stale_runs", fail)
    monkeypatch.setattr(reactivation, "due_books", fail)
    monkeypatch.setattr(campaign_states, "follow_windows", fail)

    swept = sweep()

    assert [(f.customer_id, f.step) for f in swept.failures] == [
        ("", "settlement"),
        ("", "prepaid burns"),
        ("", "campaign windows"),
    ]
    assert Seal.objects.count() == 1


def test_who_is_busy_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, tried = Isolation(), []

    def busy(book_id: int) -> int:
        tried.append(book_id)
        raise Busy("locked")

    assert alone.each("first", lambda: [7, 8], busy) == 0
    assert alone.each("second", lambda: [7, 8, 9], lambda book_id: book_id) == 9

    assert tried == [7, 8]
    assert [(f.customer_id, f.step) for f in alone.failures] == [
        ("book 7", "first"),
        ("book 8", "first"),
    ]


def test_a_milestone_that_failed_is_looked_at_again_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in KEYS:
        factories.customer(key)
    prepare_milestone(livemode=False)
    heal = poison(monkeypatch, campaign_grants, "grant_credits", InvariantBroken)
    now = timezone.now()
    milestones.check(now=now, alone=Isolation())
    watch = MilestoneWatch.objects.get()
    assert (watch.checked_through, watch.passed_over) == (
        now,
        [Book.objects.get(key=POISONED).pk],
    )
    heal()

    assert milestones.check(now=now + HOUR, alone=Isolation()) == 1

    assert granted() == KEYS
    assert MilestoneWatch.objects.get().passed_over == []


def test_a_campaign_run_names_whom_it_could_not_serve(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_runs, "CHUNK", 2)
    for key in [*KEYS, "cust_4"]:
        factories.customer(key)
    prepare_campaign_run(livemode=False)
    heal = poison(monkeypatch, campaign_grants, "grant_credits", InvariantBroken)
    run = campaign_runs.begin_run(Campaign.objects.get())

    done = campaign_runs.execute(run_id=run.pk, clock=timezone.now)

    assert granted() == ["cust_1", "cust_3", "cust_4"]
    assert (done.status, done.done, done.granted, done.skipped) == ("DONE", 4, 3, 1)
    shown = api.get("/v1/campaigns/E/progress").json()["run"]
    assert shown["passed_over"] == [POISONED]
    heal()
    again = campaign_runs.begin_run(Campaign.objects.get())
    assert campaign_runs.execute(run_id=again.pk, clock=timezone.now).granted == 1
    assert CampaignRun.objects.get(pk=again.pk).passed_over == []


def test_a_customer_who_was_locked_for_a_moment_is_served_at_the_end_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in KEYS:
        factories.customer(key)
    prepare_campaign_run(livemode=False)
    give, tries = campaign_grants.grant_credits, []

    def busy_twice(**terms: Any) -> Any:
        if book_of(terms).key == POISONED:
            tries.append(1)
            if len(tries) < 3:
                raise Busy("locked")
        return give(**terms)

    monkeypatch.setattr(campaign_grants, "grant_credits", busy_twice)
    run = campaign_runs.begin_run(Campaign.objects.get())
    done = campaign_runs.execute(run_id=run.pk, clock=timezone.now)

    assert granted() == KEYS
    assert (done.done, done.granted, done.skipped, done.passed_over) == (3, 3, 0, [])
