"""The example of leases in docs/engineers.md, as it stands there: 100,000 decisions in memory."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from ledger.models import Book
from tests import factories
from tests.factories import START
from tests.test_architecture import ROOT
from tests.wallets import actions

pytestmark = pytest.mark.django_db

PRICE = Decimal("0.001")


class Clients:
    """The example's names, whose calls go to the test client; and how many calls there were."""

    def __init__(self, api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.calls = api, 0
        monkeypatch.setenv("AFORO_URL", "http://example.test")
        monkeypatch.setenv("AFORO_KEY", "the key of the test client")
        text = (ROOT / "docs/engineers.md").read_text().partition('<a id="leases"></a>')[2]
        (code, *_) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        self.names: dict[str, Any] = {}
        exec(code, self.names)
        self.names["urlopen"] = self.urlopen

    def urlopen(self, request: Request, timeout: float) -> io.BytesIO:
        """Answer as the server does."""
        self.calls += 1
        data = request.data
        assert isinstance(data, bytes)
        key = request.get_header("Idempotency-key")
        headers = {"Idempotency-Key": key} if key else {}
        path = request.full_url.removeprefix("http://example.test")
        answer = self.api.post(path, json.loads(data), headers=headers)
        if answer.status_code >= 400:
            raise HTTPError(path, answer.status_code, "", request.headers, None)  # type: ignore[arg-type]
        return io.BytesIO(answer.content)

    def work(self, lease: Any, decisions: int, *, every: int, more: Decimal) -> int:
        """Decide so often, extending as needed and flushing after `every`; return how often there
        was something to spend.
        """
        taken = 0
        for _ in range(decisions):
            if not lease.spend(PRICE) and not (lease.extend(more) and lease.spend(PRICE)):
                break
            taken += 1
            if taken % every == 0:
                self.names["flush"]([lease])
        return taken


@pytest.fixture
def clients(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> Clients:
    return Clients(api, monkeypatch)


@pytest.fixture
def book() -> Book:
    """A customer with 95.00, on a clock."""
    book = factories.clocked_customer()
    factories.top_up("cust_1", "95")
    return book


def test_a_hundred_thousand_decisions_and_a_killed_client(clients: Clients, book: Book) -> None:
    """95.00 at 0.001: one client decides 60,000 times, 60.00, and gives the rest back; the other
    wants 40,000 more and finds 35,000 paid for. Killed then, it has captured 32.00 and withholds
    3.00 until its lease ends.
    """
    lease_of = clients.names["Lease"]
    first = lease_of("first", "cust_1", Decimal(20), seconds=60)

    assert clients.work(first, 60_000, every=3_000, more=Decimal(8)) == 60_000
    first.close()

    assert factories.available(book) == 35
    second = lease_of("second", "cust_1", Decimal(20), seconds=60)
    assert clients.work(second, 40_000, every=4_000, more=Decimal(5)) == 35_000
    # It is killed here: 32.00 are captured, 3.00 are spent in its memory alone.
    assert actions.lots(book) == [("CASH", 3, 3)]
    assert clients.calls < 60
    actions.set_clock(START + timedelta(seconds=59))
    assert factories.refusal(factories.debit("cust_1", "1")).code == "insufficient_funds"
    actions.set_clock(START + timedelta(seconds=60))
    assert factories.body(factories.debit("cust_1", "3"))["amount"] == "3"
    assert actions.accounts() == {"1010": 95, "4000": -95}
    assert verification.verify().ok


def test_leases_of_many_customers_are_captured_in_one_call(clients: Clients, book: Book) -> None:
    factories.customer("cust_2")
    factories.top_up("cust_2", "5")
    leases = [clients.names["Lease"](f"of-{key}", key, 2) for key in ("cust_1", "cust_2")]
    before = clients.calls
    for lease in leases:
        assert lease.spend(Decimal("1.5"))
        assert not lease.spend(Decimal("0.51"))

    clients.names["flush"](leases)

    assert clients.calls == before + 1
    assert [lease.left for lease in leases] == [Decimal("0.5")] * 2
    for lease in leases:
        lease.close()
    assert factories.available(book) == Decimal("93.5")
    assert verification.verify().ok


def test_the_lease_of_a_client_that_died_is_found_by_its_name(
    clients: Clients, api: APIClient, book: Book
) -> None:
    lease = clients.names["Lease"]("worker-7", "cust_1", 20)

    asked = {"customer_id": "cust_1", "idempotency_key": "worker-7:1"}
    (found,) = api.get("/v1/wallets/reservations", asked).json()["data"]

    assert (found["id"], found["status"], found["held"]) == (lease.id, "HELD", "20")
