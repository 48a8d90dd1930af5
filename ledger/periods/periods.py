"""Close a month of the live books, and open it again with a reason and two people."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from types import MappingProxyType

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from aforo.errors import Conflict
from ledger import locks
from ledger.controls import policies
from ledger.entries.entries import day_of
from ledger.models import (
    AccountingPeriod,
    CloseFile,
    ClosePack,
    CloseStep,
    PeriodStatus,
    Reopening,
)
from ledger.periods import close_packs
from ledger.periods.month_ends import month_after


class PeriodNotOver(Conflict):
    """A month is to be closed before it is over in the entity's calendar.

    Close it after its last day.
    """

    default_code = "period_not_over"


class OutOfOrder(Conflict):
    """A month is to be closed or reopened out of order.

    Close the earliest open month first, and reopen the latest closed one first.
    """

    default_code = "period_out_of_order"


class PeriodClosed(Conflict):
    """What was asked for would post into a closed month.

    Let it fall into the open month, or reopen the closed one.
    """

    default_code = "period_closed"


class PeriodNotClosed(Conflict):
    """The month is not closed, which what was asked for needs.

    Close it first.
    """

    default_code = "period_not_closed"


@transaction.atomic
def begin_close(*, month: date, now: datetime) -> AccountingPeriod:
    """Mark a month as closing; it takes entries as before. Safe to repeat.

    Raises: PeriodNotOver; PeriodClosed; OutOfOrder while an earlier month on record is open.
    """
    if day_of(now) < month_after(month):
        raise PeriodNotOver(f"{month:%Y-%m} is not over.")
    period, _ = AccountingPeriod.objects.get_or_create(
        livemode=True, starts_on=month, defaults={"ends_on": month_after(month)}
    )
    if period.status == PeriodStatus.CLOSED:
        raise PeriodClosed(f"{month:%Y-%m} is closed.")
    earlier = AccountingPeriod.objects.filter(livemode=True, starts_on__lt=month)
    open_one = earlier.exclude(status=PeriodStatus.CLOSED).order_by("starts_on").first()
    last = earlier.order_by("-starts_on").first()
    if open_one is not None or (last is not None and last.ends_on != month):
        missing = open_one.starts_on if open_one is not None else last.ends_on if last else month
        raise OutOfOrder(f"{missing:%Y-%m} is not closed yet.")
    period.status = PeriodStatus.PENDING_CLOSE
    period.save(update_fields=["status"])
    return period


@transaction.atomic
def close(
    *,
    month: date,
    by: str,
    now: datetime,
    check: Callable[[], None],
    files: Callable[[], Mapping[str, str]],
) -> ClosePack:
    """Lock a month that is closing, and freeze its pack, with nobody posting into it meanwhile;
    the next one is on record from then on.

    `check` raises where the books do not tie; `files` gives the pack's contents by name.
    Raises: PeriodNotClosed unless the month is closing; Busy while somebody posts into it.
    """
    locks.lock_month(month)
    period = AccountingPeriod.objects.get(livemode=True, starts_on=month)
    if period.status != PeriodStatus.PENDING_CLOSE:
        raise PeriodNotClosed(f"{month:%Y-%m} is {period.status}, not closing.")
    check()
    contents = files()
    pack = close_packs.freeze(period=period, by=by, now=now)
    CloseFile.objects.bulk_create(
        CloseFile(pack=pack, name=name, content=content, sha256=sha256(content))
        for name, content in contents.items()
    )
    period.status, period.closed_at, period.closed_by = PeriodStatus.CLOSED, now, by
    period.save(update_fields=["status", "closed_at", "closed_by"])
    following = {"ends_on": month_after(period.ends_on)}
    AccountingPeriod.objects.get_or_create(
        livemode=True, starts_on=period.ends_on, defaults=following
    )
    return pack


def record_step(
    *,
    month: date,
    step: str,
    by: str,
    at: datetime,
    result: str,
    evidence: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Record that a step of closing a month was completed."""
    period = AccountingPeriod.objects.get(livemode=True, starts_on=month)
    CloseStep.objects.create(
        period=period,
        number=period.packs.count() + 1,
        step=step,
        by=by,
        done_at=at,
        result=result,
        evidence=dict(evidence),
    )


def steps_done(*, month: date) -> list[CloseStep]:
    """Return what was done for the next pack of a month, each step as it was completed last."""
    period = AccountingPeriod.objects.get(livemode=True, starts_on=month)
    return steps_of(period, number=period.packs.count() + 1)


def steps_of(period: AccountingPeriod, *, number: int) -> list[CloseStep]:
    """Return what was done for a pack of a month, each step as it was completed last."""
    last = {each.step: each for each in period.steps.filter(number=number).order_by("pk")}
    return sorted(last.values(), key=lambda each: each.pk)


def sha256(content: str) -> str:
    """Hash a file of a pack."""
    return hashlib.sha256(content.encode()).hexdigest()


def propose_reopening(
    *, period: AccountingPeriod, reason: str, by: AbstractBaseUser, now: datetime
) -> Reopening:
    """Propose that a closed month be opened again.

    Raises: PeriodNotClosed.
    """
    if period.status != PeriodStatus.CLOSED:
        raise PeriodNotClosed(f"{period} is {period.status}.")
    return policies.propose(Reopening(period=period, evidence=reason), by=by, now=now)


@transaction.atomic
def approve_reopening(
    *, reopening: Reopening, by: AbstractBaseUser, now: datetime
) -> AccountingPeriod:
    """Open a closed month again, as the second person; what was frozen stays.

    Raises: SamePerson, Decided, PeriodNotClosed; OutOfOrder while a later month is closed.
    """
    period = AccountingPeriod.objects.get(pk=reopening.period_id)
    locks.lock_month(period.starts_on)
    period.refresh_from_db()
    policies.approve(reopening, by=by, now=now)
    if period.status != PeriodStatus.CLOSED:
        raise PeriodNotClosed(f"{period} is {period.status}.")
    later = AccountingPeriod.objects.filter(
        livemode=period.livemode, starts_on__gt=period.starts_on, status=PeriodStatus.CLOSED
    )
    last = later.order_by("-starts_on").first()
    if last is not None:
        raise OutOfOrder(f"{last} is closed and rests on {period}: open {last} again first.")
    period.status = PeriodStatus.REOPENED
    period.save(update_fields=["status"])
    return period
