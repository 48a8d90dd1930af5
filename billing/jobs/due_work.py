"""The sweep: everything that is due, step by step and each customer alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from aforo.webhooks import delivery as webhook_delivery
from aforo.webhooks import pruning
from billing import mail
from billing.campaigns import campaign_runs, milestones
from billing.cycle_end import cycle_settlement, runs
from billing.dunning import reminders
from billing.invoicing import charges, document_sending, numbering
from billing.isolation import Failure, Isolation
from billing.jobs import wallet_alerts, workers
from billing.lifecycle import final_overage
from billing.models import SettlementRun
from billing.month_ends import month_end
from billing.prepaid import reactivation
from billing.settlement import usage_burn
from billing.subscriptions import advance_fees
from ledger.entries import books
from ledger.seals import seals
from pricing.campaigns import campaigns
from wallets.alerts import thresholds
from wallets.budgets import metered
from wallets.grants import expiry
from wallets.holds import reservations
from wallets.top_ups import gateway_work
from wallets.top_ups import refill as wallet_refill

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """The results of a sweep, and the customers it passed over."""

    paid: int
    runs: tuple[SettlementRun, ...]
    lapsed: int
    campaign_grants: int
    refilled: int
    passed_over: tuple[Failure, ...] = ()

    @property
    def settled(self) -> int:
        return sum(run.settled for run in self.runs)

    @property
    def failures(self) -> list[Failure]:
        return [
            *(failure for run in self.runs for failure in runs.failures_of(run)),
            *self.passed_over,
        ]

    def describe(self) -> dict[str, object]:
        """Return the sweep as the result of a task."""
        return {
            "paid": self.paid,
            "settled": self.settled,
            "lapsed": self.lapsed,
            "campaign_grants": self.campaign_grants,
            "refilled": self.refilled,
            "failures": [failure.describe() for failure in self.failures],
        }


CarryOut = Callable[[UUID], SettlementRun]


def sweep(
    *,
    now: datetime,
    clock: cycle_settlement.Clock,
    carry_out: CarryOut | None = None,
    deliver: Callable[[], object] | None = None,
) -> Swept:
    """Do what is due in both modes, in the order of the steps below. Safe to repeat.

    Each customer is served alone: one who fails or is locked is recorded and passed over. Customers
    on a test clock wait for their clock. Abandoned runs are resumed; where one is under way,
    settlement is left to it. `carry_out` executes a run, and `deliver` sends what has happened to
    other systems; without them, this process does.
    """
    alone = Isolation()
    paid = alone.each(
        "payments",
        lambda: gateway_work.books_to_ask(now=now),
        lambda book_id: gateway_work.ask(book_ids=[book_id], now=now),
    )
    done = _settle(
        alone, now, carry_out or (lambda run_id: runs.execute(run_id=run_id, clock=clock))
    )
    alone.each(
        "overage after the end",
        final_overage.due_books,
        lambda book_id: final_overage.bill(book_id=book_id),
    )
    alone.each(
        "numbers of documents",
        lambda: numbering.unnumbered_books(now=now),
        lambda book_id: numbering.catch_up(book_id=book_id, now=now),
    )
    alone.each(
        "invoice charges",
        lambda: charges.due_books(now=now),
        lambda book_id: charges.collect(book_id=book_id),
    )
    alone.each(
        "month ends",
        lambda: month_end.due_books(now=now),
        lambda book_id: month_end.bring_up(book_id=book_id, before=now + month_end.MICROSECOND),
    )
    lapsed = _expire(alone, until=now)
    alone.each("budgets", metered.pending_books, lambda book_id: metered.fold(book_id=book_id))
    alone.each(
        "prepaid burns",
        lambda: reactivation.due_books(now=now),
        lambda book_id: reactivation.burn_prepaid(book_id=book_id),
    )
    alone.each(
        "fees",
        lambda: advance_fees.due_books(now=now),
        lambda book_id: advance_fees.recognise_due(book_id=book_id, until=now),
    )
    # Usage earns its milestone before the window that it falls into is closed.
    granted = alone.whole("milestones", lambda: milestones.check(now=now, alone=alone), 0)
    alone.whole("campaign windows", lambda: campaigns.follow_windows(now=now), 0)
    granted += alone.whole(
        "campaign runs", lambda: campaign_runs.resume(now=now, clock=clock, alone=alone), 0
    )
    refills = _refill(alone)
    alone.each("dunning", lambda: reminders.due_books(now=now), _remind)
    alone.each("dunning", reminders.lifted_books, lambda each: reminders.lift(book_id=each))
    alone.each("alerts", thresholds.watched_books, lambda each: wallet_alerts.watch(book_id=each))
    alone.whole("mail", lambda: mail.send_due(clock=clock, attach=document_sending.attachment), 0)
    send = deliver or (lambda: webhook_delivery.deliver_due(clock=clock))
    alone.whole("webhooks", send, None)
    alone.whole("old events", lambda: pruning.prune(now=now), 0)
    for livemode in (True, False):
        alone.whole("seals", partial(seals.seal_if_due, livemode=livemode, now=now), None)
    swept = Swept(paid, tuple(done), lapsed, granted, refills, tuple(alone.failures))
    took = workers.note_swept(began=now, now=clock(), passed_over=len(swept.failures))
    logger.info("Swept in %d ms", took, extra=swept.describe())
    return swept


def _remind(book_id: int) -> int:
    return reminders.remind(book_id=book_id)


def _settle(alone: Isolation, now: datetime, carry_out: CarryOut) -> list[SettlementRun]:
    """Resume abandoned runs, then start one in each mode where something is due."""
    left = alone.whole("settlement", lambda: runs.stale_runs(now=now), ())
    started = [alone.whole("settlement", partial(carry_out, run_id), None) for run_id in left]
    started += [
        alone.whole("settlement", partial(_settle_mode, livemode, now, carry_out), None)
        for livemode in (True, False)
    ]
    return [run for run in started if run is not None]


def _settle_mode(
    livemode: bool,  # noqa: FBT001
    now: datetime,
    carry_out: CarryOut,
) -> SettlementRun | None:
    if not runs.is_anything_due(livemode=livemode, as_of=now):
        return None
    try:
        run = runs.start_run(livemode=livemode, as_of=now, customer_id=None, now=now)
    except runs.AlreadyRunning:
        return None
    return carry_out(run.pk)


def settle(
    *,
    livemode: bool,
    as_of: datetime | None,
    customer_id: str | None,
    clock: cycle_settlement.Clock,
    progress: Callable[[UUID], None] = lambda run_id: None,
) -> SettlementRun:
    """Start a run and execute it here; `progress` is called after each customer.

    Raises: AlreadyRunning, Invalid, UnknownCustomer.
    """
    run = runs.start_run(livemode=livemode, as_of=as_of, customer_id=customer_id, now=clock())
    return runs.execute(run_id=run.pk, clock=clock, progress=lambda: progress(run.pk))


def expire(*, until: datetime) -> tuple[int, list[Failure]]:
    """End reservations and lapse what expired by `until`, customer by customer; return the number
    of lots that lapsed, and the customers passed over.
    """
    alone = Isolation()
    return _expire(alone, until=until), alone.failures


def _expire(alone: Isolation, *, until: datetime) -> int:
    def due() -> list[int]:
        released = reservations.books_to_release(livemode=None, until=until)
        return sorted({*released, *expiry.lapsing_books(livemode=None, until=until)})

    def lapse(book_id: int) -> int:
        month_end.bring_up(book_id=book_id, before=until)
        counted = usage_burn.count_for_lapse(book_id=book_id, until=until)
        with transaction.atomic():
            book = books.lock_book(book_id=book_id, exclusive=True)
            return usage_burn.lapse(book=book, until=until, counted=counted)

    return alone.each("holds and lapses", due, lapse)


def refill() -> tuple[int, list[Failure]]:
    """Refill the wallets that are low and have an automatic refill; return how many refills were
    begun, and the customers passed over.

    Customers on a test clock wait for their clock.
    """
    alone = Isolation()
    return _refill(alone), alone.failures


def _refill(alone: Isolation) -> int:
    return alone.each(
        "refills",
        lambda: [book.pk for book in wallet_refill.active_books() if book.test_clock_id is None],
        lambda book_id: wallet_refill.refill_if_low([book_id]),
    )
