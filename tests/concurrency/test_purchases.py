"""Real threads and real commits: one key buys once, one wallet has one refill in flight."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from billing.invoicing import invoices, payments
from ledger.models import Posting
from tests import factories
from tests.concurrency.threads import at_once
from wallets.models import AutoRefill, CreditLot, Operation, TopUp
from wallets.top_ups import refill, sales

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


def buy(method: str = "test_ok", key: str = "the_same") -> Answer | sales.InProgress:
    try:
        return sales.top_up(
            livemode=False,
            customer_id="cust_1",
            key=key,
            amount=Decimal(10),
            currency="USD",
            payment=sales.TopUpPayment(method),
        )
    except sales.InProgress as busy:
        return busy


def test_one_key_in_twenty_threads_buys_once() -> None:
    book = factories.customer()

    results = at_once(20, lambda _: buy())

    answers = [r for r in results if isinstance(r, Answer)]
    assert len(answers) == 20
    assert len({r.body for r in answers}) == 1
    assert sum(r.replayed for r in answers) == 19
    assert (TopUp.objects.count(), Operation.objects.count(), CreditLot.objects.count()) == (
        1,
        1,
        1,
    )
    assert factories.available(book) == 10
    assert verification.verify().ok


def test_a_delayed_payment_in_twenty_threads_is_one_row() -> None:
    factories.clocked_customer()

    results = at_once(20, lambda _: buy("test_delayed"))

    pending = [r for r in results if isinstance(r, Answer)]
    assert [json.loads(r.body)["status"] for r in pending] == ["PENDING"]
    assert TopUp.objects.count() == 1


def rule(**terms: Any) -> AutoRefill:
    asked: dict[str, Any] = {
        "livemode": False,
        "customer_id": "cust_1",
        "currency": "USD",
        "threshold": Decimal(20),
        "amount": Decimal(50),
        "enabled": False,
    }
    made = refill.set_auto_refill(**asked | terms)
    # Switched on by hand: through the service it would fill the wallet at once.
    AutoRefill.objects.update(switched_off_at=None)
    return made


def test_twenty_threads_begin_one_refill_while_it_is_in_flight() -> None:
    book = factories.clocked_customer()
    rule(method="test_delayed")

    begun = at_once(20, lambda _: refill.refill_if_low([book.pk]))

    assert sum(begun) == 1
    assert TopUp.objects.get().status == "PENDING"


def test_twenty_threads_refill_a_low_wallet_once() -> None:
    book = factories.customer()
    rule()

    begun = at_once(20, lambda _: refill.refill_if_low([book.pk]))

    assert sum(begun) == 1
    assert factories.available(book) == 50
    assert verification.verify().ok


def test_twenty_debits_that_drain_a_wallet_are_refilled_within_the_cap() -> None:
    """20 and three refills of 50 are 170, in debits of 10 or still there; no fourth refill."""
    book = factories.customer()
    factories.top_up("cust_1", "20")
    rule(max_per_day=3, threshold=Decimal(0))

    def drain(number: int) -> int:
        accepted = 0
        for attempt in range(3):
            result = factories.debit("cust_1", "10", f"debit-{number}-{attempt}")
            accepted += isinstance(result, Answer)
        return accepted

    accepted = at_once(20, drain)

    assert TopUp.objects.filter(auto_refill__isnull=False).count() == 3
    assert 10 * sum(accepted) + factories.available(book) == 170
    assert verification.verify().ok


def test_an_invoice_is_paid_once_by_many() -> None:
    factories.customer(livemode=True)
    sales.top_up(livemode=True, customer_id="cust_1", key="t", amount=Decimal(100), currency="USD")

    def pay(number: int) -> bool:
        try:
            payments.pay(
                livemode=True,
                invoice="INV-000001",
                amount=Decimal(100),
                reference="wire",
                key=f"pay-{number}",
            )
        except invoices.NotOpen:
            return False
        return True

    paid = at_once(10, pay)

    assert sum(paid) == 1
    assert Posting.objects.filter(debit="1000").count() == 1
    assert CreditLot.objects.count() == 1
    assert verification.verify().ok
