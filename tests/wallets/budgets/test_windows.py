"""The windows of budgets, in the customer's zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aforo.periods import Period
from wallets.budgets.windows import window_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "zone", "moment", "starts_at", "ends_at"),
    [
        ("HOUR", "UTC", "2026-03-04 10:59:59", "2026-03-04 10:00", "2026-03-04 11:00"),
        ("HOUR", "UTC", "2026-03-04 11:00", "2026-03-04 11:00", "2026-03-04 12:00"),
        # Kolkata is 5:30 ahead: its hours begin at half past.
        ("HOUR", "Asia/Kolkata", "2026-03-04 10:20", "2026-03-04 09:30", "2026-03-04 10:30"),
        ("DAY", "UTC", "2026-03-04 00:00", "2026-03-04 00:00", "2026-03-05 00:00"),
        ("DAY", "Europe/Madrid", "2026-03-04 23:30", "2026-03-04 23:00", "2026-03-05 23:00"),
        # Madrid's 29 March has 23 hours, its 25 October 25.
        ("DAY", "Europe/Madrid", "2026-03-29 10:00", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("DAY", "Europe/Madrid", "2026-10-25 10:00", "2026-10-24 22:00", "2026-10-25 23:00"),
        # The second two o'clock of 25 October is an hour of its own.
        ("HOUR", "Europe/Madrid", "2026-10-25 00:30", "2026-10-25 00:00", "2026-10-25 01:00"),
        ("HOUR", "Europe/Madrid", "2026-10-25 01:30", "2026-10-25 01:00", "2026-10-25 02:00"),
        # 4 March 2026 is a Wednesday.
        ("WEEK", "UTC", "2026-03-04 10:00", "2026-03-02 00:00", "2026-03-09 00:00"),
        ("WEEK", "UTC", "2026-03-02 00:00", "2026-03-02 00:00", "2026-03-09 00:00"),
        ("MONTH", "UTC", "2026-02-28 23:59", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("MONTH", "Asia/Tokyo", "2026-02-28 15:00", "2026-02-28 15:00", "2026-03-31 15:00"),
        ("CYCLE", "UTC", "2026-02-28 23:59", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("TOTAL", "UTC", "2026-02-28 23:59", "1970-01-01 00:00", "2200-01-01 00:00"),
    ],
)
def test_a_window_is_half_open_on_the_customers_wall_clock(
    kind: str, zone: str, moment: str, starts_at: str, ends_at: str
) -> None:
    assert window_at(kind, at(moment), zone, None) == Period(at(starts_at), at(ends_at))


def test_a_cycle_is_the_open_one() -> None:
    cycle = Period(at("2026-02-10 12:00"), at("2026-03-10 12:00"))

    assert window_at("CYCLE", at("2026-02-28 10:00"), "UTC", cycle) == cycle
