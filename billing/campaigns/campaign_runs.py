"""EVERYBODY campaigns: a job over all matching customers, chunk by chunk, safe to kill and repeat.

Two workers on one run do no harm: one has the lease, and each chunk advances the run only from
where it was read. Lock order of a chunk: the run's row, the books, the campaign
(docs/decisions.md#d1).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F, Func, Q, Value

from aforo.errors import FieldError, Invalid
from billing.campaigns.audiences import audience_of
from billing.isolation import Isolation, reason_of
from billing.models import CampaignRun, RunStatus
from ledger.entries import books as ledger_books
from ledger.models import Book
from pricing.campaigns import campaigns
from pricing.models import Campaign, CampaignStatus, CampaignTrigger
from wallets.grants import campaign_grants

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]
Progress = Callable[[int, int], None]

# A run whose process has been silent for this long is presumed dead, and may be resumed.
LEASE = timedelta(seconds=90)
CHUNK = 100


@transaction.atomic
def activate(*, livemode: bool, code: str, now: datetime) -> tuple[Campaign, CampaignRun | None]:
    """Activate a campaign; for EVERYBODY also begin its run, if its window is open.

    Raises: UnknownCampaign, CampaignOver, Invalid.
    """
    campaign = campaigns.activate_campaign(livemode=livemode, code=code, now=now)
    runs = (
        campaign.trigger == CampaignTrigger.EVERYBODY and campaign.status == CampaignStatus.ACTIVE
    )
    return campaign, begin_run(campaign) if runs else None


def begin_run(campaign: Campaign) -> CampaignRun:
    """Return the campaign's unfinished run, created if there is none; `execute` does the work.

    Raises: Invalid for a campaign of another trigger; CampaignNotActive, CampaignOver.
    """
    if campaign.trigger != CampaignTrigger.EVERYBODY:
        detail = f"The campaign {campaign.code} is not for everybody at once."
        raise Invalid([FieldError("/trigger", "not_for_everybody", detail)])
    if campaign.status == CampaignStatus.ENDED:
        raise campaigns.CampaignOver(f"The campaign {campaign.code} is over.")
    if campaign.status != CampaignStatus.ACTIVE:
        raise campaigns.CampaignNotActive(f"The campaign {campaign.code} is not active.")
    run = CampaignRun(campaign=campaign, total=audience_of(campaign).count())
    CampaignRun.objects.bulk_create([run], ignore_conflicts=True)
    return CampaignRun.objects.exclude(status=RunStatus.DONE).get(campaign=campaign)


def _silent(done: int, total: int) -> None:
    """Report no progress."""


def execute(
    *,
    run_id: UUID,
    clock: Clock,
    progress: Progress = _silent,
    alone: Isolation | None = None,
) -> CampaignRun:
    """Grant to everybody whom a run has not reached yet, committing chunk by chunk.

    A customer who fails or is locked is passed over, tried once more at the end, and then listed on
    the run; another run of the campaign reaches those.

    Does nothing while another process works on it. Killed anywhere, the next call continues;
    repeated, nobody is granted anything twice. Stops where the campaign is paused, and ends where
    it is over or its budget is spent. `clock` returns the real now, for the lease; `progress` is
    called with the customers done, and all of them.
    """
    now = clock()
    unfinished = CampaignRun.objects.filter(pk=run_id).exclude(status=RunStatus.DONE)
    free = Q(heartbeat_at=None) | Q(heartbeat_at__lt=now - LEASE)
    if unfinished.filter(free).update(status=RunStatus.RUNNING, heartbeat_at=now):
        alone = alone or Isolation()
        try:
            while _chunk(run_id, clock, progress, alone):
                pass
        finally:
            unfinished.update(status=RunStatus.QUEUED, heartbeat_at=None)
    return CampaignRun.objects.select_related("campaign").get(pk=run_id)


def _chunk(run_id: UUID, clock: Clock, progress: Progress, alone: Isolation) -> bool:
    """Grant to the next chunk of customers; return whether there may be more to do."""
    run = CampaignRun.objects.select_related("campaign__metric").get(pk=run_id)
    campaign = run.campaign
    if campaign.status == CampaignStatus.PAUSED:
        return False
    waiting = audience_of(campaign).filter(pk__gt=run.last_book).order_by("pk")
    ids = list(waiting.values_list("pk", flat=True)[:CHUNK])
    if not ids or campaign.status == CampaignStatus.ENDED:
        _try_again(run, alone)
        _finish(run, left_out=waiting.count(), now=clock())
        return False
    try:
        goes_on = _serve(run, ids, clock)
    except Exception as error:
        logger.warning("%s of the run %s failed together: %s", len(ids), run.pk, reason_of(error))
        goes_on = _one_by_one(run, ids, clock, alone)
    run.refresh_from_db()
    progress(run.done, run.total)
    if goes_on is None:
        _finish(run, left_out=waiting.filter(pk__gt=run.last_book).count(), now=clock())
    return goes_on is True


@transaction.atomic
def _serve(run: CampaignRun, ids: Sequence[int], clock: Clock) -> bool | None:
    """Grant to some customers together; return whether to continue: False where another process has
    advanced the run, and None where the campaign's budget is spent.
    """
    here = CampaignRun.objects.filter(pk=run.pk, last_book=run.last_book)
    if not here.exclude(status=RunStatus.DONE).update(last_book=ids[-1]):
        return False
    given = _give(run.campaign, ids)
    CampaignRun.objects.filter(pk=run.pk).update(
        done=F("done") + len(ids),
        granted=F("granted") + len(given.grants),
        skipped=F("skipped") + len(ids) - len(given.grants),
        heartbeat_at=clock(),
    )
    spent = (campaigns.BudgetSpent, campaigns.LimitReached)
    return None if any(isinstance(why, spent) for why in given.refusals.values()) else True


def _give(campaign: Campaign, ids: Sequence[int]) -> campaign_grants.GrantResult:
    locked = ledger_books.lock_books(ids=ids)
    return campaign_grants.grant_credits(
        campaign=campaign,
        books=[locked[book_id] for book_id in sorted(locked)],
        cause=campaign_grants.EVERYBODY_CAUSE,
    )


def _one_by_one(
    run: CampaignRun, ids: Sequence[int], clock: Clock, alone: Isolation
) -> bool | None:
    """Grant to some customers one by one, and pass over those who fail."""
    for book_id in ids:
        try:
            goes_on = _serve(run, [book_id], clock)
        except Exception as error:
            alone.note("campaign runs", error, book_id)
            goes_on = bool(_pass_over(run, book_id, clock))
        if goes_on is not True:
            return goes_on
        run.last_book = book_id
    return True


def _pass_over(run: CampaignRun, book_id: int, clock: Clock) -> int:
    here = CampaignRun.objects.filter(pk=run.pk, last_book=run.last_book)
    return here.exclude(status=RunStatus.DONE).update(
        last_book=book_id,
        done=F("done") + 1,
        skipped=F("skipped") + 1,
        passed_over=Func(F("passed_over"), Value(book_id), function="array_append"),
        heartbeat_at=clock(),
    )


def _try_again(run: CampaignRun, alone: Isolation) -> None:
    """Grant to those who were passed over, each in a transaction; whoever fails again stays
    listed.
    """
    if run.campaign.status != CampaignStatus.ACTIVE:
        return
    for book_id in run.passed_over:
        try:
            with transaction.atomic():
                given = _give(run.campaign, [book_id])
                CampaignRun.objects.filter(pk=run.pk).update(
                    granted=F("granted") + len(given.grants),
                    skipped=F("skipped") - len(given.grants),
                    passed_over=Func(F("passed_over"), Value(book_id), function="array_remove"),
                )
        except Exception as error:
            alone.note("campaign runs", error, book_id)


def _finish(run: CampaignRun, *, left_out: int, now: datetime) -> None:
    """End a run; customers whom it has not reached are counted as skipped."""
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
    run = begin_run(campaigns.get_campaign(livemode=livemode, code=code))
    return execute(run_id=run.pk, clock=clock, progress=progress)


def resume(*, now: datetime, clock: Clock, alone: Isolation) -> int:
    """Begin the runs of campaigns whose window has opened, and resume those that stopped.

    Return the number of customers who were granted something. One that fails does not stop the
    others.
    """
    active = Campaign.objects.filter(
        trigger=CampaignTrigger.EVERYBODY, status=CampaignStatus.ACTIVE
    )
    for campaign in active.filter(runs=None).select_related("metric").order_by("pk"):
        alone.whole(f"campaign {campaign.code}", partial(begin_run, campaign), None)
    stopped = CampaignRun.objects.exclude(status=RunStatus.DONE).exclude(
        campaign__status=CampaignStatus.PAUSED
    )
    free = Q(heartbeat_at=None) | Q(heartbeat_at__lt=now - LEASE)
    granted = 0
    for run in stopped.filter(free).select_related("campaign").order_by("pk"):
        execution = partial(execute, run_id=run.pk, clock=clock, alone=alone)
        done = alone.whole(f"campaign {run.campaign.code}", execution, run)
        granted += done.granted - run.granted
    return granted


def passed_over(run: CampaignRun) -> list[str]:
    """Return the customers whom a run could not serve."""
    books = Book.objects.filter(pk__in=run.passed_over).order_by("pk")
    return list(books.values_list("key", flat=True))


def latest_run(campaign: Campaign) -> CampaignRun | None:
    """Return a campaign's newest run, if it has had one."""
    return CampaignRun.objects.filter(campaign=campaign).order_by("-pk").first()
