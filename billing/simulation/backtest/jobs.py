"""A backtest as a job: started, executed chunk by chunk, killed and continued, described."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from aforo.errors import FieldError, Invalid, NotFound
from billing.cycle_end.runs import LEASE
from billing.models import Backtest, BacktestCycle, RunStatus, Settlement, SettlementStatus
from billing.simulation.backtest.replay import replay
from billing.simulation.backtest.reports import summarise
from ledger.models import Book
from pricing import catalogue
from pricing.models import Offering, RatePlanVersion

# Customers at a time: memory is that of one chunk, and a killed job repeats no more than one.
CHUNK = 50

Clock = Callable[[], datetime]


class UnknownBacktest(NotFound):
    """No backtest of the key's mode has this id.

    Take it from GET /v1/backtests.
    """

    default_code = "unknown_backtest"


def start(
    *,
    version: RatePlanVersion,
    starts_at: datetime,
    ends_at: datetime,
    offering: str | None = None,
    customers: Sequence[str] = (),
    with_credits: bool = False,
) -> Backtest:
    """Create a backtest; `execute` runs it.

    It covers the cycles that ended in (starts_at, ends_at], of all customers of an offering, or of
    the given ones, or of every offering of the plan. Raises: Invalid for an empty window, an
    unknown offering or customer, or another currency.
    """
    if ends_at <= starts_at:
        raise Invalid([FieldError("/to", "before_from", "It must be later than from.")])
    livemode = version.plan.livemode
    sold = None if offering is None else catalogue.find_offering(livemode=livemode, code=offering)
    _check(version, sold, customers)
    return Backtest.objects.create(
        livemode=livemode,
        version=version,
        offering=sold,
        customers=list(dict.fromkeys(customers)),
        starts_at=starts_at,
        ends_at=ends_at,
        with_credits=with_credits,
    )


def _check(version: RatePlanVersion, offering: Offering | None, customers: Sequence[str]) -> None:
    currency = version.plan.currency
    faults = []
    if offering is not None and offering.plan.currency != currency:
        detail = f"It is sold in {offering.plan.currency}, not {currency}."
        faults.append(FieldError("/offering", "currency_differs", detail))
    storable = [key for key in customers if "\x00" not in key]
    known = set(
        Book.objects.filter(livemode=version.plan.livemode, key__in=storable).values_list(
            "key", flat=True
        )
    )
    faults += [
        FieldError(f"/customers/{number}", "unknown_customer", f"There is no customer {key}.")
        for number, key in enumerate(customers)
        if key not in known
    ]
    if faults:
        raise Invalid(faults)


def settlements_of(backtest: Backtest) -> QuerySet[Settlement]:
    """Return the settled cycles that a backtest covers."""
    found = Settlement.objects.filter(
        book__livemode=backtest.livemode,
        status=SettlementStatus.SETTLED,
        currency=backtest.version.plan.currency,
        ends_at__gt=backtest.starts_at,
        ends_at__lte=backtest.ends_at,
    )
    if backtest.customers:
        found = found.filter(book__key__in=backtest.customers)
    if backtest.offering_id is not None:
        return found.filter(subscription__offering=backtest.offering_id)
    if not backtest.customers:
        return found.filter(subscription__offering__plan=backtest.version.plan_id)
    return found


def execute(
    *, backtest_id: UUID, clock: Clock, progress: Callable[[Backtest], None] | None = None
) -> Backtest:
    """Price every cycle of a backtest, chunk by chunk, each committed with its rows.

    A backtest that another worker executes is left alone. Killed anywhere, the next call continues
    after the last customer that has rows. A cycle that cannot be priced is listed with its reason.
    `clock` returns the real now.
    """
    now = clock()
    abandoned = Q(status=RunStatus.RUNNING, heartbeat_at__lt=now - LEASE)
    free = Backtest.objects.filter(Q(status=RunStatus.QUEUED) | abandoned, pk=backtest_id)
    claimed = free.update(status=RunStatus.RUNNING, heartbeat_at=now)
    backtest = get(backtest_id)
    if not claimed:
        return backtest
    asked = settlements_of(backtest)
    backtest.due = asked.values("book").distinct().count()
    backtest.save(update_fields=["due"])
    while books := _next_books(backtest, asked):
        _price(backtest, asked, books, clock)
        if progress is not None:
            progress(backtest)
    backtest.summary = summarise(backtest)
    backtest.status = RunStatus.DONE
    backtest.finished_at = clock()
    backtest.save(update_fields=["summary", "status", "finished_at"])
    return backtest


def _next_books(backtest: Backtest, asked: QuerySet[Settlement]) -> list[int]:
    """Return the next customers, in the order of their books."""
    last = backtest.cycles.order_by("-book").values_list("book", flat=True).first()
    books = asked.order_by("book").values_list("book", flat=True).distinct()
    return list(books.filter(book__gt=last or 0)[:CHUNK])


@transaction.atomic
def _price(
    backtest: Backtest, asked: QuerySet[Settlement], books: Sequence[int], clock: Clock
) -> None:
    settlements = list(
        asked.filter(book__in=books)
        .select_related("book__test_clock", "subscription__customer__book",
                        "subscription__offering")
        .order_by("book", "ends_at", "pk")
    )  # fmt: skip
    priced = replay(
        version=backtest.version, settlements=settlements, with_credits=backtest.with_credits
    )
    BacktestCycle.objects.bulk_create(
        BacktestCycle(
            backtest=backtest,
            settlement=each.settlement,
            book_id=each.settlement.book_id,
            ends_at=each.settlement.ends_at,
            paid=each.paid,
            priced=each.priced,
            figures=each.figures,
            error=each.error,
        )
        for each in priced
    )
    backtest.done += len(books)
    backtest.heartbeat_at = clock()
    backtest.save(update_fields=["done", "heartbeat_at"])


def get(backtest_id: UUID) -> Backtest:
    """Return a backtest with the version that it prices."""
    return Backtest.objects.select_related("version__plan", "offering").get(pk=backtest_id)


def get_backtest(*, livemode: bool, backtest_id: UUID) -> Backtest:
    """Return a backtest.

    Raises: UnknownBacktest.
    """
    found = Backtest.objects.filter(livemode=livemode, pk=backtest_id)
    backtest = found.select_related("version__plan", "offering").first()
    if backtest is None:
        raise UnknownBacktest(f"There is no backtest {backtest_id}.")
    return backtest


def describe(backtest: Backtest) -> dict[str, object]:
    """Return a backtest as the API describes it: the question, the progress, and the answer."""
    plan = backtest.version.plan
    return {
        "id": backtest.pk,
        "rate_plan": {"code": plan.code, "version": backtest.version.number},
        "currency": plan.currency,
        "offering": backtest.offering.code if backtest.offering else None,
        "customers": backtest.customers,
        "from": backtest.starts_at,
        "to": backtest.ends_at,
        "with_credits": backtest.with_credits,
        "status": backtest.status,
        "due": backtest.due,
        "done": backtest.done,
        "summary": backtest.summary or None,
        "created_at": backtest.created_at,
        "finished_at": backtest.finished_at,
    }
