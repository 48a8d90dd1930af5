"""The ends of months, which are due instants (docs/decisions.md#d45): midnights of the entity's
zone, as moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from ledger.entries.entries import day_of
from ledger.models import AccountingPeriod, PeriodStatus

_INSTANT = timedelta(microseconds=1)


def month_after(month: date) -> date:
    """Return the first day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def end_of(month: date) -> datetime:
    """Return the moment at which a month is over."""
    return midnight(month_after(month))


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins."""
    zone = ZoneInfo(settings.ENTITY_TIMEZONE)
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def last_day(end: datetime) -> date:
    """Return the day that a month's end ends."""
    return day_of(end - _INSTANT)


def last_before(moment: datetime) -> datetime:
    """Return the last end of a month up to a moment."""
    return midnight(day_of(moment).replace(day=1))


def between(after: datetime, before: datetime) -> list[datetime]:
    """Return the ends of months between two moments, neither included."""
    found, end = list[datetime](), end_of(day_of(after))
    while end < before:
        found.append(end)
        end = end_of(day_of(end))
    return found


def open_ones(ends: Sequence[datetime], *, livemode: bool) -> list[datetime]:
    """Return the ends of months that still take entries: the sandbox closes none, and what is
    before the first month on record is closed with that.
    """
    if not ends or not livemode:
        return list(ends)
    months = list(AccountingPeriod.objects.order_by("starts_on"))
    closed = [month for month in months if month.status == PeriodStatus.CLOSED]

    def is_closed(day: date) -> bool:
        return any(
            day < month.ends_on and (month.starts_on <= day or month is months[0])
            for month in closed
        )

    return [end for end in ends if not is_closed(last_day(end))]
