"""Usage milestones: a customer who uses a quantity in a calendar month of its zone is granted
credits, once.

Ingest does nothing for it. The sweep reads the events since its last look, found by their ids,
which ascend with time, and adds up the month of those customers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Max, Min, Q, QuerySet

from aforo.periods import Interval, Period, period
from aforo.sandbox.models import TestClock
from billing.customers.customers import zone_of
from billing.isolation import Isolation
from billing.models import Customer, MilestoneWatch, UsageEvent
from billing.usage import aggregates as usages
from ledger.entries import books
from pricing.campaigns import campaigns
from pricing.models import Campaign, CampaignTrigger
from wallets.grants import campaign_grants
from wallets.models import CampaignGrant

# An event that was given its id this long ago is surely committed, or never will be.
OVERLAP = timedelta(minutes=5)
# Usage of a month that began earlier is no longer checked.
REACH = timedelta(days=32)
LAST_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A customer with new usage, and the first and last instant at which it counts."""

    book_id: int
    first: datetime
    last: datetime


def check(*, now: datetime, alone: Isolation) -> int:
    """Check the usage since the last check; return the number of grants.

    Safe to repeat and to kill. Customers on a test clock are checked too, by their own month. A
    customer who is passed over is checked again the next time, as long as its month may count.
    """
    granted = 0
    for campaign in _running():
        watch = MilestoneWatch.objects.filter(campaign=campaign).first()
        reach = Q(id__gte=_first_id(now - REACH))
        seen = reach
        if watch is not None:
            again = reach & Q(book__in=watch.passed_over)
            seen = again | Q(id__gte=_first_id(watch.checked_through - OVERLAP))
        recent = UsageEvent.objects.filter(seen, metric=campaign.milestone_metric)
        given, passed_over = _check(campaign, recent, alone)
        granted += given
        MilestoneWatch.objects.update_or_create(
            campaign=campaign, defaults={"checked_through": now, "passed_over": passed_over}
        )
    return granted


def check_clock(*, clock: TestClock, alone: Isolation) -> int:
    """Check the usage of the customers of a test clock, before the clock moves."""
    recent = UsageEvent.objects.filter(book__test_clock=clock.pk, counted_at__gte=clock.now - REACH)
    return sum(
        _check(campaign, recent.filter(metric=campaign.milestone_metric), alone)[0]
        for campaign in _running()
        if not campaign.livemode
    )


def _running() -> list[Campaign]:
    return [
        campaign
        for livemode in (True, False)
        for campaign in campaigns.running_campaigns(
            livemode=livemode, trigger=CampaignTrigger.MILESTONE
        )
    ]


def _first_id(moment: datetime) -> UUID:
    """Return the least id that can have been made at a moment (RFC 9562: 48 bits of
    milliseconds).
    """
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80)


def _check(
    campaign: Campaign, recent: QuerySet[UsageEvent], alone: Isolation
) -> tuple[int, list[int]]:
    """Grant what events have earned of a campaign; return the number of grants, and the books that
    were passed over.
    """
    seen = (
        recent.order_by().values("book").annotate(first=Min("counted_at"), last=Max("counted_at"))
    )
    granted, passed_over = 0, []
    for row in list(seen):
        candidate = Candidate(row["book"], row["first"], row["last"])
        try:
            granted += (
                0 if candidate.book_id in alone.busy else _check_customer(campaign, candidate)
            )
        except Exception as error:
            alone.note("milestones", error, candidate.book_id)
            passed_over.append(candidate.book_id)
    return granted, passed_over


def _check_customer(campaign: Campaign, candidate: Candidate) -> int:
    customer = Customer.objects.filter(book=candidate.book_id).first()
    if customer is None:
        return 0
    granted = 0
    for month in _months(candidate, zone_of(customer)):
        cause = f"{month.starts_at.astimezone(zone_of(customer)):%Y-%m}"
        counted = _inside(campaign, month)
        if counted is None or _had(campaign, candidate.book_id, cause):
            continue
        assert campaign.milestone_quantity is not None, "a milestone has a quantity"
        if _used(campaign, candidate.book_id, counted) < campaign.milestone_quantity:
            continue
        reached_at = min(candidate.last, counted.ends_at - LAST_INSTANT)
        with transaction.atomic():
            book = books.lock_book(book_id=candidate.book_id)
            given = campaign_grants.grant_credits(
                campaign=campaign, books=[book], cause=cause, at=reached_at
            )
        granted += len(given.grants)
    return granted


def _months(candidate: Candidate, zone: ZoneInfo) -> Iterator[Period]:
    """Return the calendar months in which new usage counts, at most the latest two."""
    last = candidate.last.astimezone(zone)
    anchor = datetime(last.year, last.month, 1)  # noqa: DTZ001 (a wall time)
    for index in (-1, 0):
        month = period(anchor, zone, Interval.MONTH, 1, index)
        if candidate.first < month.ends_at:
            yield month


def _inside(campaign: Campaign, month: Period) -> Period | None:
    """Return the part of a month that lies in the campaign's window."""
    starts_at = max(month.starts_at, campaign.starts_at or month.starts_at)
    ends_at = min(month.ends_at, campaign.ends_at or month.ends_at)
    return Period(starts_at, ends_at) if starts_at < ends_at else None


def _had(campaign: Campaign, book_id: int, cause: str) -> bool:
    return CampaignGrant.objects.filter(campaign=campaign, book=book_id, cause=cause).exists()


def _used(campaign: Campaign, book_id: int, counted: Period) -> Decimal:
    assert campaign.milestone_metric is not None, "a milestone has a metric"
    return usages.aggregate(
        book_id=book_id,
        metric=campaign.milestone_metric,
        starts_at=counted.starts_at,
        ends_at=counted.ends_at,
    ).quantity
