"""Metered usage in: validated event by event, deduplicated for ever, inserted as a set.

One bad event never fails its batch, and a repeated (customer, key) is counted, not billed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from django.db import transaction
from django.utils.dateparse import parse_datetime

from aforo import bulk, money
from aforo.api.idempotency import canonical
from aforo.api.parsers import read_number
from aforo.ids import new_id
from aforo.sandbox.services import now_for
from billing.models import Subscription, SubscriptionStatus, UsageEvent
from ledger import services as ledger
from ledger.models import Book
from pricing.models import Metric

MAX_EVENTS = 1_000
FUTURE_TOLERANCE = timedelta(minutes=5)
# Sent by metering clients to say that a session lives; accepted, and never billed.
HEARTBEAT = "system.session.heartbeat"
MAX_QUANTITY = Decimal(10) ** 14
QUANTITY_QUANTUM = Decimal("0.000001")
_LENGTHS = {"customerId": 64, "metricName": 255, "idempotencyKey": 255}
_KNOWN = {*_LENGTHS, "quantity", "occurredAt"}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class BadEvent(Exception):
    """An event that is refused alone, with a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Event:
    """A well-formed event, not yet held against the catalogue."""

    index: int
    customer: str
    metric: str
    key: str
    quantity: Decimal
    occurred_at: datetime
    properties: Mapping[str, object]


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    accepted: int = 0
    duplicates: int = 0
    errors: list[dict[str, object]] = field(default_factory=list)

    def refuse(self, index: int, error: BadEvent) -> None:
        """Note that one event was refused."""
        self.errors.append({"index": index, "message": str(error), "error": error.code})

    @property
    def failed(self) -> int:
        return len(self.errors)


def _text(raw: Mapping[str, object], name: str) -> str:
    value = raw.get(name)
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise BadEvent("required", f"{name} is required.")
    if len(text) > _LENGTHS[name]:
        raise BadEvent("max_length", f"{name} has more than {_LENGTHS[name]} characters.")
    if "\x00" in text:
        raise BadEvent("invalid", f"{name} contains a NUL character.")
    return text


def _quantity(value: object) -> Decimal:
    if isinstance(value, str) and len(value) <= 80 and _NUMBER.fullmatch(value):
        value = read_number(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadEvent("invalid_number", "quantity is not a number.")
    quantity = Decimal(value)
    if quantity <= 0:
        raise BadEvent("not_positive", "quantity must be above zero.")
    if quantity >= MAX_QUANTITY:
        raise BadEvent("too_large", "quantity has more than 14 integer digits.")
    if quantity % QUANTITY_QUANTUM != 0:
        raise BadEvent("too_many_decimals", "quantity has more than 6 decimal digits.")
    return quantity


def _moment(value: object) -> datetime:
    """Read ISO 8601 text, or a number of milliseconds since 1970."""
    try:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))
        moment = parse_datetime(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise BadEvent("invalid_time", "occurredAt is neither ISO 8601 nor epoch milliseconds.")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_event(index: int, raw: object) -> Event:
    """Validate one event as it was sent; every field that is not known is kept.

    Raises: BadEvent.
    """
    if not isinstance(raw, Mapping):
        raise BadEvent("invalid", "An event is a JSON object.")
    extra = canonical({name: value for name, value in raw.items() if name not in _KNOWN})
    assert isinstance(extra, dict), "a mapping has a mapping as its canonical form"
    return Event(
        index=index,
        customer=_text(raw, "customerId"),
        metric=_text(raw, "metricName"),
        key=_text(raw, "idempotencyKey"),
        quantity=_quantity(raw.get("quantity")),
        occurred_at=_moment(raw.get("occurredAt")),
        properties=extra,
    )


@money.exact
def ingest(*, livemode: bool, events: Sequence[object], received_at: datetime) -> Outcome:
    """Take a batch of at most 1,000 events as they were sent.

    One transaction, in constant statements: it holds off the sealing of cycles (DECISIONS 13)
    before it decides which events are late.
    """
    outcome = Outcome()
    wellformed = []
    for index, raw in enumerate(events):
        try:
            event = read_event(index, raw)
        except BadEvent as error:
            outcome.refuse(index, error)
            continue
        if event.metric == HEARTBEAT:
            outcome.accepted += 1
        else:
            wellformed.append(event)
    if wellformed:
        _store(livemode, wellformed, received_at, outcome)
    outcome.errors.sort(key=lambda error: str(error["index"]).zfill(5))
    return outcome


def _store(
    livemode: bool,  # noqa: FBT001
    events: Sequence[Event],
    received_at: datetime,
    outcome: Outcome,
) -> None:
    books = ledger.find_books(livemode=livemode, keys={event.customer for event in events})
    codes = {event.metric for event in events}
    metrics = {m.code: m for m in Metric.objects.filter(livemode=livemode, code__in=codes)}
    with transaction.atomic():
        ledger.share_books(ids=[book.pk for book in books.values()])
        cycles = _Cycles([book.pk for book in books.values()])
        rows: list[list[object]] = []
        for event in events:
            try:
                rows.append(_row(event, books, metrics, cycles, received_at))
            except BadEvent as error:
                outcome.refuse(event.index, error)
        # In one order everywhere, so that two batches never wait for each other in a circle.
        rows.sort(key=lambda row: (row[1], row[3]))
        inserted = bulk.insert_rows(
            UsageEvent,
            [
                "id", "book_id", "metric_id", "key", "quantity",
                "occurred_at", "counted_at", "received_at", "properties",
            ],
            rows,
            ignore_conflicts=True,
            returning="id",
        )  # fmt: skip
    outcome.accepted += len(inserted)
    outcome.duplicates += len(rows) - len(inserted)


class _Cycles:
    """Which subscription charges a metric of a book, from when, and how far it is sealed."""

    def __init__(self, book_ids: Sequence[int]) -> None:
        self.book_ids = book_ids

    @cached_property
    def _sealed(self) -> dict[tuple[int, int], tuple[datetime, datetime]]:
        rows = (
            Subscription.objects.filter(customer__in=self.book_ids)
            .exclude(status=SubscriptionStatus.CANCELLED)
            .values_list(
                "customer_id", "version__charges__metrics", "starts_at", "usage_closed_through"
            )
        )
        return {(book, metric): (start, closed) for book, metric, start, closed in rows}

    def counted_at(self, *, book_id: int, metric_id: int, occurred_at: datetime) -> datetime:
        """Give the instant at which usage counts: later than it occurred when that is sealed."""
        start, closed = self._sealed.get((book_id, metric_id), (occurred_at, occurred_at))
        return max(occurred_at, closed) if occurred_at >= start else occurred_at


def _row(
    event: Event,
    books: Mapping[str, Book],
    metrics: Mapping[str, Metric],
    cycles: _Cycles,
    received_at: datetime,
) -> list[object]:
    book, metric = books.get(event.customer), metrics.get(event.metric)
    if book is None:
        raise BadEvent("unknown_customer", f"There is no customer {event.customer}.")
    if metric is None:
        raise BadEvent("unknown_metric", f"There is no metric {event.metric}.")
    if event.occurred_at > now_for(book) + FUTURE_TOLERANCE:
        raise BadEvent("in_the_future", "occurredAt is more than 5 minutes in the future.")
    event_id: UUID = new_id()
    return [
        event_id,
        book.pk,
        metric.pk,
        event.key,
        event.quantity,
        event.occurred_at,
        cycles.counted_at(book_id=book.pk, metric_id=metric.pk, occurred_at=event.occurred_at),
        received_at,
        event.properties,
    ]
