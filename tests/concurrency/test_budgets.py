"""A thousand agents under one cap, many at once: never above it, not for a moment.

AFORO_AGENTS says how many operations (1,000 by default; 20,000 is the full run).
"""

from __future__ import annotations

import os
import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from tests import factories
from tests.concurrency.threads import at_once
from tests.wallets import actions
from tests.wallets.budgets.spending import most_ever
from wallets.debits import engine, reversals
from wallets.debits.combiner import COMBINER
from wallets.models import BudgetCounter, Debit, Reservation, ReservationStatus

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

OPERATIONS = int(os.environ.get("AFORO_AGENTS", "1000"))
CONNECTIONS = 50
AGENTS = 1_000
CAP, EACH, CALL = Decimal(400), Decimal(3), Decimal(2)


def send(request: engine.Request) -> engine.Result:
    return COMBINER.execute(request, livemode=False)


def agent(number: int) -> None:
    """Do what agents do, a share of all operations: spend, reserve and capture, void, reverse."""
    dice = random.Random(number)
    for _ in range(OPERATIONS // CONNECTIONS):
        attributes = {"team": "search", "agent": f"a_{dice.randrange(AGENTS)}"}
        amount = Decimal(dice.randint(1, 250)) / 100
        asked: dict[str, Any] = {"customer_id": "cust_1", "currency": "USD", "amount": amount}
        if dice.random() < 0.5:
            key = actions.fresh(f"d{number}")
            made = send(engine.DebitRequest(key=key, attributes=attributes, **asked))
            if isinstance(made, Answer) and dice.random() < 0.2:
                reversals.reverse(
                    livemode=False,
                    debit_id=UUID(factories.body(made)["id"]),
                    key=actions.fresh(f"x{number}"),
                    reason="failed",
                )
            continue
        key = actions.fresh(f"r{number}")
        held = send(engine.ReserveRequest(key=key, attributes=attributes, **asked))
        if not isinstance(held, Answer):
            continue
        reservation = UUID(factories.body(held)["id"])
        end = dice.random()
        if end < 0.6:
            more = amount * dice.choice([Decimal("0.5"), Decimal(1), Decimal(2)])
            key = actions.fresh(f"c{number}")
            send(engine.CaptureRequest(reservation=reservation, key=key, amount=more))
        elif end < 0.9:
            send(engine.VoidRequest(reservation=reservation, key=actions.fresh(f"v{number}")))


def test_a_thousand_agents_under_one_cap() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "1000000")
    factories.budget("cap", str(CAP), match={"team": "search"}, max_per_call=CALL)
    factories.budget("each", str(EACH), match={"team": "search"}, per="agent", window="DAY")

    at_once(CONNECTIONS, agent)

    caps = {each.pk: each for each in BudgetCounter.objects.filter(budget__code="cap")}
    (cap,) = caps.values()
    most = most_ever(book)
    assert most[cap.pk] <= CAP
    assert most[cap.pk] > CAP - CALL or OPERATIONS < 1_000
    assert all(had <= EACH for counter, had in most.items() if counter not in caps)
    spent = sum((d.quantity - d.reversed for d in Debit.objects.filter(book=book)), Decimal(0))
    left = Reservation.objects.filter(book=book, status=ReservationStatus.HELD)
    assert cap.used == spent
    assert cap.held == sum((r.quantity - r.captured for r in left), Decimal(0))
    mine = BudgetCounter.objects.filter(budget__code="each")
    assert sum((each.used for each in mine), Decimal(0)) == spent
    assert sum((each.held for each in mine), Decimal(0)) == cap.held
    assert verification.verify().ok
