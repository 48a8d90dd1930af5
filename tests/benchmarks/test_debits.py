"""Debits over HTTP and in lists, against the same writes as a hand-written SQL transaction."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest
from django.db import connection, transaction

from aforo.access.services import create_api_key
from aforo.protocol.idempotency import Answer
from billing.finance import verification
from ledger.models import Book
from tests import factories, serving
from tests.benchmarks import harness
from wallets.debits import engine
from wallets.models import Wallet

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

# Opening a thousand wallets twice takes longer than short rounds do.
MANY = 1_000 if harness.SECONDS >= harness.FULL else 200
# What a careful programmer would write by hand for one debit of one lot, statement by statement:
# the same rows, the same lock, the same columns; the hash is made, but of less.
DEBIT = r"""
\set n random(0, {last})
\set book {first_book} + :n
\set wallet {first_wallet} + :n
BEGIN;
SELECT sequence + 1 AS sequence, head_hash AS head FROM ledger_book
    WHERE id = :book FOR NO KEY UPDATE \gset
SELECT gen_random_uuid() AS key, gen_random_uuid() AS entry, gen_random_uuid() AS operation \gset
SELECT count(*) AS seen FROM wallets_operation WHERE book_id = :book AND key = :key \gset
SELECT billing_mode, spend_state FROM wallets_wallet WHERE id = :wallet \gset
SELECT id AS lot, remaining - 1 AS remaining FROM wallets_creditlot
    WHERE book_id = :book AND remaining > 0 ORDER BY priority, expires_at, granted_at LIMIT 1 \gset
UPDATE wallets_creditlot SET remaining = remaining - 1, carrying_remaining = carrying_remaining - 1
    WHERE id = :lot::uuid;
INSERT INTO ledger_entry (id, book_id, sequence, event, occurred_at, recorded_at, accounting_date,
        document, prev_hash, hash)
    VALUES (:entry::uuid, :book, :sequence, 'DEBIT', clock_timestamp(), clock_timestamp(),
        current_date, '{{"key": "a key", "overage": "0", "currency": "USD", "quantity": "1",
        "strategy": "WATERFALL", "actor": {{"kind": "API_KEY", "id": "1"}}}}', :head,
        encode(sha256((:head || :entry)::bytea), 'hex'));
INSERT INTO ledger_posting (id, book_id, entry_id, position, debit_id, credit_id, amount, currency,
        lot)
    VALUES (gen_random_uuid(), :book, :entry::uuid, 0, '2100', '4000', 1, 'USD', :lot::uuid);
UPDATE ledger_book SET sequence = :sequence, last_recorded_at = clock_timestamp(),
        head_hash = encode(sha256((:head || :entry)::bytea), 'hex')
    WHERE id = :book;
INSERT INTO wallets_movement (id, book_id, lot_id, entry_id, position, kind, quantity, carrying,
        balance_after, held_after, wallet_balance_after)
    VALUES (gen_random_uuid(), :book, :lot::uuid, :entry::uuid, 0, 'BURN', 1, 1, :remaining, 0,
        :remaining);
INSERT INTO wallets_operation (id, book_id, key, operation, content, status, body,
        actor_kind, actor_id, created_at)
    VALUES (:operation::uuid, :book, :key, 'wallets.debit', '{{"amount": "1",
        "currency": "USD", "strategy": "WATERFALL", "customer_id": "bench_0"}}', 200,
        repeat('x', 520), 'API_KEY', '1', clock_timestamp());
INSERT INTO wallets_debit (id, book_id, operation_id, entry_id, wallet_id, quantity, overage,
        overage_billed, strategy, reversed, overage_reversed, occurred_at)
    VALUES (gen_random_uuid(), :book, :operation::uuid, :entry::uuid, :wallet, 1, 0, 0,
        'WATERFALL', 0, 0, clock_timestamp());
COMMIT;
"""


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


def by_hand(number: int, first: tuple[Book, Wallet], *, clients: int) -> harness.Contestant:
    """Return the hand-written transaction over wallets whose chains mean nothing afterwards."""
    book, wallet = first
    script = DEBIT.format(last=number - 1, first_book=book.pk, first_wallet=wallet.pk)
    return harness.pgbench(script, clients=clients)


def bodies(name: str, number: int) -> Iterator[bytes]:
    """Write debits of 1 whose keys never repeat, over all the wallets in turn."""
    caller = uuid.uuid4().hex
    for n in itertools.count():
        body = {
            "customer_id": f"{name}_{n % number}",
            "amount": "1",
            "currency": "USD",
            "idempotency_key": f"{caller}-{n}",
        }
        yield json.dumps(body).encode()


def lists(name: str, number: int, size: int) -> Iterator[bytes]:
    """Write lists of debits over all the wallets in turn."""
    single = bodies(name, number)
    while True:
        debits = b",".join(next(single) for _ in range(size))
        yield b'{"debits":[' + debits + b"]}"


def test_one_hot_wallet_and_many() -> None:
    wallets(1, "hot")
    wallets(MANY, "many")
    hand, hand_hot = wallets(MANY, "hand"), wallets(1, "hand_hot")
    _, key = create_api_key(livemode=False, name="benchmark")
    with serving.serve() as url:
        load = harness.Load(url, key)
        report = harness.compare(
            "Debits",
            "debits/s",
            {
                "one hot wallet, HTTP, 50 connections": load.post(
                    "/v1/wallets/debit", bodies=lambda: bodies("hot", 1), clients=50
                ),
                "one hot wallet, HTTP, 8 connections": load.post(
                    "/v1/wallets/debit", bodies=lambda: bodies("hot", 1), clients=8
                ),
                f"{MANY:,} wallets, HTTP, 50 connections": load.post(
                    "/v1/wallets/debit", bodies=lambda: bodies("many", MANY), clients=50
                ),
                f"lists of 500 over {MANY:,} wallets, HTTP, 2 callers": load.post(
                    "/v1/wallets/debits/batch",
                    bodies=lambda: lists("many", MANY, 500),
                    clients=2,
                    scale=500,
                ),
                f"by hand, {MANY:,} wallets, 50 clients": by_hand(MANY, hand, clients=50),
                f"by hand, {MANY:,} wallets, 8 clients": by_hand(MANY, hand, clients=8),
                "by hand, one hot wallet, 50 clients": by_hand(1, hand_hot, clients=50),
            },
        )
        harness.LINES.extend(load.lines())
    hot, hot_8, many, batch, hand_50, hand_8, hot_by_hand = report.rates

    report.hold(hot, hot_by_hand, floor=1.5)
    report.hold(hot, hot_8, floor=1)
    report.hold(many, hand_50, floor=0.5)
    report.hold(batch, hand_8, floor=2)
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

    many_old, many_fresh, old, fresh = report.rates
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

    def run(seconds: float) -> float:
        started, calls = time.monotonic(), 0
        while (now := time.monotonic()) - started < seconds:
            debit_list(customers, f"{len(customers)}-{next(numbers)}")
            calls += 1
        return calls / (now - started)

    return run
