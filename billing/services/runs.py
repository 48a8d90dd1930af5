"""Settlement runs: all that is due in a mode or for one customer, one run of a scope at a time."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from aforo.errors import Conflict, DomainError, FieldError, Invalid, InvariantBroken, NotFound
from billing import locks
from billing.models import RunStatus, SettlementRun, Subscription, SubscriptionStatus
from billing.services import settlement
from ledger import services as ledger
from ledger.models import Book

logger = logging.getLogger(__name__)

# A run whose process has been silent for so long is taken to be dead, and its scope is free.
LEASE = timedelta(seconds=90)


class AlreadyRunning(Conflict):
    default_code = "run_in_progress"


class UnknownRun(NotFound):
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
    book = None if customer_id is None else ledger.get_book(livemode=livemode, key=customer_id)
    locks.lock_run_scopes(livemode=livemode)
    living = SettlementRun.objects.filter(livemode=livemode).exclude(status=RunStatus.DONE)
    if book is not None:
        living = living.filter(Q(book=None) | Q(book=book))
    for run in living:
        if now - (run.heartbeat_at or run.created_at) < LEASE:
            raise AlreadyRunning(f"The run {run.pk} is settling this already.")
        _finish(run, now, failures=[{"customer_id": "", "reason": "the run was abandoned"}])
    return SettlementRun.objects.create(
        livemode=livemode, book=book, as_of=as_of or now, heartbeat_at=now
    )


def _finish(run: SettlementRun, now: datetime, failures: list[dict[str, str]]) -> None:
    run.status = RunStatus.DONE
    run.finished_at = now
    run.failures = [*run.failures, *failures]
    run.save(update_fields=["status", "finished_at", "failures"])


def due_books(*, run: SettlementRun) -> QuerySet[Book]:
    """Give the books with a cycle that is over, customers on a test clock judged by their clock."""
    over = Subscription.objects.exclude(status=SubscriptionStatus.CANCELLED).filter(
        Q(current_ends_at__lte=run.as_of, customer__book__test_clock=None)
        | Q(current_ends_at__lte=F("customer__book__test_clock__now"))
    )
    books = Book.objects.filter(livemode=run.livemode, pk__in=over.values("customer"))
    if run.book_id is not None:
        books = books.filter(pk=run.book_id)
    return books.select_related("test_clock").order_by("pk")


def is_anything_due(*, livemode: bool, as_of: datetime) -> bool:
    """Tell whether a run would find a cycle that is over, so that idle minutes leave no runs."""
    return due_books(run=SettlementRun(livemode=livemode, as_of=as_of)).exists()


def execute(*, run_id: UUID, clock: settlement.Clock) -> SettlementRun:
    """Settle everything that the run's scope has due, committing cycle by cycle.

    Killed anywhere, the next run goes on where it stopped. A customer that fails is listed with
    its reason and does not stop the others. `clock` gives the real now, for the lease.
    """
    claimed = SettlementRun.objects.filter(pk=run_id, status=RunStatus.QUEUED).update(
        status=RunStatus.RUNNING, heartbeat_at=clock()
    )
    run = SettlementRun.objects.select_related("book").get(pk=run_id)
    if not claimed:
        return run
    books = list(due_books(run=run))
    SettlementRun.objects.filter(pk=run_id).update(due=len(books))
    for book in books:
        settled, failure = _settle_book(book, run, clock)
        failures = [*run.failures, failure] if failure else run.failures
        SettlementRun.objects.filter(pk=run_id).update(
            settled=F("settled") + settled,
            failed=F("failed") + (1 if failure else 0),
            failures=failures,
            heartbeat_at=clock(),
        )
        run.failures = failures
    run.refresh_from_db()
    _finish(run, clock(), failures=[])
    return run


def _settle_book(
    book: Book, run: SettlementRun, clock: settlement.Clock
) -> tuple[int, dict[str, str] | None]:
    """Settle one customer; give how many cycles, and the failure if there was one."""
    until = run.as_of if book.test_clock is None else book.test_clock.now
    try:
        return settlement.settle_book(book_id=book.pk, until=until, issued_at=until), None
    except (DomainError, InvariantBroken) as error:
        logger.exception("Settling %s failed", book.key)
        return 0, {"customer_id": book.key, "reason": str(error)}


def get_run(*, livemode: bool, run_id: UUID) -> SettlementRun:
    """Find a run.

    Raises: UnknownRun.
    """
    run = SettlementRun.objects.filter(livemode=livemode, pk=run_id).first()
    if run is None:
        raise UnknownRun(f"There is no run {run_id}.")
    return run


def describe(run: SettlementRun) -> dict[str, object]:
    """Show a run."""
    return {
        "id": run.pk,
        "status": run.status,
        "as_of": run.as_of,
        "due": run.due,
        "settled": run.settled,
        "failed": run.failed,
        "failures": run.failures,
    }
