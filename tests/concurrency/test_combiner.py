"""Calls that meet are taken together, and one that fails does not fail its neighbours."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from aforo import actors
from aforo.actors import Actor, ActorKind
from aforo.errors import Busy, InvariantBroken
from aforo.protocol.idempotency import Answer
from billing.finance import verification
from ledger.entries import books
from ledger.models import Book, Entry
from tests import factories
from tests.concurrency.threads import at_once
from wallets.debits import engine
from wallets.debits.combiner import Combiner
from wallets.models import Operation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


def request(number: int, amount: int = 1, customer: str = "cust_1") -> engine.DebitRequest:
    return engine.DebitRequest(customer_id=customer, key=f"k{number}", amount=Decimal(amount))


@contextmanager
def locked(key: str) -> Iterator[None]:
    """Lock a customer's book in another transaction."""
    has_it, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                books.lock_book(book_id=Book.objects.get(key=key).pk)
                has_it.set()
                done.wait(60)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert has_it.wait(10)
    try:
        yield
    finally:
        done.set()
        holder.join()


def test_calls_that_meet_make_fewer_lists_than_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "30")
    combiner, lists = Combiner(), []
    run = engine.execute

    def counted(
        requests: Sequence[engine.DebitRequest], *, livemode: bool, **terms: Any
    ) -> list[engine.Result]:
        lists.append(len(requests))
        return run(requests, livemode=livemode, **terms)

    monkeypatch.setattr(engine, "execute", counted)
    results = at_once(40, lambda n: combiner.execute(request(n), livemode=False))

    assert sum(lists) == 40
    assert len(lists) < 40
    assert sum(isinstance(r, Answer) for r in results) == 30
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_one_that_fails_does_not_fail_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    combiner, run = Combiner(), engine.execute

    def planted(
        requests: Sequence[engine.DebitRequest], *, livemode: bool, **terms: Any
    ) -> list[engine.Result]:
        if any(r.key == "k7" for r in requests):
            raise InvariantBroken("planted")
        return run(requests, livemode=livemode, **terms)

    def call(number: int) -> engine.Result | str:
        try:
            return combiner.execute(request(number), livemode=False)
        except InvariantBroken as error:
            return str(error)

    monkeypatch.setattr(engine, "execute", planted)
    results = at_once(20, call)

    assert results[7] == "planted"
    assert sum(isinstance(r, Answer) for r in results) == 19
    assert factories.available(book) == 81


def test_a_locked_customer_waits_alone() -> None:
    """Ten calls of the locked one end as Busy together; thirty of the other are not held up."""
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
        factories.top_up(key, "100")
    combiner = Combiner()

    def call(number: int) -> tuple[str, float]:
        customer = "cust_1" if number % 4 == 0 else "cust_2"
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1500ms'")
        begun = time.monotonic()
        try:
            result = combiner.execute(request(number, customer=customer), livemode=False)
        except Busy as busy:
            return f"{customer} {busy.code}", time.monotonic() - begun
        return f"{customer} {type(result).__name__}", time.monotonic() - begun

    with locked("cust_1"):
        results = at_once(40, call)

    outcomes = Counter(outcome for outcome, _ in results)
    assert outcomes == {"cust_1 busy": 10, "cust_2 Answer": 30}
    assert max(took for outcome, took in results if outcome == "cust_2 Answer") < 1.2
    assert max(took for _, took in results) < 4
    assert isinstance(combiner.execute(request(0), livemode=False), Answer)
    assert verification.verify().ok


def test_beside_a_locked_customer_an_unknown_one_is_refused() -> None:
    factories.customer()
    factories.customer("cust_2")
    factories.top_up("cust_2", "10")
    asked = [request(n, customer=f"cust_{n}") for n in (1, 2, 3)]

    with locked("cust_1"):
        busy, paid, unknown = engine.execute(asked, livemode=False, wait=False)

    assert isinstance(busy, engine.CustomerBusy)
    assert busy.customer_id == "cust_1"
    assert isinstance(paid, Answer)
    assert isinstance(unknown, books.UnknownCustomer)
    assert Entry.objects.filter(event="DEBIT").count() == 1


def test_calls_of_a_customer_who_is_locked_for_a_moment_are_taken_together_after_it() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    combiner = Combiner()
    results: list[engine.Result] = []

    with locked("cust_1"):
        caller = threading.Thread(
            target=lambda: results.extend(
                at_once(20, lambda n: combiner.execute(request(n), livemode=False))
            )
        )
        caller.start()
        time.sleep(0.3)
    caller.join()

    assert sum(isinstance(r, Answer) for r in results) == 20
    assert factories.available(book) == 80


def test_captures_of_a_locked_customer_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose reservation it is, the first list says, which finds the customer locked; then ten of
    them wait in one lane, behind whichever of them leads it.
    """
    book = factories.customer()
    factories.top_up("cust_1", "100")
    combiner, lists = Combiner(), []
    holds = [
        combiner.execute(
            engine.ReserveRequest(customer_id="cust_1", key=f"r{n}", amount=Decimal(2)),
            livemode=False,
        )
        for n in range(10)
    ]
    run = engine.execute

    def counted(
        requests: Sequence[engine.Request], *, livemode: bool, **terms: Any
    ) -> list[engine.Result]:
        results = run(requests, livemode=livemode, **terms)
        lists.append(sum(isinstance(result, Answer) for result in results))
        return results

    def capture(number: int) -> engine.Result:
        reservation = UUID(factories.body(holds[number])["id"])
        ask = engine.CaptureRequest(reservation=reservation, key=f"c{number}")
        return combiner.execute(ask, livemode=False)

    monkeypatch.setattr(engine, "execute", counted)
    results = list[engine.Result]()
    with locked("cust_1"):
        caller = threading.Thread(target=lambda: results.extend(at_once(10, capture)))
        caller.start()
        time.sleep(1)
    caller.join()

    assert sum(isinstance(result, Answer) for result in results) == sum(lists) == 10
    assert max(lists) > 1
    assert factories.available(book) == 80
    assert verification.verify().ok


def test_each_entry_names_its_own_key_whoever_leads_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty calls of two keys meet behind a locked book: the leader runs those of both."""
    factories.customer()
    factories.top_up("cust_1", "100")
    combiner, lists = Combiner(), []
    run = engine.execute

    def counted(
        requests: Sequence[engine.DebitRequest], *, livemode: bool, **terms: Any
    ) -> list[engine.Result]:
        lists.append({asked.actor.id for asked in requests})
        return run(requests, livemode=livemode, **terms)

    def call(number: int) -> engine.Result:
        with actors.acting(Actor(ActorKind.API_KEY, str(number % 2))):
            return combiner.execute(request(number), livemode=False)

    monkeypatch.setattr(engine, "execute", counted)
    results: list[engine.Result] = []
    with locked("cust_1"):
        caller = threading.Thread(target=lambda: results.extend(at_once(20, call)))
        caller.start()
        time.sleep(0.3)
    caller.join()

    assert all(isinstance(each, Answer) for each in results)
    assert {"0", "1"} in lists
    for entry in Entry.objects.filter(event="DEBIT"):
        asked = int(entry.document["key"].removeprefix("k"))
        assert (entry.actor_kind, entry.actor_id) == ("API_KEY", str(asked % 2))
        operation = Operation.objects.get(key=entry.document["key"])
        assert (operation.actor_kind, operation.actor_id) == ("API_KEY", str(asked % 2))
    assert Entry.objects.filter(event="DEBIT").count() == 20
    assert verification.verify().ok
