"""Everything at once on the same wallets, and processes killed meanwhile: nothing lost or doubled.

AFORO_LOAD says how many operations (320 by default; 20,000 is the full run).
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from aforo.access.services import create_api_key
from billing.cycle_end import runs
from billing.finance import verification
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Settlement
from billing.usage import ingest
from ledger.models import Book
from tests import factories, serving
from tests.concurrency.threads import at_once
from tests.wallets.budgets.spending import most_ever
from wallets.models import CreditLot, Debit, Movement, MovementKind, Operation, Reservation, TopUp

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

OPERATIONS = int(os.environ.get("AFORO_LOAD", "320"))
CALLERS = 16
CUSTOMERS = [f"cust_{n}" for n in range(4)]
DAYS = 6
# A third of what callers would spend is beyond the cap.
CAP = OPERATIONS // 4
TAGS: dict[str, Any] = {"attributes": {"team": "search"}}


@dataclass
class Journal:
    """The callers' records: every answer by customer and key, and every refusal."""

    url: str
    key: str
    answers: dict[tuple[str, str], tuple[str, str, bytes]] = field(default_factory=dict)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)
    unanswered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, client: httpx.Client, customer: str, path: str, body: dict[str, Any]) -> Any:
        """Send until answered, always with the same key; give an accepted answer."""
        while True:
            try:
                response = client.post(f"{self.url}/v1/wallets/{path}", json=body, timeout=60)
            except httpx.TransportError:
                with self.lock:
                    self.unanswered += 1
                time.sleep(0.05)
                continue
            if response.status_code < 300:
                return self._accept(customer, path, body, response)
            problem = response.json()
            with self.lock:
                self.refused[response.status_code, problem["code"]] += 1
            if response.status_code != 503:
                return None
            time.sleep(0.05)

    def _accept(
        self, customer: str, path: str, body: dict[str, Any], response: httpx.Response
    ) -> Any:
        """Record an answer; a second one under the same key has to be the first, byte by byte."""
        kind = path.rpartition("/")[2]
        given = (kind, str(body.get("amount", "")), response.content)
        with self.lock:
            first = self.answers.setdefault((customer, body["idempotency_key"]), given)
        assert first == given
        return response.json()

    def accepted(self, kind: str) -> list[tuple[str, bytes]]:
        """List amount and answer of what was accepted."""
        return [(amount, said) for what, amount, said in self.answers.values() if what == kind]

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}) as client:
            yield client


class Caller:
    """One of many who use the same customers; some requests are sent twice."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal = journal
        self.dice = random.Random(number)
        self.held: list[tuple[str, str]] = []
        self.burned: list[tuple[str, str]] = []

    def run(self, times: int) -> None:
        with self.journal.client() as client:
            for _ in range(times):
                self._act(client, self.dice.choice(CUSTOMERS))

    def _act(self, client: httpx.Client, customer: str) -> None:
        acts: list[tuple[int, Callable[[], tuple[str, dict[str, Any]]]]] = [
            (60, lambda: ("debit", {"customer_id": customer, **TAGS})),
            (12, lambda: ("reservations", {"customer_id": customer, "expires_in": 2, **TAGS})),
            (8, lambda: ("top-ups", {"customer_id": customer, "currency": "USD"})),
            (8, lambda: ("grants", self._promo(customer))),
        ]
        roll = self.dice.randrange(108)
        amount = str(self.dice.choice([1, 2, 5, Decimal("0.37")]))
        for share, make in acts:
            roll -= share
            if roll < 0:
                path, body = make()
                answer = self._send(client, customer, path, {"amount": amount, **body})
                self._keep(customer, path, answer)
                return
        self._go_on(client)

    def _promo(self, customer: str) -> dict[str, Any]:
        """Return a credit that lapses while the load goes on."""
        dies = timezone.now() + timedelta(seconds=self.dice.choice([1, 2, 60]))
        return {
            "customer_id": customer,
            "kind": "PROMO",
            "currency": "USD",
            "reason": "load",
            "expires_at": dies.isoformat(),
        }

    def _keep(self, customer: str, path: str, answer: Any) -> None:
        if answer is not None and path == "reservations":
            self.held.append((customer, answer["id"]))
        if answer is not None and path == "debit":
            self.burned.append((customer, answer["id"]))

    def _go_on(self, client: httpx.Client) -> None:
        """End a hold, or take a debit back."""
        if self.held and self.dice.random() < 0.8:
            customer, made = self.held.pop(self.dice.randrange(len(self.held)))
            what = self.dice.choice(["capture", "capture", "void"])
            self._send(client, customer, f"reservations/{made}/{what}", {})
        elif self.burned:
            customer, made = self.burned.pop(self.dice.randrange(len(self.burned)))
            self._send(client, customer, f"debits/{made}/reverse", {"reason": "load"})

    def _send(self, client: httpx.Client, customer: str, path: str, body: dict[str, Any]) -> Any:
        body = body | {"idempotency_key": uuid.uuid4().hex}
        answer = self.journal.send(client, customer, path, body)
        if answer is not None and self.dice.random() < 0.1:
            self.journal.send(client, customer, path, body)
        return answer


def open_customers() -> str:
    """Customers with much cash, and a plan by the day whose last six days are unsettled."""
    factories.offering("daily", billing_mode="PREPAID", interval="DAY")
    now = timezone.now()
    for key in CUSTOMERS:
        factories.customer(key)
        factories.top_up(key, "100000")
        factories.budget("cap", str(CAP), customer=key)
        subscribing.subscribe(
            livemode=False, customer_id=key, offering="daily", starts_at=now - timedelta(days=DAYS)
        )
        events = [
            factories.event(key, 500, f"{key}-{n}", now - timedelta(days=n, hours=12))
            for n in range(DAYS)
        ]
        taken = ingest.ingest(livemode=False, events=events, received_at=now)
        assert taken.accepted == DAYS
    return create_api_key(livemode=False, name="load")[1]


def sweep_until(done: threading.Event) -> None:
    """Settle, release and lapse, over and over, as workers do beside the servers."""
    try:
        while not done.wait(0.05):
            with suppress(runs.AlreadyRunning):
                due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)
            due_work.expire(until=timezone.now())
    finally:
        connection.close()


@contextmanager
def swept(threads: int) -> Iterator[None]:
    """Sweep in several threads meanwhile; none of them may fail."""
    done, failures = threading.Event(), []

    def guarded() -> None:
        try:
            sweep_until(done)
        except BaseException as error:
            failures.append(error)

    sweepers = [threading.Thread(target=guarded) for _ in range(threads)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        yield
    finally:
        done.set()
        for sweeper in sweepers:
            sweeper.join()
    assert failures == []


def check_effects(journal: Journal) -> None:
    """Compare the callers' records with the database."""
    burned = [*journal.accepted("debit"), *journal.accepted("capture")]
    assert Debit.objects.count() == len(burned)
    assert Reservation.objects.count() == len(journal.accepted("reservations"))
    assert TopUp.objects.count() == len(journal.accepted("top-ups")) + len(CUSTOMERS)
    keys = Counter(Operation.objects.values_list("book__key", "key"))
    assert set(keys.values()) == {1}
    assert set(journal.answers) <= set(keys)
    debited = sum((Decimal(amount) for amount, _ in journal.accepted("debit")), Decimal(0))
    on_record = Debit.objects.filter(reservation=None).values_list("quantity", flat=True)
    assert sum(on_record, Decimal(0)) == debited

    moved: Counter[str] = Counter()
    for kind, quantity in Movement.objects.values_list("kind", "quantity"):
        moved[kind] += quantity  # type: ignore[assignment]
    left = sum(CreditLot.objects.values_list("remaining", flat=True), Decimal(0))
    assert left == (
        moved[MovementKind.GRANT]
        + moved[MovementKind.REVERSE]
        - moved[MovementKind.BURN]
        - moved[MovementKind.EXPIRE]
    )
    for book in Book.objects.filter(key__in=CUSTOMERS):
        assert max(most_ever(book).values()) <= CAP
    found = verification.verify()
    assert found.ok, found.first_bad


def test_everything_at_once(served_url: serving.Served) -> None:
    """Debits, holds, top-ups, grants that lapse, sweeps and settlements on four wallets."""
    journal = Journal(served_url, open_customers())

    with swept(2):
        at_once(CALLERS, lambda n: Caller(journal, n).run(OPERATIONS // CALLERS))
    due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)

    allowed = {
        (402, "insufficient_funds"), (402, "budget_exceeded"), (409, "reservation_expired"),
        (409, "already_reversed"), (422, "in_the_past"),
    }  # fmt: skip
    assert set(journal.refused) <= allowed, journal.refused
    assert journal.unanswered == 0
    cycles = Settlement.objects.values_list("subscription", "cycle")
    assert len(set(cycles)) == len(cycles) >= DAYS * len(CUSTOMERS)
    check_effects(journal)


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_killed_processes_lose_and_double_nothing(transactional_db: None) -> None:
    """Workers are killed over and over, once the whole server; callers repeat with their keys."""
    secret = open_customers()
    with serving.serve() as first:
        journal = Journal(first, secret)
        load = threading.Thread(
            target=lambda: at_once(CALLERS, lambda n: Caller(journal, n).run(OPERATIONS // CALLERS))
        )
        load.start()
        kills = kill_workers(
            first.pid, journal, until=lambda: len(journal.answers) > OPERATIONS // 3
        )
        for pid in (first.pid, *children(first.pid)):
            os.kill(pid, signal.SIGKILL)
        with serving.serve() as second:
            journal.url = second
            kills += kill_workers(second.pid, journal, until=lambda: not load.is_alive())
            load.join()
            repeat_everything(journal)

    assert kills > 2
    assert journal.unanswered > 0, "no kill met a call in flight: nothing was tried"
    assert {status for status, _ in journal.refused} <= {402, 409, 422, 503}
    check_effects(journal)


def kill_workers(pid: int, journal: Journal, *, until: Callable[[], bool]) -> int:
    """Kill a serving process whenever some more calls were answered; give how many."""
    kills, answered = 0, len(journal.answers)
    while not until():
        time.sleep(0.02)
        workers = children(pid)
        if workers and len(journal.answers) >= answered + OPERATIONS // 30:
            os.kill(workers[kills % len(workers)], signal.SIGKILL)
            kills, answered = kills + 1, len(journal.answers)
    return kills


def repeat_everything(journal: Journal) -> None:
    """Read back by key what was answered: each is on record, word for word."""
    for (customer, key), (_, _, said) in journal.answers.items():
        stored = Operation.objects.get(book__key=customer, key=key)
        assert stored.body.encode() == said
