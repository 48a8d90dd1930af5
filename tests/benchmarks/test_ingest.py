"""Metered usage over HTTP against the fastest that one row a statement can be."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from django.utils import timezone

from aforo.access.services import create_api_key
from billing.models import UsageEvent
from tests import factories, serving
from tests.benchmarks import harness, loads

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

BATCH = 1_000
CUSTOMERS = 100
# The same event as below, inserted as a program would that does nothing else.
ROW = r"""
\set customer random(0, 99)
INSERT INTO billing_usageevent
    (id, book_id, metric_id, key, quantity, occurred_at, counted_at, received_at, properties)
VALUES (
    gen_random_uuid(), {first_book} + :customer, {metric}, gen_random_uuid()::text, 1.5,
    '{moment}', '{moment}', '{moment}',
    '{{"productType": "API", "metadata": {{"model": "m-1", "region": "eu-west-1"}}}}'
);
"""
_numbers = itertools.count()


def bodies(moment: str) -> Iterator[bytes]:
    """Write batches whose keys never repeat; all else is written once, as it costs the machine."""
    name = f"{next(_numbers):012d}"
    events = [
        {
            "customerId": f"cust_{n % CUSTOMERS}",
            "metricName": "tokens",
            "quantity": 1.5,
            "occurredAt": moment,
            "idempotencyKey": f"018f-{name}-######-{n:04d}",
            "productType": "API",
            "metadata": {"model": "m-1", "region": "eu-west-1"},
        }
        for n in range(BATCH)
    ]
    template = json.dumps({"events": events}).encode()
    for n in itertools.count():
        yield template.replace(b"######", b"%06d" % n)


def test_a_batch_of_1000_against_single_rows(served_url: serving.Served) -> None:
    metric = factories.metric()
    books = [factories.customer(f"cust_{n}") for n in range(CUSTOMERS)]
    assert [book.pk for book in books] == list(range(books[0].pk, books[0].pk + CUSTOMERS))
    _, key = create_api_key(livemode=False, name="benchmark")
    moment = timezone.now().isoformat()
    row = ROW.format(first_book=books[0].pk, metric=metric.pk, moment=moment)

    load = loads.Load(served_url, key)
    report = harness.compare(
        "Ingest",
        "events/s",
        {
            "POST /v1/ingest/batch, 1,000 events, 4 callers": load.post(
                "/v1/ingest/batch",
                bodies=lambda: bodies(moment),
                clients=4,
                scale=BATCH,
            ),
            "pgbench, a prepared insert a row, 8 clients": harness.pgbench(row, clients=8),
        },
    )

    harness.LINES.extend(load.lines())
    ours, theirs = report.found
    stored = UsageEvent.objects.filter(key__startswith="018f-")
    assert stored.count() % BATCH == 0
    assert stored.exists()
    report.hold(ours, theirs, floor=2)
