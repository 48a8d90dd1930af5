"""Test clocks with several customers: one who fails or stays due never holds the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.errors import Busy, InvariantBroken
from billing.cycle_end import cycle_settlement
from billing.jobs import test_clocks
from billing.models import Settlement, Subscription
from ledger.models import Book
from tests import factories
from tests.billing.jobs.test_isolation import KEYS, POISONED, poison, settled_cycles
from tests.wallets import actions

pytestmark = pytest.mark.django_db

FEBRUARY, MARCH = factories.FEBRUARY, factories.MARCH


@pytest.fixture
def clocked() -> list[Book]:
    """Three customers of one clock, with a cycle that ends on 1 February."""
    factories.offering()
    first = factories.clocked_customer("cust_1")
    books = [first, *(factories.customer(key, clock=first.test_clock) for key in KEYS[1:])]
    for key in KEYS:
        factories.subscription(key)
    return books


def test_a_clock_moves_on_without_the_customer_who_fails(
    clocked: list[Book], api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heal = poison(monkeypatch, cycle_settlement, "settle_book", InvariantBroken)
    url = f"/v1/test-clocks/{clocked[0].test_clock_id}/advance"

    answer = api.post(url, {"now": "2026-03-01T00:00:00Z"})

    assert (answer.status_code, answer.json()["now"]) == (200, "2026-03-01T00:00:00Z")
    assert answer.json()["failures"] == [
        {"customer_id": POISONED, "step": "settlement", "reason": "poisoned"}
    ]
    assert settled_cycles() == ["cust_1", "cust_1", "cust_3", "cust_3"]
    heal()
    again = api.post(url, {"now": "2026-03-01T00:00:00Z"}).json()
    assert again["failures"] == []
    assert settled_cycles() == ["cust_1", "cust_1", "cust_2", "cust_2", "cust_3", "cust_3"]
    # In its own order, each cycle at its own end.
    late = Settlement.objects.filter(book=clocked[1]).order_by("cycle")
    assert [one.settled_at for one in late] == [FEBRUARY, MARCH]


def test_a_clock_waits_for_the_customer_who_is_busy(
    clocked: list[Book], api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heal = poison(monkeypatch, cycle_settlement, "settle_book", Busy)
    url = f"/v1/test-clocks/{clocked[0].test_clock_id}/advance"

    answer = api.post(url, {"now": "2026-03-01T00:00:00Z"})

    assert (answer.status_code, answer.json()["now"]) == (202, "2026-02-01T00:00:00Z")
    assert settled_cycles() == ["cust_1", "cust_3"]
    heal()
    assert api.post(url, {"now": "2026-03-01T00:00:00Z"}).status_code == 200
    assert settled_cycles() == sorted(KEYS * 2)


def test_a_cycle_that_stays_due_ends_the_work_on_it(
    clocked: list[Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settling it changes nothing, so that it would be done for ever."""
    real = cycle_settlement.settle_cycle

    def nothing(*, subscription: Subscription, **terms: Any) -> bool:
        if subscription.customer_id == clocked[1].pk:
            return False
        return real(subscription=subscription, **terms)

    monkeypatch.setattr(cycle_settlement, "settle_cycle", nothing)
    with pytest.raises(InvariantBroken, match="stays due"):
        cycle_settlement.settle_book(book_id=clocked[1].pk, until=FEBRUARY, issued_at=FEBRUARY)
    assert clocked[0].test_clock_id is not None
    advanced = test_clocks.advance(clock_id=clocked[0].test_clock_id, livemode=False, to=MARCH)

    assert advanced.done
    assert [(f.customer_id, f.step) for f in advanced.failures] == [(POISONED, "settlement")]
    assert settled_cycles() == ["cust_1", "cust_1", "cust_3", "cust_3"]


def test_due_work_that_is_done_and_stays_due_is_left_behind(
    clocked: list[Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard of the clock itself: the customer's step does nothing and says nothing."""
    real = cycle_settlement.settle_book

    def nothing(*, book_id: int, **terms: Any) -> int:
        return 0 if book_id == clocked[1].pk else real(book_id=book_id, **terms)

    monkeypatch.setattr(cycle_settlement, "settle_book", nothing)
    assert clocked[0].test_clock_id is not None
    advanced = test_clocks.advance(clock_id=clocked[0].test_clock_id, livemode=False, to=MARCH)

    assert advanced.done
    assert [(f.customer_id, f.step) for f in advanced.failures] == [(POISONED, "test clock")]
    assert "stays due: cycle" in advanced.failures[0].reason


def test_a_hold_that_times_out_in_the_grace_of_its_cycle_does_not_stop_the_clock() -> None:
    """It is held back by the unsettled cycle, as a lot is, and ends when that is settled."""
    factories.offering(spec={"grace_hours": 24})
    book = factories.clocked_customer("cust_1")
    factories.grant("cust_1", "10")
    factories.subscription("cust_1")
    factories.advance(book, FEBRUARY - timedelta(minutes=5))
    actions.reserve("4", expires_in=600)

    factories.advance(book, FEBRUARY + timedelta(hours=25))

    assert settled_cycles() == ["cust_1"]
    assert factories.available(book) == 10
