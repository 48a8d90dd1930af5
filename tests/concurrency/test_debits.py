"""Real threads and real commits on one wallet: never below zero, never twice."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import httpx
import pytest

from aforo.access.services import create_api_key
from aforo.protocol.idempotency import Answer
from billing.finance import verification
from ledger.models import Entry
from tests import factories
from tests.concurrency.threads import at_once
from tests.wallets import actions
from wallets.debits import engine
from wallets.models import Debit, Operation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


def test_fifty_threads_on_a_wallet_that_covers_thirty() -> None:
    book = factories.customer()
    factories.grant("cust_1", "10", "PROMO")
    factories.grant("cust_1", "20", "BONUS")
    factories.top_up("cust_1", "30")

    results = at_once(50, lambda n: factories.debit("cust_1", "2", f"req_{n}"))

    accepted = [r for r in results if isinstance(r, Answer)]
    refused = Counter(factories.refusal(r).code for r in results if not isinstance(r, Answer))
    assert len(accepted) == 30
    assert refused == {"insufficient_funds": 20}
    assert factories.available(book) == 0
    assert Debit.objects.filter(book=book).count() == 30
    assert verification.verify().ok


def test_twenty_reservations_of_75_against_500() -> None:
    """Six hold 450; the other fourteen find 50."""
    book = factories.customer()
    factories.top_up("cust_1", "500")

    results = at_once(20, lambda n: actions.reserve("75", name=f"r{n}"))

    held = [factories.body(r)["id"] for r in results if isinstance(r, Answer)]
    refused = Counter(factories.refusal(r).code for r in results if not isinstance(r, Answer))
    assert (len(held), refused) == (6, {"insufficient_funds": 14})
    assert actions.lots(book) == [("CASH", 500, 450)]
    assert verification.verify().ok


def test_one_key_fired_twenty_times_has_one_effect() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    entries = Entry.objects.count()

    results = at_once(20, lambda _: factories.debit("cust_1", "7", "the_same"))

    bodies = {r.body for r in results if isinstance(r, Answer)}
    assert len(results) == 20
    assert len(bodies) == 1
    assert sum(r.replayed for r in results if isinstance(r, Answer)) == 19
    assert factories.available(book) == 93
    assert Entry.objects.count() == entries + 1
    assert Operation.objects.filter(book=book, key="the_same").count() == 1


def test_lists_that_name_the_books_in_opposite_order_do_not_deadlock() -> None:
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
        factories.top_up(key, "1000")

    def both(number: int) -> list[engine.Result]:
        keys = ["cust_1", "cust_2"][:: 1 if number % 2 else -1]
        return engine.execute(
            [engine.DebitRequest(customer_id=k, key=f"r{number}", amount=Decimal(1)) for k in keys],
            livemode=False,
        )

    results = at_once(20, both)

    answers = [r for pair in results for r in pair]
    assert len(answers) == 40
    assert all(isinstance(r, Answer) for r in answers)
    assert verification.verify().ok


def test_fifty_connections_over_http(served_url: str) -> None:
    book = factories.customer("cust_8923")
    factories.top_up("cust_8923", "60")
    _, secret = create_api_key(livemode=False, name="load")
    headers = {"Authorization": f"Bearer {secret}"}

    def call(number: int) -> int:
        with httpx.Client(base_url=served_url, headers=headers, timeout=60) as client:
            body = {"customer_id": "cust_8923", "amount": 2, "idempotency_key": f"req_{number}"}
            return client.post("/v1/wallets/debit", json=body).status_code

    statuses = Counter(at_once(50, call))

    assert statuses == {200: 30, 402: 20}
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_the_landing_page_call_without_a_content_type(served_url: str) -> None:
    """Only host, key and customer are replaced; curl -d alone would even claim a form."""
    factories.customer("cust_8923")
    factories.top_up("cust_8923", "100")
    _, secret = create_api_key(livemode=False, name="landing")
    content = (
        b'{"customer_id": "cust_8923", "amount": 50, "strategy": "WATERFALL", '
        b'"idempotency_key": "req_9982"}'
    )
    url, key = f"{served_url}/v1/wallets/debit", {"Authorization": f"Bearer {secret}"}

    bare = httpx.post(url, content=content, headers=key)
    form = httpx.post(
        url,
        content=content,
        headers=key | {"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert (bare.status_code, form.status_code) == (200, 200)
    assert bare.json()["balance"]["available"] == "50"
    assert form.content == bare.content
    assert form.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in bare.headers


def test_reservations_at_once_promise_no_more_overage_than_the_limit() -> None:
    """Each of 20 expects 3 of a limit of 10 at one moment: three are accepted, and captured."""
    book = factories.customer()
    factories.top_up("cust_1", "1")
    factories.debit("cust_1", "1")
    actions.rules(book, billing_mode="HYBRID", overage_limit=10)

    results = at_once(20, lambda n: actions.reserve("3", name=f"r{n}"))

    accepted = [factories.body(r)["id"] for r in results if isinstance(r, Answer)]
    refused = Counter(factories.refusal(r).code for r in results if not isinstance(r, Answer))
    assert len(accepted) == 3
    assert refused == {"overage_limit": 17}
    captured = at_once(3, lambda n: actions.capture(accepted[n]))
    assert [factories.body(each)["overage"] for each in captured] == ["3"] * 3
    assert verification.verify().ok
