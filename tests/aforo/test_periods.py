"""Which period a moment lies in, from the anchor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.periods import Interval, index_at, period

MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    ("interval", "count", "moment", "index"),
    [
        (Interval.MONTH, 1, "2026-01-31", 0),
        (Interval.MONTH, 1, "2026-02-27T23", 0),
        (Interval.MONTH, 1, "2026-02-28", 1),
        (Interval.MONTH, 1, "2026-03-30", 1),
        (Interval.MONTH, 1, "2026-03-31", 2),
        (Interval.MONTH, 3, "2026-04-29", 0),
        (Interval.MONTH, 3, "2026-04-30", 1),
        (Interval.MONTH, 1, "2026-01-30", -1),
        (Interval.YEAR, 1, "2027-01-30", 0),
        (Interval.YEAR, 1, "2027-01-31", 1),
        (Interval.WEEK, 1, "2026-02-06", 0),
        (Interval.WEEK, 2, "2026-02-14", 1),
        (Interval.DAY, 1, "2026-02-01", 1),
    ],
)
def test_a_moment_lies_in_one_period(
    interval: Interval, count: int, moment: str, index: int
) -> None:
    anchor = datetime(2026, 1, 31)  # noqa: DTZ001
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    assert index_at(anchor, UTC, interval, count, at) == index


@given(
    interval=st.sampled_from(list(Interval)),
    count=st.integers(1, 5),
    days=st.integers(0, 3000),
    later=st.timedeltas(timedelta(days=-400), timedelta(days=4000)),
)
def test_the_moment_is_inside(interval: Interval, count: int, days: int, later: timedelta) -> None:
    anchor = datetime(2020, 1, 1, 9, 30) + timedelta(days=days)  # noqa: DTZ001
    moment = anchor.replace(tzinfo=UTC) + later

    assert moment in period(
        anchor, MADRID, interval, count, index_at(anchor, MADRID, interval, count, moment)
    )
