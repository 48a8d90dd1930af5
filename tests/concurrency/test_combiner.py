"""Calls that meet are taken together, and one that fails does not fail its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from aforo.errors import InvariantBroken
from billing.services import proof
from tests import factories
from tests.concurrency.test_debits import at_once
from wallets import engine
from wallets.answers import Answer
from wallets.combiner import Combiner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


def request(number: int, amount: int = 1) -> engine.DebitRequest:
    return engine.DebitRequest(customer_id="cust_1", key=f"k{number}", amount=Decimal(amount))


def test_calls_that_meet_make_fewer_lists_than_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "30")
    combiner, lists = Combiner(), []
    run = engine.execute

    def counted(requests: Sequence[engine.DebitRequest], *, livemode: bool) -> list[engine.Result]:
        lists.append(len(requests))
        return run(requests, livemode=livemode)

    monkeypatch.setattr(engine, "execute", counted)
    results = at_once(40, lambda n: combiner.take(request(n), livemode=False))

    assert sum(lists) == 40
    assert len(lists) < 40
    assert sum(isinstance(r, Answer) for r in results) == 30
    assert factories.available(book) == 0
    assert proof.verify().ok


def test_one_that_fails_does_not_fail_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    combiner, run = Combiner(), engine.execute

    def planted(requests: Sequence[engine.DebitRequest], *, livemode: bool) -> list[engine.Result]:
        if any(r.key == "k7" for r in requests):
            raise InvariantBroken("planted")
        return run(requests, livemode=livemode)

    def call(number: int) -> engine.Result | str:
        try:
            return combiner.take(request(number), livemode=False)
        except InvariantBroken as error:
            return str(error)

    monkeypatch.setattr(engine, "execute", planted)
    results = at_once(20, call)

    assert results[7] == "planted"
    assert sum(isinstance(r, Answer) for r in results) == 19
    assert factories.available(book) == 81
