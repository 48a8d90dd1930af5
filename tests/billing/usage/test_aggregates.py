"""Usage added up in SQL: seven aggregations and every filter, by sums done by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing.models import UsageEvent
from billing.usage import ingest
from billing.usage.aggregates import aggregate
from pricing.metrics import metrics
from tests import factories
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db

# Quantity, and what the client says of the event in its metadata; in the order they occurred.
EVENTS: list[tuple[int, dict[str, Any]]] = [
    (4, {"size": 10, "user": "ada", "model": "m-1"}),
    (1, {"size": 30, "user": "bob", "model": "m-2"}),
    (2, {"size": "20.5", "user": "ada", "model": "m-2"}),
    (3, {"size": "huge", "model": "m-1"}),
]


def measured(**metric: Any) -> tuple[Decimal, int]:
    made = metrics.create_metric(livemode=False, code="m", name="m", **metric)
    book = factories.clocked_customer(now=FEBRUARY)
    events = [
        {
            "customerId": "cust_1",
            "metricName": "m",
            "quantity": quantity,
            "idempotencyKey": str(n),
            "occurredAt": (START + timedelta(hours=n)).isoformat(),
            "metadata": metadata,
            "region": "eu" if n else "us",
        }
        for n, (quantity, metadata) in enumerate(EVENTS)
    ]
    outside = events[0] | {"idempotencyKey": "out", "occurredAt": FEBRUARY.isoformat()}
    taken = ingest.ingest(livemode=False, events=[*events, outside], received_at=timezone.now())
    assert (taken.accepted, UsageEvent.objects.count()) == (5, 5)
    usage = aggregate(book_id=book.pk, metric=made, starts_at=START, ends_at=FEBRUARY)
    return usage.quantity, usage.events


@pytest.mark.parametrize(
    ("aggregation", "name", "quantity", "events"),
    [
        ("COUNT", "", "4", 4),
        ("COUNT", "user", "3", 3),
        ("SUM", "", "10", 4),
        ("SUM", "size", "60.5", 3),
        ("MAX", "", "4", 4),
        ("MAX", "size", "30", 3),
        ("UNIQUE", "user", "2", 3),
        ("LATEST", "", "3", 4),
        ("LATEST", "size", "20.5", 3),
        ("AVERAGE", "", "2.5", 4),
        ("AVERAGE", "size", "20.166666666667", 3),
        ("P95", "", "4", 4),
        ("P95", "size", "30", 3),
    ],
)
def test_every_aggregation(aggregation: str, name: str, quantity: str, events: int) -> None:
    assert measured(aggregation=aggregation, property=name) == (Decimal(quantity), events)


@pytest.mark.parametrize(
    ("rule", "quantity"),
    [
        ({"property": "model", "op": "eq", "value": "m-1"}, 7),
        ({"property": "user", "op": "ne", "value": "ada"}, 4),
        ({"property": "size", "op": "gt", "value": 20}, 3),
        ({"property": "size", "op": "gte", "value": "20.5"}, 3),
        ({"property": "size", "op": "lt", "value": 20}, 4),
        ({"property": "size", "op": "lte", "value": 10}, 4),
        ({"property": "user", "op": "in", "value": ["ada", "eve"]}, 6),
        ({"property": "user", "op": "not_in", "value": ["ada"]}, 4),
        ({"property": "model", "op": "contains", "value": "-2"}, 3),
        ({"property": "user", "op": "exists"}, 7),
        ({"property": "user", "op": "exists", "value": False}, 3),
        ({"property": "region", "op": "eq", "value": "us"}, 4),
    ],
)
def test_every_filter(rule: dict[str, Any], quantity: int) -> None:
    assert measured(aggregation="SUM", filters=[rule])[0] == quantity
