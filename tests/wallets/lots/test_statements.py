"""What a customer has, now and at every past moment, in constant queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START
from tests.wallets import actions
from wallets.debits import engine, reversals
from wallets.grants import rollover
from wallets.holds import reservations
from wallets.lots import movements
from wallets.models import CreditLot, Movement, TopUp, Wallet
from wallets.top_ups import disputes, refunds

pytestmark = pytest.mark.django_db

ALL = {"mode": "ALL"}


def shown(api: APIClient, as_of: datetime | None = None) -> dict[str, Any]:
    """Read a statement, less what only the present has, and wallets in which nothing ever was."""
    query = "" if as_of is None else f"?as_of={as_of.isoformat().replace('+', '%2B')}"
    response = api.get(f"/v1/wallets/cust_1{query}")
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    body.pop("overage", None)
    body.pop("as_of", None)
    for name in ("wallets", "unit_wallets"):
        body[name] = [w for w in body[name] if (w["available"], w["held"]) != ("0", "0")]
    return body


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def test_as_of_any_past_moment_it_says_what_it_said_then(api: APIClient) -> None:
    """A month with everything in it, read after each step and again at the end."""
    book = factories.clocked_customer()
    factories.metric()
    debits: list[str] = []

    def debit(amount: str) -> None:
        debits.append(factories.body(factories.debit("cust_1", amount, actions.fresh("d")))["id"])

    def hold(amount: str, days: int) -> None:
        actions.held(amount, expires_in=days * 24 * 3600)

    def reverse(number: int) -> None:
        reversals.reverse(
            livemode=False, debit_id=UUID(debits[number]), key=actions.fresh("r"), reason="test"
        )

    def refund() -> None:
        refunds.refund(
            livemode=False, customer_id="cust_1", key="back", amount=Decimal(20), currency="USD",
            reason="test",
        )  # fmt: skip

    steps: list[tuple[int, Callable[[], object]]] = [
        (0, lambda: actions.bundle("100", "20", expires_at=FEBRUARY)),
        (1, lambda: factories.grant("cust_1", "10", expires_at=day(9))),
        (2, lambda: factories.grant_units("cust_1", "500", expires_at=day(20))),
        (3, lambda: debit("4")),
        (4, lambda: hold("8", 2)),  # Times out on day 6, of which nobody writes down until day 8.
        (7, lambda: None),
        (8, lambda: debit("12")),
        (9, lambda: None),  # The promo has lapsed, unswept.
        (10, lambda: factories.advance(book, day(10))),
        (11, lambda: reverse(0)),  # Into the lapsed promo.
        (12, lambda: actions.capture(actions.held("30", expires_in=9_999), "5", final=False)),
        (13, refund),
        (14, lambda: reverse(1)),
        (20, lambda: None),
        (30, lambda: actions.rules(book, spend_state="ACTIVE")),
    ]
    seen: list[tuple[datetime, dict[str, Any]]] = []

    for at, step in steps:
        actions.set_clock(day(at))
        step()
        seen.append((day(at), shown(api)))
    CreditLot.objects.update(rollover=ALL)
    actions.set_clock(FEBRUARY)
    reservations.release_due(book=Book.objects.get(pk=book.pk), until=FEBRUARY)
    assert (
        rollover.roll_over(book=book, lots=CreditLot.objects.all(), at=FEBRUARY, until=MARCH) == 2
    )
    seen.append((FEBRUARY, shown(api)))
    factories.advance(book, MARCH)
    seen.append((MARCH, shown(api)))

    assert [(at, shown(api, at)) for at, _ in seen] == seen
    assert len({str(body) for _, body in seen}) == 12


def test_between_two_changes_it_says_what_the_first_left(api: APIClient) -> None:
    factories.clocked_customer()
    factories.top_up("cust_1", "10")
    actions.set_clock(day(2))
    factories.debit("cust_1", "4")
    tick = timedelta(microseconds=1)

    available = [
        [w["available"] for w in shown(api, at)["wallets"]]
        for at in (START - tick, START, day(2) - tick, day(2))
    ]

    assert available == [[], ["10"], ["10"], ["6"]]


def test_the_future_is_not_known(api: APIClient) -> None:
    factories.clocked_customer()

    response = api.get("/v1/wallets/cust_1?as_of=2026-01-01T00:00:01Z")

    assert (response.status_code, response.json()["code"]) == (422, "in_the_future")
    assert api.get("/v1/wallets/cust_1?as_of=yesterday").status_code == 422


def test_running_balances_of_each_wallet(api: APIClient) -> None:
    """Money 10, 30, 24, 24 (held counts), 19; units apart."""
    factories.customer()
    factories.metric()
    factories.grant("cust_1", "10")
    factories.top_up("cust_1", "20")
    factories.grant_units("cust_1", "7")
    factories.debit("cust_1", "6")
    actions.capture(actions.held("9"), "5")

    rows = api.get("/v1/wallets/cust_1/movements").json()["data"][::-1]

    running = [(r["kind"], r["metric"] or r["currency"], r["wallet_balance_after"]) for r in rows]
    assert running == [
        ("GRANT", "USD", "10"), ("GRANT", "USD", "30"), ("GRANT", "tokens", "7"),
        ("BURN", "USD", "24"), ("HOLD", "USD", "24"), ("HOLD", "USD", "24"),
        ("RELEASE", "USD", "24"), ("RELEASE", "USD", "24"), ("BURN", "USD", "20"),
        ("BURN", "USD", "19"), ("RELEASE", "USD", "19"),
    ]  # fmt: skip
    part = api.get("/v1/wallets/cust_1/movements?kind=BURN&page_size=2").json()["data"]
    assert [r["wallet_balance_after"] for r in part] == ["19", "20"]


def test_movements_are_listed_in_the_order_of_the_book(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes whose clocks differ make ids that do not ascend; here each is below the last."""
    factories.customer()
    descending = (UUID(int=n) for n in count(2**127, -1))
    monkeypatch.setattr(movements, "new_id_text", lambda: str(next(descending)))
    factories.grant("cust_1", "10")
    actions.bundle("20", "5")
    for amount in ("12", "4", "9"):
        factories.debit("cust_1", amount, actions.fresh("d"))

    rows: list[dict[str, Any]] = []
    url = "/v1/wallets/cust_1/movements?page_size=2"
    while url:
        answer = api.get(url).json()
        rows, url = rows + answer["data"], answer["next"]

    assert [(r["credit"], r["kind"], r["quantity"], r["wallet_balance_after"]) for r in rows] == [
        ("CASH", "BURN", "9", "10"),
        ("CASH", "BURN", "1", "19"), ("BONUS", "BURN", "3", "20"),
        ("BONUS", "BURN", "2", "23"), ("PROMO", "BURN", "10", "25"),
        ("BONUS", "GRANT", "5", "35"), ("CASH", "GRANT", "20", "30"),
        ("PROMO", "GRANT", "10", "10"),
    ]  # fmt: skip


def test_what_a_lost_dispute_took_away_is_gone_since_then(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.grant("cust_1", "10")
    actions.bundle("20", "5")
    top_up = TopUp.objects.get()
    for n, state in ((2, "opened"), (3, "lost")):
        actions.set_clock(day(n))
        disputes.dispute(livemode=False, top_up_id=top_up.pk, state=state, key=state)

    now = shown(api)

    assert [wallet["available"] for wallet in now["wallets"]] == ["10"]
    factories.advance(book, day(4))
    assert shown(api, day(3)) == now
    rows = api.get("/v1/wallets/cust_1/movements").json()["data"]
    assert [(r["kind"], r["wallet_balance_after"]) for r in rows] == [
        ("ADJUST", "10"), ("ADJUST", "15"), ("GRANT", "35"), ("GRANT", "30"), ("GRANT", "10"),
    ]  # fmt: skip


def test_a_history_of_thousands_takes_as_many_queries_as_one_of_ten(api: APIClient) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100000")
    wallet = Wallet.objects.get(book=book)
    reads: dict[str, Callable[[], object]] = {
        "now": lambda: api.get("/v1/wallets/cust_1"),
        "then": lambda: api.get(f"/v1/wallets/cust_1?as_of={wallet.created_at:%Y-%m-%dT%H:%M:%SZ}"),
        "page": lambda: api.get("/v1/wallets/cust_1/movements"),
        "debit": lambda: factories.debit("cust_1", "1", actions.fresh("q")),
    }

    def spend(times: int) -> None:
        asks = [
            engine.DebitRequest(customer_id="cust_1", key=actions.fresh("s"), amount=Decimal(1))
            for _ in range(times)
        ]
        engine.execute(asks, livemode=False)

    def queries() -> dict[str, int]:
        counts = {}
        api.get("/v1/wallets/cust_1")  # Keys are known for a moment only.
        for name, read in reads.items():
            with CaptureQueriesContext(connection) as captured:
                read()
            counts[name] = len(captured)
        return counts

    spend(10)
    few = queries()
    spend(2_000)

    assert queries() == few
    assert Movement.objects.filter(book=book).count() > 2_000
