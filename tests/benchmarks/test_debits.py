"""Debits over HTTP and in lists, against the same writes as a hand-written SQL transaction."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from decimal import Decimal

import pytest
from django.db import connection, transaction

from aforo.access.services import create_api_key
from aforo.protocol.idempotency import Answer
from billing.finance import verification
from ledger.models import Book
from tests import factories, serving
from tests.benchmarks import by_hand, harness, loads, units
from wallets.debits import engine
from wallets.models import Wallet

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

# Opening a thousand wallets twice takes longer than short rounds do.
MANY = 1_000 if harness.SECONDS >= harness.FULL else 200


def wallets(number: int, name: str) -> tuple[Book, Wallet]:
    """Open customers `name_0` and on, with more than any round can spend; give the first's ids."""
    with transaction.atomic():
        found = [factories.customer(f"{name}_{n}") for n in range(number)]
        for book in found:
            factories.top_up(book.key, "100000000")
    first = Wallet.objects.get(book=found[0])
    last = Wallet.objects.get(book=found[-1])
    assert (found[-1].pk - found[0].pk, last.pk - first.pk) == (number - 1, number - 1)
    return found[0], first


def test_one_hot_wallet_and_many() -> None:
    wallets(1, "hot")
    wallets(MANY, "many")
    hand, hand_hot = wallets(MANY, "hand"), wallets(1, "hand_hot")
    _, key = create_api_key(livemode=False, name="benchmark")
    with serving.serve() as url:
        load = loads.Load(url, key)

        def debits(name: str, number: int, clients: int) -> harness.Contestant:
            return load.post(
                "/v1/wallets/debit", bodies=lambda: units.debits(name, number), clients=clients
            )

        report = harness.compare(
            "Debits",
            "debits/s",
            {
                "one hot wallet, HTTP, 50 connections": debits("hot", 1, 50),
                "one hot wallet, HTTP, 8 connections": debits("hot", 1, 8),
                "one hot wallet, HTTP, 1 connection": debits("hot", 1, 1),
                f"{MANY:,} wallets, HTTP, 50 connections": debits("many", MANY, 50),
                f"lists of 500 over {MANY:,} wallets, HTTP, 2 callers": load.post(
                    "/v1/wallets/debits/batch",
                    bodies=lambda: units.lists("many", MANY, 500),
                    clients=2,
                    scale=500,
                ),
                f"by hand, {MANY:,} wallets, 50 clients": by_hand.statement_by_statement(
                    hand, MANY, clients=50
                ),
                f"by hand, {MANY:,} wallets, 8 clients": by_hand.statement_by_statement(
                    hand, MANY, clients=8
                ),
                f"stored function, {MANY:,} wallets, 8 clients": by_hand.as_function(
                    hand, MANY, clients=8
                ),
                "stored function, one hot wallet, 50 clients": by_hand.as_function(
                    hand_hot, 1, clients=50
                ),
                "by hand, one hot wallet, 50 clients": by_hand.statement_by_statement(
                    hand_hot, 1, clients=50
                ),
            },
        )
        harness.LINES.extend(load.lines())
    hot, hot_8, _, many, batch, hand_50, hand_8, *_, hot_by_hand = report.found

    report.hold(hot, hot_by_hand, floor=0.6)
    report.hold(hot, hot_8, floor=1)
    report.hold(many, hand_50, floor=0.15)
    report.hold(batch, hand_8, floor=0.5)
    assert verification.verify(customer_id="hot_0").ok
    assert verification.verify(customer_id="many_7").ok


def test_a_long_history_costs_nothing() -> None:
    wallets(40, "aged")
    with transaction.atomic():
        for n in range(500):
            factories.grant("aged_0", "1", name=f"old-{n}")
    debit_list(["aged_0"] * 500, "spend")
    for n in range(39):
        debit_list(["aged_0"] * 500, f"history-{n}")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")

    report = harness.compare(
        "A long history",
        "lists/s, one at a time",
        {
            "20 debits of customers, one with a history": again_and_again(range(20)),
            "20 debits of fresh customers": again_and_again(range(20, 40)),
            "1 with 20,000 movements and 500 spent lots": again_and_again(range(1)),
            "1 of a fresh customer": again_and_again(range(20, 21)),
        },
    )

    many_old, many_fresh, old, fresh = report.found
    report.hold(many_old, many_fresh, floor=0.9)
    report.hold(old, fresh, floor=0.9)


def debit_list(customers: Sequence[str], name: str) -> None:
    """Execute a list of debits of 1, one a customer."""
    results = engine.execute(
        [
            engine.DebitRequest(customer, f"{name}-{n}", amount=Decimal(1))
            for n, customer in enumerate(customers)
        ],
        livemode=False,
    )
    assert all(isinstance(result, Answer) for result in results)


def again_and_again(numbers_of: range) -> harness.Contestant:
    """Debit customers again and again, each list in a transaction of its own."""
    customers = [f"aged_{n}" for n in numbers_of]
    numbers = itertools.count()

    def run(seconds: float) -> harness.Done:
        started, calls = time.monotonic(), 0
        while (now := time.monotonic()) - started < seconds:
            debit_list(customers, f"{len(customers)}-{next(numbers)}")
            calls += 1
        return harness.Done(calls, now - started)

    return harness.Contestant(run, serving=os.getpid())
