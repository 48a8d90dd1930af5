"""Refunds by hand: unused cash, newest top-up first, with the bonus taken back (DECISIONS 30)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.errors import DomainError
from billing.services import proof
from ledger.models import Book, Entry, Event
from tests import factories
from tests.factories import FEBRUARY, START
from tests.wallets import acts
from wallets import services as wallets
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db


def refund(amount: str, *, name: str = "") -> Any:
    """Pay cash credits back and read the answer."""
    answer = wallets.refund(
        livemode=False,
        customer_id="cust_1",
        key=name or acts.fresh("refund"),
        amount=Decimal(amount),
        currency="USD",
        reason="test",
    )
    return factories.body(answer)


def refundable() -> str:
    """Ask for more than anybody has; give how much would be refundable, and see nothing changed."""
    before = factories.everything()
    with pytest.raises(DomainError) as caught:
        refund("1000000")
    assert (caught.value.status, caught.value.code) == (402, "insufficient_funds")
    assert factories.everything() == before
    return str(caught.value.extra["available"])


def bundle_with(bonus_burned: str) -> Book:
    """100 + 20 for 100.00, with so much of the bonus burned."""
    book = factories.clocked_customer()
    acts.bundle("100", "20")
    if bonus_burned != "0":
        factories.body(factories.debit("cust_1", bonus_burned, strategy="BONUS"))
    return book


def carried() -> list[tuple[str, Decimal, Decimal]]:
    """List kind, what remains and what it still carries in cents."""
    lots = CreditLot.objects.order_by("granted_at", "id")
    return [(lot.kind, lot.remaining, round(lot.carrying_remaining, 2)) for lot in lots]


@pytest.mark.parametrize(
    ("bonus_burned", "clawed_back", "paid", "left"),
    [
        ("0", "10", "50", [("CASH", 50, Decimal("41.67")), ("BONUS", 10, Decimal("8.33"))]),
        ("8", "10", "50", [("CASH", 50, Decimal("41.67")), ("BONUS", 2, Decimal("1.67"))]),
        ("15", "5", "45.83", [("CASH", 50, Decimal("41.67")), ("BONUS", 0, Decimal(0))]),
        ("20", "0", "41.67", [("CASH", 50, Decimal("41.67")), ("BONUS", 0, Decimal(0))]),
    ],
)
def test_the_bonus_is_taken_back_in_proportion_and_what_is_missing_cuts_the_pay_out(
    bonus_burned: str, clawed_back: str, paid: str, left: list[tuple[str, int, Decimal]]
) -> None:
    book = bundle_with(bonus_burned)

    answer = refund("50")

    assert (answer["clawed_back"], answer["refunded"]) == (clawed_back, paid)
    assert carried() == left
    posted = Entry.objects.get(book=book, event=Event.REFUND).postings
    paid_out = sum(
        (p.amount if p.credit_id == "1010" else -p.amount)
        for p in posted.all()
        if "1010" in {p.credit_id, p.debit_id}
    )
    assert paid_out == Decimal(paid)
    assert proof.verify().ok


def test_two_in_a_row_pay_what_one_would() -> None:
    """8 of the bonus are burned: 100.00 less 8 x 0.8333 = 93.33 can come back."""
    bundle_with("8")

    first, second = refund("50"), refund("50")

    assert (first["refunded"], second["refunded"]) == ("50", "43.33")
    assert (first["clawed_back"], second["clawed_back"]) == ("10", "2")
    assert carried() == [("CASH", 0, 0), ("BONUS", 0, 0)]
    assert acts.accounts()["1010"] == Decimal("6.67")
    assert refundable() == "0"


def test_the_newest_top_up_first() -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "30")
    acts.set_clock(START + timedelta(days=1))
    factories.top_up("cust_1", "20")
    factories.debit("cust_1", "5")  # Of the oldest.

    answer = refund("32")

    assert [(lot["quantity"], lot["remaining"]) for lot in answer["lots"]] == [
        ("20", "0"), ("12", "13"),
    ]  # fmt: skip
    assert (answer["refunded"], answer["clawed_back"]) == ("32", "0")
    assert acts.lots(book) == [("CASH", 13, 0), ("CASH", 0, 0)]
    assert refundable() == "13"


def test_each_top_up_gives_its_own_bonus_back() -> None:
    factories.clocked_customer()
    acts.bundle("100", "50")
    acts.set_clock(START + timedelta(days=1))
    acts.bundle("10", "1")

    answer = refund("20")

    assert [(lot["kind"], lot["quantity"]) for lot in answer["lots"]] == [
        ("CASH", "10"), ("BONUS", "1"), ("CASH", "10"), ("BONUS", "5"),
    ]  # fmt: skip
    assert (answer["clawed_back"], answer["refunded"]) == ("6", "20")


def test_held_parts_stay_and_held_bonus_is_missing() -> None:
    """20 bonus and 30 cash are held: 70 cash can come back, and none of their 14 bonus."""
    bundle_with("0")
    acts.held("50")

    assert refundable() == "70"
    answer = refund("70")

    assert (answer["clawed_back"], answer["refunded"]) == ("0", "58.33")
    assert answer["balance"]["held"] == "50"
    assert proof.verify().ok


def test_bonus_units_are_taken_back_and_carry_nothing() -> None:
    factories.customer()
    factories.metric()
    wallets.top_up(
        livemode=False,
        customer_id="cust_1",
        key="units",
        amount=Decimal(100),
        currency="USD",
        bonus=wallets.Bonus(metric="tokens", quantity=Decimal(1000)),
    )

    answer = refund("25")

    assert (answer["refunded"], answer["clawed_back"]) == ("25", "0")
    assert [(lot["kind"], lot["quantity"], lot["carrying"]) for lot in answer["lots"]] == [
        ("CASH", "25", "25"), ("BONUS", "250", "0"),
    ]  # fmt: skip
    assert answer["balance"]["available"] == "75"


def test_what_is_not_refundable() -> None:
    """Promo, a bonus given by hand, cash of a plan, and what has lapsed."""
    factories.offering(
        grants=[{"kind": "CASH", "amount": Decimal(40), "recurrence": "ONCE"}],
    )
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.grant("cust_1", "10", "PROMO")
    factories.grant("cust_1", "20", "BONUS")
    wallets.top_up(
        livemode=False, customer_id="cust_1", key="short", amount=Decimal(30), currency="USD",
        expires_at=START + timedelta(days=1),
    )  # fmt: skip

    assert refundable() == "30"
    acts.set_clock(START + timedelta(days=1))
    assert refundable() == "0"
    factories.advance(book, START + timedelta(days=1))
    assert refundable() == "0"


def test_a_lapsed_bonus_is_missing() -> None:
    """The bonus lapsed unused: it was earned as breakage, so its 8.33 are not paid again."""
    factories.clocked_customer()
    acts.bundle("100", "20", expires_at=FEBRUARY)
    CreditLot.objects.filter(kind="CASH").update(expires_at=None)
    acts.set_clock(FEBRUARY)

    assert refund("50")["refunded"] == "41.67"


@pytest.mark.parametrize(
    ("amount", "paid", "rounding"),
    [("10", "8.33", "-0.003333333333"), ("20", "16.67", "0.003333333333")],
)
def test_whole_cents_are_paid_and_the_rest_is_rounding(
    amount: str, paid: str, rounding: str
) -> None:
    """All bonus is burned: 10 cash pay 8.3333.. and 20 pay 16.6666..; the books say the cents."""
    bundle_with("20")

    assert refund(amount)["refunded"] == paid

    accounts = acts.accounts()
    assert accounts["1010"] == 100 - Decimal(paid)
    assert abs(accounts["7900"] - Decimal(rounding)) <= Decimal("0.000000000001")
    assert sum(accounts.values()) == 0


def test_over_the_api(api: APIClient, live_api: APIClient) -> None:
    bundle_with("8")
    body = {"customer_id": "cust_1", "amount": "50", "currency": "USD", "reason": "unhappy",
            "idempotency_key": "k"}  # fmt: skip

    first = api.post("/v1/wallets/refunds", body)
    before = factories.everything()
    again = api.post("/v1/wallets/refunds", body | {"amount": 50})
    other = api.post("/v1/wallets/refunds", body | {"reason": "bored"})
    strange = live_api.post("/v1/wallets/refunds", body)

    assert (first.status_code, first.json()["refunded"]) == (201, "50")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert other.json()["errors"][0]["pointer"] == "/reason"
    assert (strange.status_code, strange.json()["code"]) == (404, "unknown_customer")
    assert factories.everything() == before
