"""The schedule of dunning, one in force for each mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aforo.errors import FieldError, Invalid
from billing.models import DunningAction, DunningSchedule

DEFAULT_DAYS = (0, 3, 7)
DEFAULT_SUSPEND_DAY = 14
LAST_DAY = 365
MOST_REMINDERS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """A step, so many days after an invoice is due."""

    day: int
    action: DunningAction


@dataclass(frozen=True, slots=True)
class Schedule:
    """The days of the reminders, and of the suspension, if there is one."""

    reminder_days: tuple[int, ...] = DEFAULT_DAYS
    suspend_day: int | None = DEFAULT_SUSPEND_DAY

    @property
    def steps(self) -> list[Step]:
        """Return the steps in their order; a reminder comes before a suspension of the same day."""
        steps = [Step(day, DunningAction.REMIND) for day in self.reminder_days]
        if self.suspend_day is not None:
            steps.append(Step(self.suspend_day, DunningAction.SUSPEND))
        return sorted(steps, key=lambda step: (step.day, step.action))


DEFAULT = Schedule()


def in_force(*, livemode: bool) -> Schedule:
    """Return the newest schedule of a mode, else the default one."""
    newest = DunningSchedule.objects.filter(livemode=livemode).order_by("-pk").first()
    if newest is None:
        return DEFAULT
    return Schedule(tuple(newest.reminder_days), newest.suspend_day)


def change(
    *, livemode: bool, reminder_days: Sequence[int], suspend_day: int | None
) -> DunningSchedule:
    """Write a schedule, which is in force from now on; what has been reminded of stays.

    Raises: Invalid.
    """
    days = sorted(set(reminder_days))
    check(days, suspend_day)
    return DunningSchedule.objects.create(
        livemode=livemode, reminder_days=days, suspend_day=suspend_day
    )


def check(days: Sequence[int], suspend_day: int | None) -> None:
    """Check the days of a schedule.

    Raises: Invalid.
    """
    faults = []
    if len(days) > MOST_REMINDERS:
        faults.append(("/reminder_days", "too_many", f"At most {MOST_REMINDERS} reminders."))
    if any(not 0 <= day <= LAST_DAY for day in days):
        faults.append(("/reminder_days", "invalid", f"Days are 0 to {LAST_DAY}."))
    if suspend_day is not None and not max(days, default=0) <= suspend_day <= LAST_DAY:
        detail = f"Not before the last reminder, and at most {LAST_DAY}."
        faults.append(("/suspend_day", "invalid", detail))
    if faults:
        raise Invalid([FieldError(*fault) for fault in faults])
