"""The windows of budgets: half open, in the customer's time zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from aforo.periods import YEARS, Interval, Period, period

# TOTAL counts from before anything to after everything that can be reckoned with.
FOREVER = Period(datetime(YEARS.start, 1, 1, tzinfo=UTC), datetime(YEARS.stop, 1, 1, tzinfo=UTC))


def window_at(kind: str, moment: datetime, zone: str, cycle: Period | None) -> Period:
    """Return the window that a moment lies in; weeks begin on Monday. Without an open `cycle` a
    CYCLE is the calendar month.
    """
    if kind == "TOTAL":
        return FOREVER
    if kind == "CYCLE" and cycle is not None:
        return cycle
    local = moment.astimezone(ZoneInfo(zone))
    if kind == "HOUR":
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return Period(moment - into, moment - into + timedelta(hours=1))
    day = local.date()
    if kind == "WEEK":
        day -= timedelta(days=day.weekday())
    elif kind != "DAY":
        day = day.replace(day=1)
    interval = Interval.MONTH if kind == "CYCLE" else Interval(kind)
    return period(datetime.combine(day, time.min), ZoneInfo(zone), interval, 1, 0)
