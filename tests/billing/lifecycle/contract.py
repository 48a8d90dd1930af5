"""A second opinion on subscriptions: what is settled, when and for how much, in plain Python.

It knows the calendar by months and wall clocks, and the contract by its sentences; it shares no
code with the product.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

FEE, INCLUDED = 31, 310


class Refused(Exception):
    """The contract does not allow it now."""


def months_on(wall: datetime, months: int, zone: str) -> datetime:
    """Return the instant so many months after a wall time, on the last day of shorter months."""
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = min(wall.day, calendar.monthrange(year, month + 1)[1])
    there = wall.replace(year=year, month=month + 1, day=day, tzinfo=ZoneInfo(zone))
    return there.astimezone(UTC)


def cents(amount: Fraction) -> Fraction:
    """Round to cents, halves up."""
    return Fraction((amount * 100 + Fraction(1, 2)).__floor__(), 100)


@dataclass
class Cycle:
    """A cycle between two changes of a contract."""

    start: datetime
    end: datetime
    full_start: datetime
    full_end: datetime
    is_free: bool = False
    used: int = 0

    def share(self, until: datetime) -> Fraction:
        """Return which part of its whole period it serves up to a moment."""
        served, full = until - self.start, self.full_end - self.full_start
        second = timedelta(microseconds=1)
        return Fraction(served // second, full // second)


@dataclass
class Contract:
    """A subscription to one plan: a fee a month, so many tokens included, each more for 1."""

    ahead: bool
    zone: str
    wall: datetime
    months: int
    """From the anchor to the end of the open cycle's period."""
    cycle: Cycle
    has_anchor_day: bool = False
    state: str = "ACTIVE"
    ends_at: datetime | None = None


@dataclass
class Customer:
    """One customer beside the clock."""

    now: datetime
    zone: str = "UTC"
    contract: Contract | None = None
    waiting: list[tuple[datetime, int]] = field(default_factory=list)
    """Usage that no cycle has taken yet."""
    settled: list[tuple[datetime, datetime, Fraction]] = field(default_factory=list)
    opened: list[tuple[datetime, datetime, Fraction]] = field(default_factory=list)
    open_usage: int = 0

    @property
    def state(self) -> str:
        """Return the contract's state; without one it is over."""
        return "CANCELLED" if self.contract is None else self.contract.state

    def subscribe(self, *, ahead: bool, trial_days: int, anchor_day: int | None) -> None:
        """Begin a contract now."""
        if self.contract is not None:
            raise Refused
        wall = self.now.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        wall += timedelta(days=trial_days)
        begins = self.now
        if trial_days:
            begins = wall.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
        if anchor_day is not None:
            wall = datetime(wall.year - 1, 1, anchor_day)  # noqa: DTZ001
        months = 1
        while months_on(wall, months, self.zone) <= begins:
            months += 1
        if trial_days:
            cycle = Cycle(self.now, begins, self.now, begins, is_free=True)
            months -= 1
        else:
            cycle = self._first(wall, months, anchor_day is not None)
        self.contract = Contract(
            ahead, self.zone, wall, months, cycle, anchor_day is not None,
            "TRIALING" if trial_days else "ACTIVE",
        )  # fmt: skip
        self._take_waiting(cycle)
        if ahead and not trial_days:
            self._open(cycle)

    def _first(self, wall: datetime, months: int, has_anchor_day: bool) -> Cycle:
        end = months_on(wall, months, self.zone)
        full = months_on(wall, months - 1, self.zone) if has_anchor_day else self.now
        return Cycle(self.now, end, full, end)

    def _take_waiting(self, cycle: Cycle) -> None:
        cycle.used += sum(quantity for at, quantity in self.waiting if at >= cycle.start)
        self.waiting = []

    def _open(self, cycle: Cycle) -> None:
        fee = cents(FEE * cycle.share(cycle.end))
        if fee:
            self.opened.append((cycle.start, cycle.end, fee))

    def use(self, quantity: int) -> None:
        """Use tokens now."""
        if self.contract is None or self.state == "PAUSED":
            self.waiting.append((self.now, quantity))
        else:
            self.contract.cycle.used += quantity

    def use_at_once(self, quantity: int) -> None:
        """Use tokens that are priced before they are served."""
        if self.contract is None or self.state == "PAUSED":
            raise Refused
        self.contract.cycle.used += quantity

    def pause(self) -> None:
        """Settle what was served up to now; the rest of the period waits."""
        if self.contract is None or self.state != "ACTIVE":
            raise Refused
        self._settle(self.contract, self.now, ahead=None)
        self.contract.state = "PAUSED"

    def resume(self) -> None:
        """Go on in the same period, or in the one that is now."""
        if self.contract is None or self.state != "PAUSED":
            raise Refused
        mine = self.contract
        if mine.ends_at is not None and mine.ends_at <= self.now:
            self._end(mine)
        elif self._go_on(mine) and mine.ahead:
            self._open(mine.cycle)

    def _end(self, mine: Contract) -> None:
        """End a contract that is paused by a cycle that serves no time."""
        self._go_on(mine)
        self._settle(mine, self.now, ahead=None, is_kept=True)
        self.contract = None

    def _go_on(self, mine: Contract) -> bool:
        before = mine.cycle
        mine.state = "ACTIVE"
        full = before.full_start, before.full_end
        is_other = before.full_end <= self.now
        if is_other:
            mine.zone = self.zone
            mine.months += 1
            while months_on(mine.wall, mine.months, mine.zone) <= self.now:
                mine.months += 1
            start = min(months_on(mine.wall, mine.months - 1, mine.zone), self.now)
            full = start, months_on(mine.wall, mine.months, mine.zone)
        mine.cycle = Cycle(self.now, full[1], *full)
        self._take_waiting(mine.cycle)
        return is_other

    def cancel(self, *, now: bool) -> None:
        """End the contract now, or with its open cycle; one that is paused ends at once."""
        if self.contract is None:
            raise Refused
        if self.state == "PAUSED":
            self._end(self.contract)
        elif now:
            self._settle(self.contract, self.now, ahead=None, is_kept=True)
            self.contract = None
        else:
            self.contract.ends_at = self.contract.cycle.end

    def advance(self, to: datetime) -> None:
        """Advance time, and settle each cycle that ends."""
        while (mine := self.contract) is not None and self.state != "PAUSED":
            if mine.cycle.end > to:
                break
            if mine.ends_at == mine.cycle.end:
                self._settle(mine, mine.cycle.end, ahead=None)
                self.contract = None
                break
            following = self._following(mine)
            self._settle(mine, mine.cycle.end, ahead=following if mine.ahead else None)
            mine.cycle, mine.zone, mine.state = following, self.zone, "ACTIVE"
        if to > self.now:
            # What nobody has taken is over now.
            self.waiting = []
        self.now = to

    def _following(self, mine: Contract) -> Cycle:
        start, was_trial = mine.cycle.end, mine.cycle.is_free
        mine.months += 1
        while months_on(mine.wall, mine.months, self.zone) <= start:
            mine.months += 1
        full = start
        if was_trial and mine.has_anchor_day:
            full = min(start, months_on(mine.wall, mine.months - 1, self.zone))
        end = months_on(mine.wall, mine.months, self.zone)
        return Cycle(start, end, full, end)

    def _settle(
        self, mine: Contract, at: datetime, *, ahead: Cycle | None, is_kept: bool = False
    ) -> None:
        """Owe the fee by time, and what was used beyond what is included by time; a cancellation
        keeps all that a fee in advance includes.
        """
        cycle = mine.cycle
        owed = Fraction(0)
        if not cycle.is_free:
            share = cycle.share(at)
            included = INCLUDED * (cycle.share(cycle.end) if is_kept and mine.ahead else share)
            owed = max(Fraction(0), cycle.used - included)
            owed += 0 if mine.ahead else FEE * share
        if ahead is not None:
            owed += FEE * ahead.share(ahead.end)
        self.settled.append((cycle.start, at, cents(owed)))
