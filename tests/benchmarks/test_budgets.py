"""A tree of six budgets, checked and counted with each debit, against the debit without any."""

from __future__ import annotations

import itertools
import os
import time
from decimal import Decimal

import pytest

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from tests import factories
from tests.benchmarks import harness
from wallets.debits import engine

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

# Company, team, user, agent, task, model: each narrower than the one before.
LEVELS = ("company", "team", "user", "agent", "task", "model")
ATTRIBUTES = {level: f"{level}_1" for level in LEVELS}


def debits(customer: str) -> harness.Contestant:
    """Debit a customer again and again, each debit in a transaction of its own."""
    numbers = itertools.count()

    def run(seconds: float) -> harness.Done:
        started, calls = time.monotonic(), 0
        while (now := time.monotonic()) - started < seconds:
            ask = engine.DebitRequest(
                customer, f"k{next(numbers)}", amount=Decimal(1), attributes=ATTRIBUTES
            )
            (result,) = engine.execute([ask], livemode=False)
            assert isinstance(result, Answer)
            calls += 1
        return harness.Done(calls, now - started)

    return harness.Contestant(run, serving=os.getpid())


def test_a_tree_of_six_budgets() -> None:
    for customer in ("plain", "limited"):
        factories.customer(customer)
        factories.top_up(customer, "100000000")
    for n, level in enumerate(LEVELS):
        match = dict.fromkeys(LEVELS[: n + 1], "*")
        factories.budget(
            level, "100000000", customer="limited", match=match, per=level, window="MONTH"
        )

    report = harness.compare(
        "A tree of six budgets",
        "debits/s, one at a time",
        {
            "a debit that six budgets count": debits("limited"),
            "a debit without budgets": debits("plain"),
        },
    )

    limited, plain = report.found
    report.hold(limited, plain, floor=0.75)
    assert verification.verify(customer_id="limited").ok
