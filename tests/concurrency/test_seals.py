"""Usage over HTTP while its cycles are sealed, settled and tallied, one after the other: each event
is billed exactly once.

AFORO_EVENTS says how many events there are at least (10,000 by default).
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from django.db.models import F
from django.utils import timezone

from aforo.access.services import create_api_key
from aforo.periods import Period
from billing.finance import verification
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Settlement, Subscription, UsageEvent, UsageRollup
from billing.usage import aggregates as usages
from billing.usage import rollup_upkeep, rollups
from tests import factories, serving
from tests.concurrency.threads import at_once

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("threads"),
    pytest.mark.faults,
]

EVENTS = int(os.environ.get("AFORO_EVENTS", "10000"))
WEEKS = 4
CUSTOMERS = [f"cust_{n}" for n in range(6)]
SENDERS = 4
BATCH = 100
PRICE = Decimal("0.01")


class Sender:
    """Sends batches with events of any time since the start, each batch twice."""

    def __init__(self, url: str, secret: str, start: datetime, number: int) -> None:
        self.url, self.secret, self.start = url, secret, start
        self.name, self.dice = f"sender {number}", random.Random(number)
        self.units: Counter[str] = Counter()

    def run(self, until: threading.Event) -> None:
        """Send its part of the events, and more as long as it is not over."""
        address = urlsplit(self.url)
        client = HTTPConnection(str(address.hostname), address.port, timeout=60)
        sent = 0
        while sent < EVENTS // SENDERS or not until.is_set():
            body = json.dumps({"events": [self._event(sent + n) for n in range(BATCH)]})
            assert [self._post(client, body) for _ in range(2)] == [(BATCH, 0), (0, BATCH)]
            sent += BATCH
            if sent > EVENTS // SENDERS:
                # Leave the settlement some of the machine.
                until.wait(0.2)
        client.close()

    def _event(self, number: int) -> object:
        key, units = self.dice.choice(CUSTOMERS), self.dice.randint(1, 9)
        at = self.start + (timezone.now() - self.start) * self.dice.randint(0, 1_000) / 1_000
        self.units[key] += units
        return factories.event(key, units, f"{self.name} {number}", at)

    def _post(self, client: HTTPConnection, body: str) -> tuple[int, int]:
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        client.request("POST", "/v1/ingest/batch", body, headers)
        answer = client.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 202, said
        assert said["data"]["failed"] == 0, said
        return said["data"]["accepted"], said["data"]["duplicates"]


def settle_week_by_week(start: datetime, books: list[int]) -> None:
    """Settle what is over a day after the other, and keep up one customer's rollups in between."""
    for day in range(1, 7 * WEEKS + 2):
        as_of = min(start + timedelta(days=day), timezone.now())
        run = due_work.settle(livemode=False, as_of=as_of, customer_id=None, clock=timezone.now)
        assert run.failed == 0, run.failures
        rollup_upkeep.keep_up_book(book_id=books[day % len(books)])


def test_what_arrives_while_cycles_are_sealed_is_billed_once(
    served_url: serving.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six customers by the week, four weeks of each unsettled."""
    monkeypatch.setattr(rollup_upkeep, "MANY", 20)
    charge = factories.TOKENS_AT_2_MILLS[0] | {"terms": {"unit_price": str(PRICE)}}
    factories.offering("weekly", charges=[charge], interval="WEEK")
    start = timezone.now() - timedelta(weeks=WEEKS, hours=1)
    books = [factories.customer(key).pk for key in CUSTOMERS]
    for key in CUSTOMERS:
        subscribing.subscribe(livemode=False, customer_id=key, offering="weekly", starts_at=start)
    _, secret = create_api_key(livemode=False, name="load")
    senders = [Sender(served_url, secret, start, number) for number in range(SENDERS)]
    settled = threading.Event()

    def act(number: int) -> None:
        if number < SENDERS:
            senders[number].run(settled)
            return
        try:
            settle_week_by_week(start, books)
        finally:
            settled.set()

    at_once(SENDERS + 1, act)

    check_rollups()
    ahead = timezone.now() + timedelta(weeks=1)
    due_work.settle(livemode=False, as_of=ahead, customer_id=None, clock=timezone.now)
    used = sum((sender.units for sender in senders), Counter[str]())
    for key in CUSTOMERS:
        cycles = Settlement.objects.filter(book__key=key)
        assert cycles.filter(status="SETTLED").count() == WEEKS + 1
        assert sum(Decimal(cycle.totals["total"]) for cycle in cycles) == used[key] * PRICE
    assert UsageEvent.objects.filter(counted_at__gt=F("occurred_at")).exists()
    assert verification.verify().ok


def check_rollups() -> None:
    """Compare the usage of the open cycles by their rollups with all their events."""
    until = timezone.now()
    for cycle in Subscription.objects.select_related("version"):
        whole = usages.read_part(
            subscription=cycle,
            starts_at=cycle.current_starts_at,
            counted=Period(cycle.counted_from, until),
        )
        assert rollups.usage_so_far(subscription=cycle, until=until) == whole
    assert UsageRollup.objects.filter(events__gt=0).exists()
    assert UsageEvent.objects.exclude(behind=None).exists()
