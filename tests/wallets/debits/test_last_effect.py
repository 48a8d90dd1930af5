"""An operation's answer is read after its last effect: what it set free has paid arrears by then.

PREPAID, 20.00 bought: 10.00 debited, 10.00 held, and 4,000 tokens at .002 = 8.00 are owed.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Settlement
from ledger.models import Book
from tests import campaigns, factories
from tests.factories import FEBRUARY, START
from tests.histories import examples
from tests.wallets import actions
from wallets.debits import engine
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

OWED = Decimal(8)


class Owing:
    """A customer who owes 8.00, with a debit and a reservation that can be undone."""

    def __init__(self, key: str = "cust_1") -> None:
        self.key = key
        self.book: Book = factories.clocked_customer(key)
        factories.subscription(key)
        factories.top_up(key, "20")
        self.debit = factories.body(factories.debit(key, "10"))["id"]
        factories.advance(self.book, START + timedelta(days=20))
        self.hold = actions.held("10", key=key, expires_in=engine.MAX_HOLD)
        factories.meter(4_000, START + timedelta(days=5), f"event-{key}", key=key)
        factories.advance(self.book, FEBRUARY)
        assert self.settlement.arrears - self.settlement.arrears_paid == OWED

    @property
    def settlement(self) -> Settlement:
        return Settlement.objects.get(book=self.book)


@pytest.fixture
def owing() -> Owing:
    factories.offering(billing_mode="PREPAID")
    return Owing()


def ask(api: APIClient, what: str, owing: Owing) -> Any:
    """Send one operation that brings 10.00 or 20.00 of credits, and give its answer."""
    key = {"idempotency_key": actions.fresh(what)}
    mine = {"customer_id": owing.key, "currency": "USD", **key}
    hold = f"/v1/wallets/reservations/{owing.hold}"
    path, body = {
        "void": (f"{hold}/void", key),
        "capture": (f"{hold}/capture", {"amount": "1", **key}),
        "top_up": ("/v1/wallets/top-ups", {"amount": "20", **mine}),
        "grant": ("/v1/wallets/grants", {"amount": "20", "kind": "PROMO", "reason": "x", **mine}),
        "reverse": (f"/v1/wallets/debits/{owing.debit}/reverse", {"reason": "x", **key}),
    }[what]
    answer = api.post(path, body)
    assert answer.status_code in {200, 201}, answer.content
    assert api.post(path, body).content == answer.content
    return answer.json()


def there(api: APIClient, owing: Owing) -> Any:
    """Read the wallet right after."""
    (wallet,) = api.get(f"/v1/wallets/{owing.key}").json()["wallets"]
    return {name: wallet[name] for name in ("available", "held", "by_kind")}


@pytest.mark.parametrize(
    ("what", "left"), [("void", "2"), ("capture", "1"), ("top_up", "12"), ("grant", "12"),
                       ("reverse", "2")],
)  # fmt: skip
def test_it_is_what_a_read_right_after_says(
    api: APIClient, owing: Owing, what: str, left: str
) -> None:
    answer = ask(api, what, owing)

    now = there(api, owing)
    assert now["available"] == left
    assert owing.settlement.arrears_paid == OWED
    if "balance" in answer:
        assert answer["balance"] == now
    for lot in answer.get("lots", []):
        assert Decimal(lot["remaining"]) == CreditLot.objects.get(pk=lot["lot"]).remaining
    for each in answer.get("allocations", []):
        free = CreditLot.objects.get(pk=each["lot"]).available
        assert Decimal(each["balance_after"]) == free
    assert verification.verify().ok


def test_what_a_code_gives_pays_too(api: APIClient, owing: Owing) -> None:
    campaigns.running(
        "twenty", {**campaigns.TEN_THOUSAND, **campaigns.NO_UNITS}, amount="20", currency="USD"
    )

    body = {"customer_id": owing.key, "code": "twenty", "idempotency_key": "k"}
    answer = api.post("/v1/campaigns/redeem", body)

    assert answer.status_code == 201, answer.content
    assert answer.json()["lots"][0]["remaining"] == there(api, owing)["available"] == "12"


def test_in_a_list_what_is_released_pays_before_the_next_debit(owing: Owing) -> None:
    """10.00 come back, 8.00 are owed: 3.00 are refused, and 2.00 are debited."""
    void = engine.VoidRequest(UUID(owing.hold), "v")
    debits = [
        engine.DebitRequest(owing.key, f"d{n}", amount=Decimal(n), currency="USD") for n in (3, 2)
    ]

    voided, refused, debited = engine.execute([void, *debits], livemode=False)

    assert factories.body(voided)["balance"]["available"] == "2"
    assert {"shortfall": "1", "available": "2"}.items() <= factories.refusal(refused).extra.items()
    assert factories.body(debited)["balance"]["available"] == "0"
    assert owing.settlement.arrears_paid == OWED
    assert verification.verify().ok


def test_what_timed_out_unswept_pays_before_a_debit(owing: Owing) -> None:
    """At the end of the hold, with no sweep: 10.00 come back and 8.00 of them are owed."""
    actions.set_clock(START + timedelta(days=20, seconds=engine.MAX_HOLD))

    refused = factories.refusal(factories.debit(owing.key, "3"))
    debited = factories.body(factories.debit(owing.key, "2"))

    assert {"shortfall": "1", "available": "2"}.items() <= refused.extra.items()
    assert debited["balance"]["available"] == "0"
    assert owing.settlement.arrears_paid == OWED
    assert verification.verify().ok


def test_a_list_of_two_customers_cuts_none_short(owing: Owing) -> None:
    """Another customer's debits before and after a void that pays arrears are as they would be."""
    factories.clocked_customer("cust_2")
    factories.top_up("cust_2", "5")
    debits = [
        engine.DebitRequest("cust_2", f"o{n}", amount=Decimal(2), currency="USD") for n in range(3)
    ]
    void = engine.VoidRequest(UUID(owing.hold), "v")

    answers = engine.execute([debits[0], void, debits[1], debits[0], debits[2]], livemode=False)

    left = [factories.body(each)["balance"]["available"] for each in answers[:-1]]
    assert left == ["3", "2", "1", "3"]
    refused = factories.refusal(answers[-1])
    assert {"shortfall": "1", "available": "1"}.items() <= refused.extra.items()
    assert verification.verify().ok


@pytest.mark.histories
@settings(
    max_examples=examples(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.permutations(["void", "top_up", "grant", "reverse"]), part=st.integers(1, 4))
def test_in_whatever_order_each_answer_is_a_read_right_after(
    api: APIClient, order: list[str], part: int
) -> None:
    if not Book.objects.filter(key="cust_1").exists():
        factories.offering(billing_mode="PREPAID")
    owing = Owing(f"cust_{Book.objects.count() + 1}")

    for what in order[:part]:
        answer = ask(api, what, owing)
        if "balance" in answer:
            assert answer["balance"] == there(api, owing)

    assert verification.verify(customer_id=owing.key).ok
