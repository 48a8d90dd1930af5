"""Ingest of metered usage: validated event by event, deduplicated for ever, inserted as a set.

One bad event never fails its batch, and a repeated (customer, key) is counted, not billed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from aforo import money
from aforo.database import bulk
from aforo.ids import new_id_text
from aforo.sandbox.services import now_at
from billing.models import UnbilledReason, UsageEvent, UsageRollup
from billing.usage import aggregates as usages
from billing.usage import budget_usage, charging, rollups, unbilled
from billing.usage.events import BadEvent, MeteredEvent, Reader, check_numbers, read_event
from ledger.entries import books as ledger_books
from pricing.models import Metric

MAX_EVENTS = 1_000
FUTURE_TOLERANCE = timedelta(minutes=5)
# Heartbeats of sessions, sent by metering clients; accepted, and never billed.
HEARTBEAT = "system.session.heartbeat"
_COLUMNS = [
    "id", "book_id", "metric_id", "key", "quantity",
    "occurred_at", "counted_at", "received_at", "properties", "behind",
]  # fmt: skip


@dataclass(slots=True)
class IngestOutcome:
    """The result of a batch."""

    accepted: int = 0
    duplicates: int = 0
    errors: list[dict[str, object]] = field(default_factory=list)
    # Accepted and stored, but never billed: the index and the reason.
    unbilled: list[dict[str, object]] = field(default_factory=list)

    def refuse(self, index: int, error: BadEvent) -> None:
        """Record that one event was refused."""
        self.errors.append({"index": index, "message": str(error), "error": error.code})

    @property
    def failed(self) -> int:
        return len(self.errors)


@money.exact
def ingest(
    *,
    livemode: bool,
    events: Sequence[object],
    received_at: datetime,
    read: Reader = read_event,
) -> IngestOutcome:
    """Ingest a batch of at most 1,000 events as they were sent, each read by `read`.

    One transaction, in constant statements: it delays the sealing of cycles (docs/decisions.md#d13)
    before it decides which events are late.
    """
    outcome = IngestOutcome()
    wellformed = []
    for index, raw in enumerate(events):
        try:
            event = read(index, raw)
        except BadEvent as error:
            outcome.refuse(index, error)
            continue
        if event.metric == HEARTBEAT:
            outcome.accepted += 1
        else:
            wellformed.append(event)
    if wellformed:
        _store(livemode=livemode, events=wellformed, received_at=received_at, outcome=outcome)
    outcome.errors.sort(key=lambda error: str(error["index"]).zfill(5))
    return outcome


def _store(
    *, livemode: bool, events: Sequence[MeteredEvent], received_at: datetime, outcome: IngestOutcome
) -> None:
    keys = {event.customer for event in events}
    books = ledger_books.find_clocks(livemode=livemode, keys=keys)
    codes = {event.metric for event in events}
    metrics = {
        metric.code: _Measured(metric, usages.numbers_read(metric))
        for metric in Metric.objects.filter(livemode=livemode, code__in=codes)
    }
    ids = [book_id for book_id, _ in books.values()]
    with transaction.atomic():
        limited = ledger_books.share_books(ids=ids)
        marks = rollups.marks(book_ids=ids)
        charged = charging.read_charging(ids)
        make_row = _Rows(books, metrics, charged, marks, received_at).make
        rows: list[list[object]] = []
        reasons = unbilled.Reasons(ids, charged)
        never: dict[str, tuple[int, UnbilledReason]] = {}
        for event in events:
            try:
                row, arrived = make_row(event)
                rows.append(row)
                if (reason := reasons.of(arrived)) is not None:
                    never[str(row[0])] = event.number, reason
            except BadEvent as error:
                outcome.refuse(event.number, error)
        # In one order everywhere, so that two batches never wait for each other in a circle.
        rows.sort(key=lambda row: (row[1], row[3]))
        inserted = bulk.insert_rows(UsageEvent, _COLUMNS, rows, ignore_conflicts=True)
        budget_usage.append(
            limited=limited,
            rows=rows,
            inserted=inserted,
            metrics={each.metric.pk: each.metric for each in metrics.values()},
        )
        noted = unbilled.note({row_id: reason for row_id, (_, reason) in never.items()})
    outcome.unbilled = [
        {"index": index, "reason": reason}
        for row_id, (index, reason) in never.items()
        if row_id in noted
    ]
    outcome.accepted += inserted
    outcome.duplicates += len(rows) - inserted


class _Measured(NamedTuple):
    """A metric, and the properties that it reads as numbers."""

    metric: Metric
    numbers: set[str]


class _Rows:
    """The builder of rows from well-formed events, which checks them against the catalogue."""

    def __init__(
        self,
        books: Mapping[str, tuple[int, datetime | None]],
        metrics: Mapping[str, _Measured],
        charged: charging.ByMetric,
        marks: Mapping[tuple[int, int], UsageRollup],
        received_at: datetime,
    ) -> None:
        self.books = books
        # Read after the lock, so that nothing arrives behind a lapse with a time before it.
        self.now = now_at(None)
        self.metrics = metrics
        self.charged = charged
        self.marks = marks
        self.received_at = received_at

    def make(self, event: MeteredEvent) -> tuple[list[object], unbilled.Arrived]:
        """Return the row of an event, with the facts that decide whether it is billed.

        Raises: BadEvent.
        """
        found = self.books.get(event.customer)
        if found is None:
            raise BadEvent("unknown_customer", f"There is no customer {event.customer}.")
        book_id, clock = found
        now = clock or self.now
        measured = self.metrics.get(event.metric)
        if measured is None:
            raise BadEvent("unknown_metric", f"There is no metric {event.metric}.")
        metric_id = measured.metric.pk
        check_numbers(event.properties, measured.numbers)
        occurred_at = event.occurred_at or now
        if occurred_at > now + FUTURE_TOLERANCE:
            raise BadEvent("in_the_future", "It occurs more than 5 minutes in the future.")
        counted_at = charging.counted_at(self.charged.get((book_id, metric_id), ()), occurred_at)
        received_at = clock or max(now, self.received_at)
        row = [
            new_id_text(),
            book_id,
            metric_id,
            event.key,
            event.quantity,
            occurred_at,
            counted_at,
            received_at,
            event.properties,
            rollups.behind(self.marks.get((book_id, metric_id)), counted_at),
        ]
        return row, unbilled.Arrived(
            book_id, measured.metric, occurred_at, counted_at, received_at, event.properties
        )
