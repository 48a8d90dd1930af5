"""Settlement runs: everything due in a mode or for one customer, one run of a scope at a time.

A run is a list of customers. Any number of workers share it by claiming items, each customer
committing cycle by cycle, so that a killed worker costs only its lease.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models import (
    Count,
    F,
    Q,
    QuerySet,
)

from aforo.errors import Busy, Conflict, FieldError, Invalid, NotFound
from billing import locks
from billing.cycle_end import cycle_settlement, starts
from billing.isolation import Failure, drop_lost_connection, reason_of
from billing.models import RunItemStatus, RunStatus, SettlementRun, SettlementRunItem, Subscription
from billing.settlement import waiting_cycles
from billing.subscriptions import states
from ledger.entries import books as ledger_books
from ledger.models import Book

logger = logging.getLogger(__name__)

Progress = Callable[[], None]

# A run or a claim whose process has been silent for this long is presumed dead.
LEASE = timedelta(seconds=90)
# The run's row is updated at most this often, so that its workers do not queue for it.
HEARTBEAT = timedelta(seconds=5)
# How often a busy customer is tried again, after the others.
MAX_ATTEMPTS = 3
# How many cycles of a customer are settled at a time, before the others go on.
CYCLES_PER_CLAIM = 20
# How many failures are listed on a run; its items have all of them.
MAX_FAILURES = 1_000
STEP = "settlement"
_FINISHED = [RunItemStatus.DONE, RunItemStatus.FAILED]


class AlreadyRunning(Conflict):
    """A run over the same customers is under way.

    Follow it by GET /v1/settlements/runs/{id}, and repeat when it is done.
    """

    default_code = "run_in_progress"


class UnknownRun(NotFound):
    """No run of the key's mode has this id.

    Use the id that POST /v1/settlements/run answered.
    """

    default_code = "unknown_run"


@transaction.atomic
def start_run(
    *, livemode: bool, as_of: datetime | None, customer_id: str | None, now: datetime
) -> SettlementRun:
    """Claim a scope for a run; `execute` does the work.

    Raises: AlreadyRunning when a run of an overlapping scope lives; Invalid for an `as_of` after
    now in live mode; UnknownCustomer.
    """
    if livemode and as_of is not None and as_of > now:
        raise Invalid([FieldError("/as_of", "in_the_future", "Live cycles end in real time.")])
    book = (
        None if customer_id is None else ledger_books.get_book(livemode=livemode, key=customer_id)
    )
    locks.lock_run_scopes(livemode=livemode)
    living = SettlementRun.objects.filter(livemode=livemode).exclude(status=RunStatus.DONE)
    if book is not None:
        living = living.filter(Q(book=None) | Q(book=book))
    for run in living:
        if now - (run.heartbeat_at or run.created_at) < LEASE:
            raise AlreadyRunning(f"The run {run.pk} is settling this already.")
        _end(run, now, abandoned=True)
    return SettlementRun.objects.create(
        livemode=livemode, book=book, as_of=as_of or now, heartbeat_at=now
    )


def _end(run: SettlementRun, now: datetime, *, abandoned: bool = False) -> None:
    _count_figures(run)
    run.status = RunStatus.DONE
    run.finished_at = now
    if abandoned:
        abandonment = {"customer_id": "", "step": STEP, "reason": "the run was abandoned"}
        run.failures = [*run.failures, abandonment]
    run.save(update_fields=["status", "finished_at", "settled", "failed", "failures"])


def due_books(*, run: SettlementRun) -> QuerySet[Book]:
    """Return the books with a cycle that is over, a waiting one whose grace is over, or a start
    that is due; for customers on a test clock by their clock.
    """
    over = Subscription.objects.filter(status__in=states.RUNNING).filter(
        Q(current_ends_at__lte=run.as_of, customer__book__test_clock=None)
        | Q(current_ends_at__lte=F("customer__book__test_clock__now"))
    )
    starting = Subscription.objects.filter(starts.WAITING).filter(
        Q(starts_at__lte=run.as_of, customer__book__test_clock=None)
        | Q(starts_at__lte=F("customer__book__test_clock__now"))
    )
    behind = waiting_cycles.with_due_at().filter(
        Q(due_at__lte=run.as_of, book__test_clock=None) | Q(due_at__lte=F("book__test_clock__now"))
    )
    books = Book.objects.filter(
        Q(pk__in=over.values("customer"))
        | Q(pk__in=starting.values("customer"))
        | Q(pk__in=behind.values("book")),
        livemode=run.livemode,
    )
    if run.book_id is not None:
        books = books.filter(pk=run.book_id)
    return books.order_by("pk")


def is_anything_due(*, livemode: bool, as_of: datetime) -> bool:
    """Return whether a run would find a cycle that is over, so that idle minutes create no runs."""
    return due_books(run=SettlementRun(livemode=livemode, as_of=as_of)).exists()


@transaction.atomic
def plan(*, run_id: UUID, clock: cycle_settlement.Clock) -> None:
    """Create a queued run's items, one a customer, once; a second call changes nothing."""
    claimed = SettlementRun.objects.filter(pk=run_id, status=RunStatus.QUEUED).update(
        status=RunStatus.RUNNING, heartbeat_at=clock()
    )
    if claimed:
        run = SettlementRun.objects.get(pk=run_id)
        ids = due_books(run=run).values_list("pk", flat=True)
        items = [SettlementRunItem(run=run, book_id=book_id) for book_id in ids]
        SettlementRunItem.objects.bulk_create(items, batch_size=5_000)
        SettlementRun.objects.filter(pk=run_id).update(due=len(items))


def execute(
    *, run_id: UUID, clock: cycle_settlement.Clock, progress: Progress = lambda: None
) -> SettlementRun:
    """Execute a run, alone or beside any number of other workers.

    A customer that fails is listed with its reason and does not stop the others. Killed anywhere,
    the next call continues. `clock` returns the real now, for the leases; `progress` is called
    after each customer.
    """
    plan(run_id=run_id, clock=clock)
    after = 0
    while True:
        now = clock()
        item = locks.claim_run_item(run_id=run_id, now=now, free_before=now - LEASE, after=after)
        if item is not None:
            _settle_item(item, clock)
            progress()
            after = item.pk
        elif after:
            # Once more from the front: customers that were busy, or whose worker has died.
            after = 0
        else:
            return finish(run_id=run_id, clock=clock)


def _unfinished(run_id: UUID) -> QuerySet[SettlementRunItem]:
    return SettlementRunItem.objects.filter(
        run=run_id, status__in=[RunItemStatus.PENDING, RunItemStatus.CLAIMED]
    )


def unfinished_items(*, run_id: UUID) -> list[int]:
    """Return the items of a run that are not done yet, for a task each."""
    return list(_unfinished(run_id).order_by("pk").values_list("pk", flat=True))


def settle_item(*, item_id: int, clock: cycle_settlement.Clock) -> bool:
    """Settle one customer of a run unless another worker has claimed it; the last one ends the run.

    Return whether it has more cycles than are settled at a time, so that it has to be called again.
    """
    run_id = SettlementRunItem.objects.values_list("run", flat=True).get(pk=item_id)
    now = clock()
    item = locks.claim_run_item(run_id=run_id, now=now, free_before=now - LEASE, item_id=item_id)
    if item is None:
        return False
    has_more = _settle_item(item, clock)
    if not _unfinished(run_id).exists():
        finish(run_id=run_id, clock=clock)
    return has_more


class _Claim:
    """A claim on a customer of a run: renewed after each cycle, and released after a number of
    cycles.
    """

    def __init__(self, item: SettlementRunItem, clock: cycle_settlement.Clock) -> None:
        self.item, self.clock = item, clock
        self.cycles = 0

    def goes_on(self) -> bool:
        """Renew the lease; return whether the claim is still ours and another cycle may be
        settled.
        """
        self.cycles += 1
        now = self.clock()
        is_ours = self.mine().update(claimed_at=now)
        self.item.claimed_at = now
        _show_life(self.item.run, now)
        return bool(is_ours) and not self.is_used_up

    @property
    def is_used_up(self) -> bool:
        return self.cycles >= CYCLES_PER_CLAIM

    def mine(self) -> QuerySet[SettlementRunItem]:
        """Return the item as a queryset, empty once another worker has claimed it after the
        lease.
        """
        return SettlementRunItem.objects.filter(
            pk=self.item.pk, status=RunItemStatus.CLAIMED, claimed_at=self.item.claimed_at
        )


def _show_life(run: SettlementRun, now: datetime) -> None:
    if run.heartbeat_at is None or run.heartbeat_at < now - HEARTBEAT:
        run.heartbeat_at = now
        SettlementRun.objects.filter(pk=run.pk, heartbeat_at__lt=now - HEARTBEAT).update(
            heartbeat_at=now
        )


def _settle_item(item: SettlementRunItem, clock: cycle_settlement.Clock) -> bool:
    """Settle a claimed customer; return whether it has more cycles than are settled at a time."""
    book, run, claim = item.book, item.run, _Claim(item, clock)
    until = run.as_of if book.test_clock is None else book.test_clock.now
    status, reason = RunItemStatus.DONE, ""
    try:
        cycle_settlement.settle_book(
            book_id=book.pk, until=until, issued_at=until, run_id=run.pk, goes_on=claim.goes_on
        )
        if claim.is_used_up:
            status, item.attempts = RunItemStatus.PENDING, 0
    except (Busy, OperationalError) as error:
        again = item.attempts < MAX_ATTEMPTS
        status = RunItemStatus.PENDING if again else RunItemStatus.FAILED
        reason = reason_of(error)
        logger.warning("Settling %s: %s", book.key, reason)
        drop_lost_connection()
    except Exception as error:
        # One failure may not stop the others; the log has the traceback.
        status, reason = RunItemStatus.FAILED, reason_of(error)
        logger.exception("Settling %s failed: %s", book.key, reason)
    settled = run.settlements.filter(book=book.pk).count()
    claim.mine().update(status=status, settled=settled, reason=reason, attempts=item.attempts)
    _show_life(run, clock())
    return claim.is_used_up and status == RunItemStatus.PENDING


def count(run_id: UUID) -> tuple[int, int]:
    """Count the finished customers of a run, and all of them."""
    items = SettlementRunItem.objects.filter(run=run_id)
    found = items.aggregate(done=Count("pk", filter=Q(status__in=_FINISHED)), total=Count("pk"))
    return found["done"], found["total"]


def finish(*, run_id: UUID, clock: cycle_settlement.Clock) -> SettlementRun:
    """End a run whose customers are all done; return it with its current figures."""
    run = SettlementRun.objects.select_related("book").get(pk=run_id)
    if run.status == RunStatus.RUNNING and not _unfinished(run_id).exists():
        _end(run, clock())
    return _count_figures(run)


def _count_figures(run: SettlementRun) -> SettlementRun:
    """Set a run's figures, counted from its rows, so that a dead worker loses none."""
    if run.status == RunStatus.RUNNING:
        failed = run.items.filter(status=RunItemStatus.FAILED).order_by("pk")
        run.settled, run.failed = run.settlements.count(), failed.count()
        run.failures = [
            {"customer_id": key, "step": STEP, "reason": reason}
            for key, reason in failed.values_list("book__key", "reason")[:MAX_FAILURES]
        ]
    return run


def failures_of(run: SettlementRun) -> list[Failure]:
    """Return the customers whom a run could not settle, and why."""
    return [
        Failure(failure["customer_id"], STEP, failure["reason"], run.livemode)
        for failure in run.failures
    ]


def stale_runs(*, now: datetime) -> list[UUID]:
    """Return the runs without a heartbeat for a lease: a message was lost, or a worker died."""
    living = SettlementRun.objects.exclude(status=RunStatus.DONE)
    stale = living.filter(heartbeat_at__lt=now - LEASE).order_by("created_at")
    return list(stale.values_list("pk", flat=True))


def is_over(*, run_id: UUID) -> bool:
    """Return whether a run has ended."""
    return SettlementRun.objects.filter(pk=run_id, status=RunStatus.DONE).exists()


def get_run(*, livemode: bool, run_id: UUID) -> SettlementRun:
    """Return a run with its current figures.

    Raises: UnknownRun.
    """
    run = SettlementRun.objects.filter(livemode=livemode, pk=run_id).first()
    if run is None:
        raise UnknownRun(f"There is no run {run_id}.")
    return _count_figures(run)


def describe(run: SettlementRun) -> dict[str, object]:
    """Return a run."""
    return {
        "id": run.pk,
        "status": run.status,
        "as_of": run.as_of,
        "due": run.due,
        "settled": run.settled,
        "failed": run.failed,
        "failures": run.failures,
    }
