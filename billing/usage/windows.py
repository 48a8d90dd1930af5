"""Usage windows, as a customer reads them: by hour or day of the customer's zone, or in one sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, islice, pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef

from aforo import money, periods
from aforo.errors import FieldError, Invalid
from aforo.sandbox.services import now_for
from billing.models import Customer, UsageEvent
from billing.usage import aggregates
from ledger.entries import books
from ledger.models import Book
from pricing.models import Metric

Group = Literal["hour", "day"]

DEFAULT_SPAN = timedelta(days=30)
# The most rows of one answer; at least one window of every metric is answered.
MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Window:
    """The aggregate of a metric in [starts_at, ends_at)."""

    metric: str
    starts_at: datetime
    ends_at: datetime
    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows in the order of their time; `go_on_at` is where the next answer starts."""

    rows: list[Window]
    go_on_at: datetime | None


def read_windows(
    *,
    livemode: bool,
    customer_id: str,
    metric: str | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    group_by: Group | None = None,
) -> Windows:
    """Aggregate the usage that occurred in [starts_at, ends_at), or in the 30 days up to the
    customer's now.

    Without `group_by` the whole span is one window. Windows without events are left out, and so are
    metrics, unless one is asked for in one sum. Raises: UnknownCustomer; Invalid for wrong bounds
    and for an unknown metric.
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    ends_at = ends_at or now_for(book)
    starts_at = starts_at or ends_at - DEFAULT_SPAN
    if starts_at >= ends_at:
        raise Invalid([FieldError("/to", "not_after_from", "It has to lie after from.")])
    metrics = _metrics(book, metric, starts_at, ends_at)
    zone = ZoneInfo(Customer.objects.values_list("timezone", flat=True).get(pk=book.pk))
    at_once = max(1, MAX_ROWS // max(1, len(metrics)))
    bounds = list(islice(_bounds(starts_at, ends_at, zone, group_by), at_once + 1))
    rows = [row for each in metrics for row in _rows(book, each, bounds)]
    if metric is not None and group_by is None and not rows:
        rows = [Window(metric, starts_at, ends_at, money.ZERO, 0)]
    rows.sort(key=lambda row: (row.starts_at, row.metric))
    return Windows(rows, bounds[-1] if bounds[-1] < ends_at else None)


def _metrics(
    book: Book, code: str | None, starts_at: datetime, ends_at: datetime
) -> Sequence[Metric]:
    """Return the requested metric, else those with any usage.

    Raises: Invalid.
    """
    mine = Metric.objects.filter(livemode=book.livemode)
    if code is not None:
        found = list(mine.filter(code=code))
        if not found:
            detail = f"There is no metric {code}."
            raise Invalid([FieldError("/metric", "unknown_metric", detail)])
        return found
    used = UsageEvent.objects.filter(
        book=book,
        metric=OuterRef("pk"),
        counted_at__gte=starts_at,
        occurred_at__gte=starts_at,
        occurred_at__lt=ends_at,
    )
    return list(mine.filter(Exists(used)).order_by("code"))


def _bounds(
    starts_at: datetime, ends_at: datetime, zone: ZoneInfo, group_by: Group | None
) -> Iterator[datetime]:
    """Return the bounds of the windows: the first and the last are cut to the span."""
    yield starts_at
    if group_by is not None:
        hour = starts_at.astimezone(zone).replace(minute=0, second=0, microsecond=0)
        midnight = hour.replace(hour=0, tzinfo=None)
        for number in count(1):
            if group_by == "hour":
                bound = hour.astimezone(UTC) + timedelta(hours=number)
            else:
                bound = periods.bound(midnight, zone, periods.Interval.DAY, 1, number)
            if bound >= ends_at:
                break
            yield bound
    yield ends_at


def _rows(book: Book, metric: Metric, bounds: Sequence[datetime]) -> list[Window]:
    found = aggregates.aggregate_windows(book_id=book.pk, metric=metric, bounds=bounds)
    windows = list(pairwise(bounds))
    return [
        Window(metric.code, *windows[number], summed.quantity, summed.events)
        for number, summed in found.items()
    ]
