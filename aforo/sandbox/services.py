"""Test clocks, and the current time of a customer, which edges read here and pass down."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.utils import timezone

from aforo.errors import NotFound, Rejected
from aforo.sandbox.models import TestClock


class UnknownTestClock(NotFound):
    """No test clock has this id.

    Create one by POST /v1/test-clocks with a sandbox key, and use its id.
    """

    default_code = "unknown_test_clock"


class ClockIsSandbox(Rejected):
    """A live customer was given a test clock, or a live key asked for one.

    Use a sandbox key (sk_test_...); live customers live in real time.
    """

    default_code = "test_clock_in_live_mode"


class Timed(Protocol):
    """Whatever may hang on a test clock: a customer's book."""

    @property
    def test_clock(self) -> TestClock | None: ...


def now_for(book: Timed) -> datetime:
    """Return the customer's now: its test clock's, else the real one."""
    return now_at(None if book.test_clock is None else book.test_clock.now)


def now_at(clock: datetime | None) -> datetime:
    """Return the moment at which a test clock stands, without one the real now."""
    return clock or timezone.now()


def get_clock(clock_id: UUID | str) -> TestClock:
    """Find a clock.

    Raises: UnknownTestClock.
    """
    try:
        return TestClock.objects.get(pk=UUID(str(clock_id)))
    except (ValueError, TestClock.DoesNotExist):
        raise UnknownTestClock(f"There is no test clock {clock_id}.") from None


def create_clock(*, livemode: bool, now: datetime) -> TestClock:
    """Create a clock that stands at `now`.

    Raises: ClockIsSandbox in live mode.
    """
    if livemode:
        raise ClockIsSandbox("Test clocks are for the sandbox: use a sk_test_ key.")
    return TestClock.objects.create(now=now)
