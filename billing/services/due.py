"""The sweep: everything that is due, once, in the order of DECISIONS 42."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.models import SettlementRun
from billing.services import (
    burning,
    campaign_runs,
    fees,
    milestones,
    prepayment,
    runs,
    settlement,
)
from ledger import services as ledger
from pricing import services as pricing
from wallets import services as wallets


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    paid: int
    runs: tuple[SettlementRun, ...]
    lapsed: int
    campaign_grants: int
    refilled: int

    @property
    def settled(self) -> int:
        return sum(run.settled for run in self.runs)

    @property
    def failures(self) -> list[dict[str, str]]:
        return [failure for run in self.runs for failure in run.failures]


CarryOut = Callable[[UUID], SettlementRun]


def sweep(*, now: datetime, clock: settlement.Clock, carry_out: CarryOut | None = None) -> Swept:
    """Do what is due in both modes, in the order of DECISIONS 42. Safe to repeat.

    Customers on a test clock wait for their clock. Runs that were left are taken up again; where
    one is under way, settlement is left to it. `carry_out` executes a run; here without it.
    """
    paid = wallets.resolve_pending()
    here = carry_out or (lambda run_id: runs.execute(run_id=run_id, clock=clock))
    left = [here(run_id) for run_id in runs.stale_runs(now=now)]
    done = (*left, *(run for mode in (True, False) for run in _settle_mode(mode, now, here)))
    lapsed = expire(until=now)
    for book_id in prepayment.due_books(now=now):
        prepayment.burn_prepaid(book_id=book_id)
    for book_id in fees.due_books(now=now):
        with transaction.atomic():
            fees.recognise_fees(book=ledger.lock_book(book_id=book_id), until=now)
    # Usage earns its milestone before the window that it falls into is closed.
    granted = milestones.check(now=now)
    pricing.follow_windows(now=now)
    granted += campaign_runs.resume(now=now, clock=clock)
    refills = refill()
    for livemode in (True, False):
        ledger.seal_if_due(livemode=livemode, now=now)
    return Swept(paid, done, lapsed, granted, refills)


def _settle_mode(livemode: bool, now: datetime, carry_out: CarryOut) -> list[SettlementRun]:  # noqa: FBT001
    if not runs.is_anything_due(livemode=livemode, as_of=now):
        return []
    try:
        run = runs.start_run(livemode=livemode, as_of=now, customer_id=None, now=now)
    except runs.AlreadyRunning:
        return []
    return [carry_out(run.pk)]


def settle(
    *,
    livemode: bool,
    as_of: datetime | None,
    customer_id: str | None,
    clock: settlement.Clock,
    progress: Callable[[UUID], None] = lambda run_id: None,
) -> SettlementRun:
    """Start a run and execute it here; `progress` is told of each customer that is done.

    Raises: AlreadyRunning, Invalid, UnknownCustomer.
    """
    run = runs.start_run(livemode=livemode, as_of=as_of, customer_id=customer_id, now=clock())
    return runs.execute(run_id=run.pk, clock=clock, progress=lambda: progress(run.pk))


def expire(*, until: datetime) -> int:
    """End reservations and lapse what expired by `until`, customer by customer; give the number of
    lots that lapsed.
    """
    lapsed = 0
    due = {
        *wallets.books_to_release(livemode=None, until=until),
        *wallets.lapsing_books(livemode=None, until=until),
    }
    for book_id in sorted(due):
        counted = burning.count_for_lapse(book_id=book_id, until=until)
        with transaction.atomic():
            book = ledger.lock_book(book_id=book_id, exclusive=True)
            lapsed += burning.lapse(book=book, until=until, counted=counted)
    return lapsed


def refill() -> int:
    """Fill the wallets that are low and fill themselves; give how many were begun.

    Customers on a test clock wait for their clock.
    """
    books = wallets.active_books()
    return wallets.refill_if_low([book.pk for book in books if book.test_clock_id is None])
