"""Usage windows, as a customer reads them: by hour or day of the customer's zone, or in one sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, islice, pairwise
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

from aforo import money, periods
from aforo.database import bulk
from aforo.errors import FieldError, Invalid
from aforo.sandbox.services import now_for
from billing.models import Customer
from billing.usage import aggregates
from ledger.entries import books
from ledger.models import Book
from pricing.models import Metric

Group = Literal["hour", "day"]

DEFAULT_SPAN = timedelta(days=30)
# The most rows of one answer; at least one window of every metric is answered.
MAX_ROWS = 1_000
# The most rows of a metric, where each value of an attribute is one of its own.
MAX_VALUES = 10_000
NONE: Mapping[str, str] = MappingProxyType({})

_NAMED = "WHERE t.livemode = %s AND t.code = %s"
_USED = """
    WHERE t.livemode = %s AND EXISTS (
        SELECT FROM billing_usageevent AS e
        WHERE e.book_id = %s AND e.metric_id = t.id AND e.counted_at >= %s
            AND e.occurred_at >= %s AND e.occurred_at < %s
    )
    ORDER BY t.code
"""


@dataclass(frozen=True, slots=True)
class Window:
    """The aggregate of a metric in [starts_at, ends_at), of the events with one value of the
    attribute that is grouped by (None: those without it).
    """

    metric: str
    starts_at: datetime
    ends_at: datetime
    value: str | None
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
    by: str | None = None,
    attributes: Mapping[str, str] = NONE,
) -> Windows:
    """Aggregate the usage that occurred in [starts_at, ends_at), or in the 30 days up to the
    customer's now.

    Without `group_by` the whole span is one window. Of events with `attributes` alone, if any are
    given; each value of the attribute `by` apart. Windows without events are left out, and so are
    metrics, unless one is asked for in one sum. Raises: UnknownCustomer; Invalid for wrong bounds,
    for an unknown metric, and for more values than an answer has room for.
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    ends_at = ends_at or now_for(book)
    starts_at = starts_at or ends_at - DEFAULT_SPAN
    if starts_at >= ends_at:
        raise Invalid([FieldError("/to", "not_after_from", "It has to lie after from.")])
    metrics = _metrics(book, metric, starts_at, ends_at)
    (customer,) = bulk.select_models(Customer, "WHERE t.book_id = %s", [book.pk])
    zone = ZoneInfo(customer.timezone)
    at_once = max(1, MAX_ROWS // max(1, len(metrics)))
    bounds = list(islice(_bounds(starts_at, ends_at, zone, group_by), at_once + 1))
    rows = [row for each in metrics for row in _rows(book, each, bounds, attributes, by)]
    if metric is not None and group_by is None and by is None and not rows:
        rows = [Window(metric, starts_at, ends_at, None, money.ZERO, 0)]
    rows.sort(key=lambda row: (row.starts_at, row.metric, row.value or ""))
    return Windows(rows, bounds[-1] if bounds[-1] < ends_at else None)


def _metrics(
    book: Book, code: str | None, starts_at: datetime, ends_at: datetime
) -> Sequence[Metric]:
    """Return the requested metric, else those with any usage.

    Raises: Invalid.
    """
    if code is not None:
        found = bulk.select_models(Metric, _NAMED, [book.livemode, code])
        if not found:
            detail = f"There is no metric {code}."
            raise Invalid([FieldError("/metric", "unknown_metric", detail)])
        return found
    span = [book.livemode, book.pk, starts_at, starts_at, ends_at]
    return bulk.select_models(Metric, _USED, span)


def _bounds(
    starts_at: datetime, ends_at: datetime, zone: ZoneInfo, group_by: Group | None
) -> Iterator[datetime]:
    """Return the bounds of the windows: the first and the last are cut to the span."""
    yield starts_at
    if group_by is not None:
        local = starts_at.astimezone(zone).replace(minute=0, second=0, microsecond=0)
        hour, midnight = local.astimezone(UTC), local.replace(hour=0, tzinfo=None)
        for number in count(1):
            if group_by == "hour":
                bound = hour + timedelta(hours=number)
            else:
                bound = periods.bound(midnight, zone, periods.Interval.DAY, 1, number)
            if bound >= ends_at:
                break
            yield bound
    yield ends_at


def _rows(
    book: Book,
    metric: Metric,
    bounds: Sequence[datetime],
    attributes: Mapping[str, str],
    by: str | None,
) -> list[Window]:
    """Return the windows of a metric.

    Raises: Invalid (`too_many_groups`).
    """
    found = aggregates.aggregate_windows(
        book_id=book.pk,
        metric=metric,
        bounds=bounds,
        attributes=attributes,
        by=by,
        at_most=MAX_VALUES + 1,
    )
    if len(found) > MAX_VALUES:
        detail = f"It would be more than {MAX_VALUES:,} rows: ask for less time, or for one value."
        raise Invalid([FieldError("/group_by", "too_many_groups", detail)])
    windows = list(pairwise(bounds))
    return [
        Window(metric.code, *windows[number], value, summed.quantity, summed.events)
        for (number, value), summed in found.items()
    ]
