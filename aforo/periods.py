"""Billing periods: half open, computed from the anchor, a wall time, never chained. Pure.

31 January with a monthly interval gives 28 February, then 31 March: the n-th bound is always
anchor + n intervals (docs/decisions.md#d47).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from dateutil.relativedelta import relativedelta

# Nothing that is sold or counted lies outside; whatever is reckoned from a moment inside, in any
# zone and with any interval, stays within what a calendar and the database can express.
YEARS = range(1970, 2200)
REACH = f"the years {YEARS.start} to {YEARS.stop - 1}"


def in_reach(day: date) -> bool:
    """Return whether a day or moment can be reckoned with."""
    return day.year in YEARS


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the first instant after a day of a zone: 31 March in Madrid ends at 22:00 UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return midnight.astimezone(UTC)


class Interval(StrEnum):
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"


@dataclass(frozen=True, slots=True)
class Period:
    """[starts_at, ends_at), both aware UTC."""

    starts_at: datetime
    ends_at: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.starts_at <= moment < self.ends_at


def _step(interval: Interval, count: int) -> relativedelta:
    match interval:
        case Interval.DAY:
            return relativedelta(days=count)
        case Interval.WEEK:
            return relativedelta(weeks=count)
        case Interval.MONTH:
            return relativedelta(months=count)
        case Interval.YEAR:
            return relativedelta(years=count)


def wall(moment: datetime, zone: tzinfo) -> datetime:
    """Return what a clock on the wall in `zone` shows at a moment."""
    return moment.astimezone(zone).replace(tzinfo=None)


def bound(anchor: datetime, zone: tzinfo, interval: Interval, count: int, index: int) -> datetime:
    """Return anchor, a wall time, + index x count intervals on the wall clock of `zone`, as UTC.

    A wall time that does not exist (spring forward) is read with the offset before the change; one
    that exists twice is the first (PEP 495, fold 0).
    """
    assert anchor.tzinfo is None, "an anchor is a wall time: its instant is not the same every year"
    moved = anchor + _step(interval, count * index)
    return moved.replace(tzinfo=zone).astimezone(UTC)


def days_after(moment: datetime, days: int, zone: tzinfo) -> datetime:
    """Return the moment so many days later at which the wall clock of `zone` shows the same, as
    UTC: 31 days from noon are noon, also over a change of the hour.
    """
    return bound(wall(moment, zone), zone, Interval.DAY, 1, days)


def period(anchor: datetime, zone: tzinfo, interval: Interval, count: int, index: int) -> Period:
    """Return the period number `index` (0 starts at the anchor)."""
    return Period(
        bound(anchor, zone, interval, count, index),
        bound(anchor, zone, interval, count, index + 1),
    )


def index_at(
    anchor: datetime, zone: tzinfo, interval: Interval, count: int, moment: datetime
) -> int:
    """Return the number of the period that a moment lies in; below 0 before the anchor."""
    there = wall(moment, zone)
    match interval:
        case Interval.DAY | Interval.WEEK:
            passed = (there - anchor).days // (7 if interval == Interval.WEEK else 1)
        case Interval.MONTH | Interval.YEAR:
            months = 12 * (there.year - anchor.year) + there.month - anchor.month
            passed = months // (12 if interval == Interval.YEAR else 1)
    index = passed // count
    # The guess counts whole days or months, so it is at most one period off.
    while bound(anchor, zone, interval, count, index) > moment:
        index -= 1
    while bound(anchor, zone, interval, count, index + 1) <= moment:
        index += 1
    return index


def month_of(day: date) -> tuple[date, date]:
    """Return the bounds of a day's calendar month, half open."""
    first = day.replace(day=1)
    return first, first + relativedelta(months=1)
