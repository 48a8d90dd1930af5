"""Payments of top-ups that are declined, delayed, lost or taken by a gateway of one's own."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.jobs import test_clocks
from tests import factories
from tests.wallets.top_ups.top_up_requests import URL, asked
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot, Operation, TopUp, Wallet
from wallets.top_ups import gateway, sales, waiting_payments
from wallets.top_ups.gateway import GatewayCharge, GatewayOutcome, GatewayUnreachable

pytestmark = pytest.mark.django_db


def test_a_decline_frees_the_key_and_leaves_a_failed_row_only(api: APIClient) -> None:
    factories.customer()
    before = factories.everything()

    declined = api.post(URL, asked(payment={"method": "test_declined"}))

    assert (declined.status_code, declined.json()["code"]) == (402, "payment_declined")
    assert factories.everything() == before
    assert Wallet.objects.count() == 0
    assert list(TopUp.objects.values_list("status", "key")) == [("FAILED", "t")]
    retried = api.post(URL, asked(payment={"method": "test_ok"}))
    assert retried.status_code == 201
    assert sorted(TopUp.objects.values_list("status", flat=True)) == ["FAILED", "SUCCEEDED"]
    assert verification.verify().ok


def test_a_delayed_payment_is_in_progress_until_its_minute_is_over(api: APIClient) -> None:
    book = factories.clocked_customer()
    body = asked(payment={"method": "test_delayed"})

    first = api.post(URL, body)
    early = api.post(URL, body)
    other = api.post(URL, body | {"amount": "101"})
    reused = api.post(
        "/v1/wallets/debit", {"customer_id": "cust_1", "amount": "1", "idempotency_key": "t"}
    )

    assert (first.status_code, first.json()["status"], first.json()["lots"]) == (202, "PENDING", [])
    assert (early.status_code, early.json()["code"]) == (409, "in_progress")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert reused.status_code in {402, 422}
    assert CreditLot.objects.count() == 0
    assert book.test_clock is not None
    test_clocks.advance(
        clock_id=book.test_clock.pk, livemode=False, to=factories.START + timedelta(hours=1)
    )
    lot = CreditLot.objects.get()
    assert lot.granted_at == factories.START + gateway.SandboxGateway.DELAY
    replayed = api.post(URL, body)
    assert (replayed.status_code, replayed.json()["id"]) == (201, first.json()["id"])
    assert replayed["Idempotency-Replayed"] == "true"
    assert CreditLot.objects.count() == 1


def test_a_delayed_decline_is_found_by_the_clock_and_frees_the_key(api: APIClient) -> None:
    book = factories.clocked_customer()
    body = asked(payment={"method": "test_delayed_declined"})
    assert api.post(URL, body).status_code == 202
    assert book.test_clock is not None

    test_clocks.advance(
        clock_id=book.test_clock.pk, livemode=False, to=factories.START + timedelta(hours=1)
    )

    assert TopUp.objects.get().status == "FAILED"
    assert CreditLot.objects.count() == 0
    assert api.post(URL, asked()).status_code == 201


class Killed(BaseException):
    """The process died here."""


def die(*_: Any, **__: Any) -> Any:
    raise Killed


@pytest.mark.parametrize("where", ["before the gateway", "after the gateway", "while delivering"])
def test_killed_anywhere_the_same_key_ends_in_one_effect(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    book = factories.customer()
    taken: list[GatewayCharge] = []

    def charge(charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        if where == "before the gateway":
            raise Killed
        taken.append(charge)
        if where == "after the gateway":
            raise Killed
        return GatewayOutcome.SUCCEEDED

    with monkeypatch.context() as patched:
        patched.setattr(gateway.SANDBOX, "charge", charge, raising=False)
        if where == "while delivering":
            patched.setattr(CreditJournal, "write", die)
        with pytest.raises(Killed):
            buy()
    assert TopUp.objects.get().status == "PENDING"
    assert (CreditLot.objects.count(), Operation.objects.count()) == (0, 0)
    assert {c.id for c in taken} <= {TopUp.objects.get().pk}

    answer = api.post(URL, asked())
    again = api.post(URL, asked())

    assert (answer.status_code, again.content) == (201, answer.content)
    assert TopUp.objects.get().status == "SUCCEEDED"
    assert factories.available(book) == 100
    assert verification.verify().ok


def buy() -> Any:
    return sales.top_up(
        livemode=False, customer_id="cust_1", key="t", amount=Decimal(100), currency="USD"
    )


def test_what_nobody_repeats_the_sweep_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    book = factories.customer()
    with monkeypatch.context() as patched:
        patched.setattr(gateway.SANDBOX, "charge", die, raising=False)
        with pytest.raises(Killed):
            buy()

    assert waiting_payments.resolve_pending() == 1
    assert waiting_payments.resolve_pending() == 0

    assert factories.available(book) == 100
    assert buy().replayed


def test_a_gateway_that_does_not_answer_leaves_the_payment_pending(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.customer()

    def charge(charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        raise GatewayUnreachable

    with monkeypatch.context() as patched:
        patched.setattr(gateway.SANDBOX, "charge", charge, raising=False)
        assert api.post(URL, asked()).status_code == 202
        assert api.post(URL, asked()).json()["code"] == "in_progress"
    assert api.post(URL, asked()).status_code == 201


def test_a_key_taken_elsewhere_meanwhile_does_not_lose_the_payment(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.grant("cust_1", "5", name="g")
    body = asked(payment={"method": "test_delayed"})
    api.post(URL, body)
    factories.debit("cust_1", "1", "t")
    assert book.test_clock is not None

    test_clocks.advance(
        clock_id=book.test_clock.pk, livemode=False, to=factories.START + timedelta(hours=1)
    )

    assert factories.available(book) == 104
    assert api.post(URL, body).json()["code"] == "key_reused"


class LiveGateway(gateway.SandboxGateway):
    """A gateway for cards that first answers that the payment is pending."""

    asked = 0

    def knows(self, method: str) -> bool:
        return method == "card_1"

    def charge(self, charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        type(self).asked += 1
        return GatewayOutcome.PENDING if type(self).asked == 1 else GatewayOutcome.SUCCEEDED


LIVE = LiveGateway()


def test_a_configured_live_gateway_takes_its_own_methods(
    live_api: APIClient, settings: Any
) -> None:
    settings.PAYMENT_GATEWAY = "tests.wallets.top_ups.test_top_up_payments.LIVE"
    book = factories.customer(livemode=True)

    card = live_api.post(URL, asked(payment={"method": "card_1"}))
    due_now = waiting_payments.resolve_pending()
    wire = live_api.post(URL, asked(payment={"method": "wire"}, idempotency_key="w"))

    assert (card.status_code, due_now, wire.status_code) == (202, 1, 201)
    assert sorted(TopUp.objects.values_list("channel", flat=True)) == ["GATEWAY", "MANUAL"]
    assert factories.available(book) == 200
