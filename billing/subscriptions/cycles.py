"""The bounds of a subscription's cycles: each ends where its period does, counted from the anchor.

The anchor is a wall time, read in the zone of the customer. A change of the zone counts from the
next cycle on: what is open keeps its bounds, and the cycle in which the zone changes is a whole
one, however many hours it gains or loses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aforo import periods
from aforo.database import bulk
from aforo.errors import FieldError, Invalid
from aforo.periods import Interval, Period
from billing.models import Subscription, SubscriptionStatus

# A cycle that is cut short takes what was metered at this very moment; what comes later counts
# from here on.
MOMENT = timedelta(microseconds=1)
_BOUNDS = [
    "cycle", "period_number", "anchor_index", "timezone", "current_starts_at", "current_ends_at",
    "full_starts_at", "full_ends_at", "counted_from",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The cycle after the open one: the time it serves, the whole period of which, its index and
    zone.
    """

    part: Period
    full: Period
    anchor_index: int
    timezone: str


def set_first_period(
    subscription: Subscription, anchor_day: int | None, *, with_trial: bool = True
) -> None:
    """Set anchor and first period; a trial is a period of its own, which comes before the anchor.

    A trial ends at the wall time at which it began. The time between its end and an anchor day is a
    short cycle, as it is between a start and an anchor day.
    """
    start = subscription.starts_at
    subscription.timezone = subscription.customer.timezone
    days = subscription.offering.trial_days if with_trial else 0
    anchor = periods.wall(start, ZoneInfo(subscription.timezone)) + timedelta(days=days)
    if anchor_day is not None:
        if subscription.offering.interval != Interval.MONTH:
            detail = "Only offerings billed by the month have an anchor day."
            raise Invalid([FieldError("/anchor_day", "not_monthly", detail)])
        # A January with that day, so that 31 stays 31 in every month that has it.
        anchor = datetime(anchor.year - 1, 1, anchor_day)  # noqa: DTZ001
    subscription.anchor_date, subscription.anchor_time = anchor.date(), anchor.time()
    if days:
        zone = ZoneInfo(subscription.timezone)
        subscription.status = SubscriptionStatus.TRIALING
        subscription.trial_ends_at = periods.days_after(start, days, zone)
        subscription.period_number = -1
        _open(subscription, Period(start, subscription.trial_ends_at))
        subscription.anchor_index = _index_at(subscription, subscription.trial_ends_at) - 1
    else:
        subscription.anchor_index = 0
        _begin(subscription, start)


def _begin(subscription: Subscription, start: datetime) -> None:
    """Open the period that contains a paid start: a whole one, unless it began before on a day that
    was chosen.
    """
    subscription.anchor_index = _index_at(subscription, start)
    end = bound_of(subscription, subscription.anchor_index + 1)
    _open(subscription, Period(_period_start(subscription, start), end), start=start)


def _open(subscription: Subscription, full: Period, *, start: datetime | None = None) -> None:
    subscription.full_starts_at, subscription.full_ends_at = full.starts_at, full.ends_at
    subscription.current_starts_at = full.starts_at if start is None else start
    subscription.current_ends_at = full.ends_at


def bound_of(subscription: Subscription, index: int, timezone: str | None = None) -> datetime:
    """Return the anchor plus `index` intervals, in the zone of the open cycle or another."""
    offering = subscription.offering
    return periods.bound(
        datetime.combine(subscription.anchor_date, subscription.anchor_time),
        ZoneInfo(timezone or subscription.timezone),
        Interval(offering.interval),
        offering.interval_count,
        index,
    )


def _index_at(
    subscription: Subscription, moment: datetime, *, least: int = 0, timezone: str | None = None
) -> int:
    """Return the number of the period that contains a moment, at least `least`."""
    offering = subscription.offering
    anchor = datetime.combine(subscription.anchor_date, subscription.anchor_time)
    zone = ZoneInfo(timezone or subscription.timezone)
    interval, count = Interval(offering.interval), offering.interval_count
    return max(least, periods.index_at(anchor, zone, interval, count, moment))


def _period_start(
    subscription: Subscription, start: datetime, index: int | None = None
) -> datetime:
    """Return the start of the whole period that contains the first paid cycle.

    The first from the anchor begins with the cycle itself: the anchor is where that starts.
    """
    index = subscription.anchor_index if index is None else index
    return start if index == 0 else min(bound_of(subscription, index), start)


def open_part(subscription: Subscription) -> Period:
    """Return the open cycle from bound to bound."""
    return Period(subscription.current_starts_at, subscription.current_ends_at)


def full_period(subscription: Subscription) -> Period:
    """Return the whole period of the open cycle, of which a first or last one may be a part."""
    return Period(subscription.full_starts_at, subscription.full_ends_at)


def upcoming(subscription: Subscription) -> Upcoming:
    """Return the cycle that follows the open one, in the customer's zone of today.

    After a trial it may be a short one, up to the anchor day; else it is whole.
    """
    timezone = subscription.customer.timezone
    start = subscription.full_ends_at
    index = _index_at(subscription, start, least=subscription.anchor_index + 1, timezone=timezone)
    part = Period(start, bound_of(subscription, index + 1, timezone))
    starts_at = start
    if subscription.period_number < 0 and index > 0:
        starts_at = min(bound_of(subscription, index, timezone), start)
    return Upcoming(part, Period(starts_at, part.ends_at), index, timezone)


def counted_until(subscription: Subscription) -> datetime:
    """Return the moment before which usage counts in the open cycle: one that is cut short includes
    usage of the very instant of the cut that has come so far; the next cycle counts what comes
    later.
    """
    end = max(subscription.current_ends_at, subscription.counted_from)
    is_cut = subscription.current_ends_at < subscription.full_ends_at
    return end + MOMENT if is_cut else end


def open_next_cycle(subscription: Subscription) -> None:
    """Move a subscription to the period after its settled one. The book must be locked."""
    following = upcoming(subscription)
    subscription.cycle += 1
    subscription.period_number += 1
    if subscription.status == SubscriptionStatus.TRIALING:
        subscription.status = SubscriptionStatus.ACTIVE
    subscription.anchor_index = following.anchor_index
    subscription.timezone = following.timezone
    _open(subscription, following.full, start=following.part.starts_at)
    subscription.counted_from = max(subscription.usage_closed_through, following.part.starts_at)
    changed = [*_BOUNDS, "status", "is_fee_due"]
    values = [getattr(subscription, name) for name in changed]
    bulk.update_rows(Subscription, "id", changed, [[subscription.pk, *values]])


def begin_at(*, subscription: Subscription, now: datetime) -> None:
    """Start a subscription that waited for credits now; an anchor day is kept."""
    if subscription.anchor_index == 0:
        subscription.timezone = subscription.customer.timezone
        anchor = periods.wall(now, ZoneInfo(subscription.timezone))
        subscription.anchor_date, subscription.anchor_time = anchor.date(), anchor.time()
    subscription.starts_at = now
    _begin(subscription, now)
    subscription.counted_from = max(now, subscription.counted_from)
    subscription.usage_closed_through = subscription.counted_from
    subscription.save(
        update_fields=[
            *_BOUNDS, "starts_at", "anchor_date", "anchor_time", "usage_closed_through",
        ]
    )  # fmt: skip


def open_rest(*, subscription: Subscription, at: datetime) -> None:
    """Open the rest of the period as a cycle of its own, after one that was cut short. The book
    must be locked.
    """
    subscription.cycle += 1
    subscription.current_starts_at = at
    subscription.current_ends_at = subscription.full_ends_at
    subscription.counted_from = subscription.usage_closed_through
    subscription.save(update_fields=_BOUNDS)


def pause_cycle(*, subscription: Subscription, at: datetime) -> None:
    """Open a waiting cycle in the same period, after one that a pause cut short."""
    open_rest(subscription=subscription, at=at)
    subscription.status = SubscriptionStatus.PAUSED
    subscription.save(update_fields=["status"])


def resume_cycle(*, subscription: Subscription, now: datetime) -> bool:
    """Start the waiting cycle, from now to its period's end; return whether the period is another
    than that of the pause. What was metered meanwhile belongs to no cycle.
    """
    is_other = subscription.full_ends_at <= now
    if is_other:
        subscription.timezone = subscription.customer.timezone
        subscription.anchor_index = _index_at(
            subscription, now, least=subscription.anchor_index + 1
        )
        subscription.period_number += 1
        starts_at = min(bound_of(subscription, subscription.anchor_index), now)
        full = Period(starts_at, bound_of(subscription, subscription.anchor_index + 1))
        _open(subscription, full)
    subscription.current_starts_at = now
    # At an instant that stands still, what had come by the pause was counted before it.
    subscription.counted_from = max(now, subscription.usage_closed_through)
    subscription.usage_closed_through = subscription.counted_from
    subscription.paused_at = None
    subscription.save(update_fields=[*_BOUNDS, "usage_closed_through", "paused_at"])
    return is_other
