"""The statements of the hottest calls: few, and no more for a list or after a history."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing.invoicing import tax_rates
from ledger.models import Book
from pricing.offerings import coupons
from tests import factories

pytestmark = pytest.mark.django_db


def post(
    client: APIClient, path: str, body: Mapping[str, object], status: int = 200
) -> tuple[Any, list[str]]:
    """Call; return the answer and its statements, without savepoints and the look at the API key,
    which is remembered for seconds.
    """
    with CaptureQueriesContext(connection) as captured:
        answer = client.post(path, body)
    assert answer.status_code == status, answer.content
    statements = [query["sql"] for query in captured.captured_queries]
    beside = ("SAVEPOINT", "access_apikey")
    return answer.json(), [sql for sql in statements if not any(each in sql for each in beside)]


def read(client: APIClient, path: str) -> int:
    """Read; return the number of statements."""
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return sum("access_apikey" not in query["sql"] for query in captured.captured_queries)


def after_lock(statements: list[str]) -> int:
    """Return how many follow the lock on the books."""
    (lock,) = [n for n, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql]
    return len(statements) - lock - 1


def debit(key: str, customer: str = "cust_1", amount: str = "1") -> dict[str, Any]:
    return {
        "customer_id": customer, "amount": amount, "currency": "USD", "idempotency_key": key,
    }  # fmt: skip


@pytest.fixture
def company() -> None:
    for n in (1, 2, 3):
        factories.customer(f"cust_{n}")
        factories.top_up(f"cust_{n}", "100")
    factories.debit("cust_1", "1", "first", currency="USD")


@pytest.mark.usefixtures("company")
class TestOneRead:
    """One statement reads under the lock, one writes."""

    def test_a_debit(self, api: APIClient) -> None:
        _, statements = post(api, "/v1/wallets/debit", debit("k"))

        assert after_lock(statements) == 2
        assert len(statements) == 4

    def test_a_replay_and_a_refusal(self, api: APIClient) -> None:
        _, replayed = post(api, "/v1/wallets/debit", debit("first"))
        _, refused = post(api, "/v1/wallets/debit", debit("k", amount="1000"), 402)

        assert after_lock(replayed) == 1
        # The notice of the refusal; after the commit what is owed, refills and terms of sale.
        assert after_lock(refused) == 2 + 4

    def test_refusals_of_a_list_are_explained_together(self, api: APIClient) -> None:
        debits = [debit(f"k{n}", f"cust_{n % 3 + 1}", amount="1000") for n in range(60)]

        answer, statements = post(api, "/v1/wallets/debits/batch", {"debits": debits})

        assert all(each["offers"] for each in answer["results"])
        assert after_lock(statements) == 2 + 4

    def test_a_list(self, api: APIClient) -> None:
        debits = [debit(f"k{n}", f"cust_{n % 3 + 1}") for n in range(60)]

        answer, statements = post(api, "/v1/wallets/debits/batch", {"debits": debits})

        assert [each["status"] for each in answer["results"]] == [200] * 60
        assert after_lock(statements) == 2

    def test_a_reservation_its_capture_and_its_void(self, api: APIClient) -> None:
        path = "/v1/wallets/reservations"
        first, reserved = post(api, path, debit("r1"), 201)
        second, _ = post(api, path, debit("r2"), 201)

        _, captured = post(api, f"{path}/{first['id']}/capture", {"idempotency_key": "c"})
        _, voided = post(api, f"{path}/{second['id']}/void", {"idempotency_key": "v"})

        assert after_lock(reserved) == after_lock(captured) == 2
        # Whether what was released pays for something is billing's to say.
        assert after_lock(voided) == 3
        assert len(captured) == 5


class TestWithBudgets:
    """Budgets are read in the same read and counted in the same write."""

    @pytest.fixture(autouse=True)
    def tree(self, company: None) -> None:
        for n in range(6):
            factories.budget(f"b{n}", "50", match={f"level_{n}": "*"}, per=f"level_{n}")

    def attributes(self) -> dict[str, Any]:
        return {"attributes": {f"level_{n}": "x" for n in range(6)}}

    def test_a_debit_and_its_refusal(self, api: APIClient) -> None:
        _, first = post(api, "/v1/wallets/debit", debit("k") | self.attributes())
        _, second = post(api, "/v1/wallets/debit", debit("l") | self.attributes())
        refusal = debit("m", amount="60") | self.attributes()
        _, refused = post(api, "/v1/wallets/debit", refusal, 402)

        assert after_lock(first) == after_lock(second) == 2
        # The notice of the refusal.
        assert after_lock(refused) == 2

    def test_a_reservation_and_its_capture(self, api: APIClient) -> None:
        path = "/v1/wallets/reservations"
        made, reserved = post(api, path, debit("r1") | self.attributes(), 201)

        _, captured = post(api, f"{path}/{made['id']}/capture", {"idempotency_key": "c"})

        assert after_lock(reserved) == after_lock(captured) == 2


@pytest.mark.usefixtures("company")
def test_captures_in_a_list_take_one_statement_more_than_debits(api: APIClient) -> None:
    made = [
        post(api, "/v1/wallets/reservations", debit(f"r{n}", f"cust_{n % 3 + 1}"), 201)[0]["id"]
        for n in range(30)
    ]
    captures = [{"reservation": each, "idempotency_key": f"c{each}"} for each in made]
    debits = [debit(f"k{n}", f"cust_{n % 3 + 1}") for n in range(30)]

    answer, captured = post(api, "/v1/wallets/captures/batch", {"captures": captures})
    _, debited = post(api, "/v1/wallets/debits/batch", {"debits": debits})

    assert [each["status"] for each in answer["results"]] == [200] * 30
    assert after_lock(captured) == after_lock(debited) == 2
    # Whose reservations they are is asked before the lock.
    assert len(captured) == len(debited) + 1


def test_a_live_debit_also_holds_off_the_close_of_its_month(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    factories.grant("cust_1", "10", livemode=True)

    _, statements = post(live_api, "/v1/wallets/debit", debit("k"))

    assert after_lock(statements) == 3


def test_a_clock_is_read_after_its_customer_is_locked(api: APIClient) -> None:
    factories.clocked_customer()
    factories.top_up("cust_1", "10")

    _, statements = post(api, "/v1/wallets/debit", debit("k"))

    assert after_lock(statements) == 3


@pytest.mark.usefixtures("company")
def test_a_top_up(api: APIClient) -> None:
    body = {"customer_id": "cust_1", "amount": "10", "currency": "USD", "idempotency_key": "t"}

    _, statements = post(api, "/v1/wallets/top-ups", body, 201)

    assert len(statements) <= 22


WALLET = "/v1/wallets/cust_1"


@pytest.mark.usefixtures("company")
def test_a_wallet_read(api: APIClient) -> None:
    """The book, whether a cycle is over, and the credits."""
    assert read(api, WALLET) == 3

    for n in range(20):
        factories.debit("cust_1", "5", f"spent_{n}", currency="USD")

    assert read(api, WALLET) == 3


def test_a_wallet_read_with_an_open_cycle(api: APIClient) -> None:
    """Also the cycles with their burns, what they have used, the lots, and the tax in force."""
    coupons.create_coupon(
        livemode=False, code="tenth", type="PERCENT", value=Decimal(10), duration="FOREVER"
    )
    tax_rates.create_tax_rate(
        livemode=False, name="IVA", country="ES", percent=Decimal(21), now=factories.START
    )
    factories.subscribed(money="100", country="ES", coupon="tenth")
    factories.grant_units("cust_1", "10")
    factories.meter(10, factories.START)
    read(api, WALLET)  # The first of a process also reads the plan's terms.

    assert read(api, WALLET) == 7

    for n in range(20):
        factories.debit("cust_1", "1", f"spent_{n}", currency="USD")
        factories.grant("cust_1", "1", name=f"given_{n}")
        factories.meter(10, factories.START)

    assert read(api, WALLET) == 7
    factories.advance(Book.objects.get(), factories.MARCH)
    assert read(api, WALLET) == 7
