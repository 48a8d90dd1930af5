"""EVERYBODY campaigns: a job over all customers who match, chunk by chunk, safe to kill and repeat.

Two executors of one run do no harm: one has the lease, and each chunk moves the run on only from
where it was read. Lock order of a chunk: the run's row, the books, the campaign (DECISIONS 1).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from aforo.errors import Busy, FieldError, Invalid
from billing.models import CampaignRun, RunStatus
from billing.services.audiences import audience_of
from ledger import services as ledger
from pricing import services as pricing
from pricing.models import Campaign, CampaignStatus, CampaignTrigger
from wallets import services as wallets

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]

# A run whose process has been silent for so long is taken to be dead, and anybody may go on.
LEASE = timedelta(seconds=90)
CHUNK = 100


@transaction.atomic
def activate(*, livemode: bool, code: str, now: datetime) -> tuple[Campaign, CampaignRun | None]:
    """Activate a campaign; for EVERYBODY also begin its run, if its window is open.

    Raises: UnknownCampaign, CampaignOver, Invalid.
    """
    campaign = pricing.activate_campaign(livemode=livemode, code=code, now=now)
    runs = (
        campaign.trigger == CampaignTrigger.EVERYBODY and campaign.status == CampaignStatus.ACTIVE
    )
    return campaign, begin_run(campaign) if runs else None


def begin_run(campaign: Campaign) -> CampaignRun:
    """Give the campaign's unfinished run, begun if there is none; `execute` does the work.

    Raises: Invalid for a campaign of another trigger; CampaignNotActive, CampaignOver.
    """
    if campaign.trigger != CampaignTrigger.EVERYBODY:
        detail = f"The campaign {campaign.code} is not for everybody at once."
        raise Invalid([FieldError("/trigger", "not_for_everybody", detail)])
    if campaign.status == CampaignStatus.ENDED:
        raise pricing.CampaignOver(f"The campaign {campaign.code} is over.")
    if campaign.status != CampaignStatus.ACTIVE:
        raise pricing.CampaignNotActive(f"The campaign {campaign.code} is not active.")
    run = CampaignRun(campaign=campaign, total=audience_of(campaign).count())
    CampaignRun.objects.bulk_create([run], ignore_conflicts=True)
    return CampaignRun.objects.exclude(status=RunStatus.DONE).get(campaign=campaign)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def execute(*, run_id: UUID, clock: Clock, progress: Progress = _silent) -> CampaignRun:
    """Give to everybody whom a run has not reached yet, committing chunk by chunk.

    Does nothing while another process is at it. Killed anywhere, the next call goes on; repeated,
    nobody gets anything twice. Stops where the campaign is paused, and ends where it is over or
    has nothing left. `clock` gives the real now, for the lease; `progress` is told how many
    customers of how many are done.
    """
    now = clock()
    unfinished = CampaignRun.objects.filter(pk=run_id).exclude(status=RunStatus.DONE)
    free = Q(heartbeat_at=None) | Q(heartbeat_at__lt=now - LEASE)
    if unfinished.filter(free).update(status=RunStatus.RUNNING, heartbeat_at=now):
        try:
            while _chunk(run_id, clock, progress):
                pass
        except Busy:
            logger.warning("Others are at work on customers of the run %s; it waits.", run_id)
        finally:
            unfinished.update(status=RunStatus.QUEUED, heartbeat_at=None)
    return CampaignRun.objects.select_related("campaign").get(pk=run_id)


def _chunk(run_id: UUID, clock: Clock, progress: Progress) -> bool:
    """Serve the next customers in one transaction; tell whether there may be more to do."""
    run = CampaignRun.objects.select_related("campaign__metric").get(pk=run_id)
    campaign = run.campaign
    if campaign.status == CampaignStatus.PAUSED:
        return False
    waiting = audience_of(campaign).filter(pk__gt=run.last_book).order_by("pk")
    ids = list(waiting.values_list("pk", flat=True)[:CHUNK])
    if not ids or campaign.status == CampaignStatus.ENDED:
        _finish(run, left_out=waiting.count(), now=clock())
        return False
    with transaction.atomic():
        here = CampaignRun.objects.filter(pk=run_id, last_book=run.last_book)
        if not here.exclude(status=RunStatus.DONE).update(last_book=ids[-1]):
            return False
        locked = ledger.lock_books(ids=ids)
        given = wallets.give(
            campaign=campaign,
            books=[locked[book_id] for book_id in sorted(locked)],
            cause=wallets.EVERYBODY_CAUSE,
        )
        CampaignRun.objects.filter(pk=run_id).update(
            done=F("done") + len(ids),
            granted=F("granted") + len(given.grants),
            skipped=F("skipped") + len(ids) - len(given.grants),
            heartbeat_at=clock(),
        )
    progress(run.done + len(ids), run.total)
    spent = (pricing.BudgetSpent, pricing.LimitReached)
    if any(isinstance(refusal, spent) for refusal in given.refusals.values()):
        run.refresh_from_db()
        _finish(run, left_out=waiting.filter(pk__gt=ids[-1]).count(), now=clock())
        return False
    return True


def _finish(run: CampaignRun, *, left_out: int, now: datetime) -> None:
    """End a run; whom it has not reached gets nothing any more."""
    CampaignRun.objects.filter(pk=run.pk, last_book=run.last_book).exclude(
        status=RunStatus.DONE
    ).update(
        status=RunStatus.DONE,
        total=F("done") + left_out,
        done=F("done") + left_out,
        skipped=F("skipped") + left_out,
        finished_at=now,
    )


def run_everybody(
    *, livemode: bool, code: str, clock: Clock, progress: Progress = _silent
) -> CampaignRun:
    """Run an EVERYBODY campaign here, from where it stopped.

    Raises: UnknownCampaign, CampaignNotActive, CampaignOver, Invalid.
    """
    run = begin_run(pricing.get_campaign(livemode=livemode, code=code))
    return execute(run_id=run.pk, clock=clock, progress=progress)


def resume(*, now: datetime, clock: Clock) -> int:
    """Begin the runs of campaigns whose window has opened, and go on with those that stopped.

    Gives the number of customers who got something.
    """
    active = Campaign.objects.filter(
        trigger=CampaignTrigger.EVERYBODY, status=CampaignStatus.ACTIVE
    )
    for campaign in active.filter(runs=None).select_related("metric").order_by("pk"):
        begin_run(campaign)
    stopped = CampaignRun.objects.exclude(status=RunStatus.DONE).exclude(
        campaign__status=CampaignStatus.PAUSED
    )
    free = Q(heartbeat_at=None) | Q(heartbeat_at__lt=now - LEASE)
    granted = 0
    for run in stopped.filter(free).order_by("pk"):
        granted += execute(run_id=run.pk, clock=clock).granted - run.granted
    return granted


def latest_run(campaign: Campaign) -> CampaignRun | None:
    """Give a campaign's newest run, if it has had one."""
    return CampaignRun.objects.filter(campaign=campaign).order_by("-pk").first()
