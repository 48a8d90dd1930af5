"""Money that a gateway pays back: committed first, asked for once, concluded once."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.finance.closing import tie_outs
from ledger.models import Entry
from tests import factories
from tests.wallets import actions
from tests.wallets.top_ups.disputes import buy, posted
from wallets.models import GatewayRefund, TopUp
from wallets.top_ups import gateway, gateway_refunds, gateway_work
from wallets.top_ups.gateway import GatewayOutcome, GatewayUnreachable

pytestmark = pytest.mark.django_db
D = Decimal
MINUTE = timedelta(minutes=1)


def pay_back(api: APIClient, amount: str) -> Any:
    answer = api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": amount, "currency": "USD", "reason": "unused",
         "idempotency_key": actions.fresh("refund")},
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    return answer


def test_it_is_committed_before_the_gateway_is_asked_and_then_concluded(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api, bonus=None)

    refund = pay_back(api, "50").json()

    row = GatewayRefund.objects.get()
    assert (row.status, row.amount, str(row.top_up_id)) == ("PENDING", 50, top_up)
    assert refund["pay_outs"] == [
        {"top_up": top_up, "amount": "50", "account": "1010", "gateway_refund": str(row.pk)}
    ]
    assert (gateway_refunds.resolve_pending(), gateway_refunds.resolve_pending()) == (1, 0)
    (listed,) = api.get(f"/v1/wallets/refunds?refund={refund['id']}").json()["data"]
    assert (listed["status"], listed["amount"], listed["entry"]) == ("SUCCEEDED", "50", None)
    assert actions.accounts() == {"1010": D(50), "2100": D(-50)}
    assert verification.verify().ok


def test_the_caller_s_own_process_asks_after_the_commit(
    api: APIClient, django_capture_on_commit_callbacks: Any
) -> None:
    factories.customer()
    buy(api, bonus=None)

    with django_capture_on_commit_callbacks(execute=True):
        pay_back(api, "50")

    assert GatewayRefund.objects.get().status == "SUCCEEDED"


def test_each_top_up_is_paid_back_by_its_own_gateway_payment(api: APIClient) -> None:
    factories.customer()
    buy(api, bonus=None)
    buy(api, "newer", amount="20", bonus=None)

    pay_back(api, "30")

    assert sorted(GatewayRefund.objects.values_list("amount", flat=True)) == [10, 20]


def test_what_the_gateway_declines_stays_owed(api: APIClient) -> None:
    factories.customer()
    buy(api, bonus=None, payment={"method": "test_refund_declined"})
    pay_back(api, "50")

    assert gateway_refunds.resolve_pending() == 1

    row = GatewayRefund.objects.get()
    assert (row.status, gateway_refunds.resolve_pending()) == ("FAILED", 0)
    (listed,) = api.get("/v1/wallets/refunds?status=FAILED").json()["data"]
    entry = Entry.objects.get(pk=listed["entry"])
    assert (entry.event, entry.document["declined"]) == ("REFUND", "50")
    assert actions.accounts() == {"1010": D(100), "2100": D(-50), "2200": D(-50)}
    assert verification.verify().ok
    ties = tie_outs.of_day(livemode=False, until=date(2099, 12, 31))
    assert [tie for tie in ties if not tie.holds] == []


def test_what_is_delayed_comes_with_the_clock(api: APIClient) -> None:
    book = factories.clocked_customer()
    buy(api, bonus=None, payment={"method": "test_refund_delayed"})
    pay_back(api, "50")
    assert gateway_work.ask() == 0

    factories.advance(book, factories.START + MINUTE)

    row = GatewayRefund.objects.get()
    assert (row.status, row.concluded_at) == ("SUCCEEDED", factories.START + MINUTE)


def test_what_was_paid_elsewhere_is_no_gateway_s_to_pay_back(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    buy(live_api, bonus=None, payment={"method": "card"})

    refund = pay_back(live_api, "50").json()

    assert refund["pay_outs"][0]["gateway_refund"] is None
    assert GatewayRefund.objects.count() == 0


class Unsteady(gateway.SandboxGateway):
    """A gateway without an answer about a refund the first two times."""

    def __init__(self) -> None:
        self.asked: list[UUID] = []

    def knows(self, method: str) -> bool:
        """Return whether it is its card."""
        return method == "card_1"

    def charge(self, charge: gateway.GatewayCharge, *, now: datetime) -> GatewayOutcome:
        """Return that every payment was taken."""
        return GatewayOutcome.SUCCEEDED

    def refund(self, refund: gateway.GatewayRefund, *, now: datetime) -> GatewayOutcome:
        """Pay back the third time."""
        self.asked.append(refund.id)
        if len(self.asked) == 1:
            raise GatewayUnreachable
        if len(self.asked) == 2:
            raise RuntimeError("It broke.")
        return GatewayOutcome.SUCCEEDED


UNSTEADY = Unsteady()


def test_without_an_answer_it_is_asked_again_under_the_same_key(
    live_api: APIClient, settings: Any
) -> None:
    settings.PAYMENT_GATEWAY = "tests.wallets.top_ups.test_gateway_refunds.UNSTEADY"
    UNSTEADY.asked.clear()
    factories.customer(livemode=True)
    buy(live_api, bonus=None, payment={"method": "card_1"})
    pay_back(live_api, "50")

    assert [gateway_refunds.resolve_pending() for _ in range(4)] == [0, 0, 1, 0]

    row = GatewayRefund.objects.get()
    assert (row.status, row.asked, UNSTEADY.asked) == ("SUCCEEDED", 2, [row.pk] * 3)
    assert row.ask_again_at is not None


def test_the_sweep_waits_longer_and_longer(live_api: APIClient, settings: Any) -> None:
    settings.PAYMENT_GATEWAY = "tests.wallets.top_ups.test_gateway_refunds.UNSTEADY"
    UNSTEADY.asked.clear()
    book = factories.customer(livemode=True)
    buy(live_api, bonus=None, payment={"method": "card_1"})
    pay_back(live_api, "50")
    now = GatewayRefund.objects.get().created_at
    assert gateway_work.books_to_ask(now=now) == [book.pk]

    gateway_work.ask(now=now)

    assert gateway_work.books_to_ask(now=now + MINUTE / 2) == []
    assert gateway_work.books_to_ask(now=now + 2 * MINUTE) == [book.pk]


@pytest.mark.parametrize("changes", [{"amount": D(49)}, {"status": "PENDING"}])
def test_what_was_paid_back_never_changes(api: APIClient, changes: dict[str, Any]) -> None:
    factories.customer()
    buy(api, bonus=None)
    pay_back(api, "50")
    gateway_refunds.resolve_pending()

    with pytest.raises(IntegrityError, match="keeps its facts"), transaction.atomic():
        GatewayRefund.objects.update(**changes)
    with pytest.raises(IntegrityError, match="is kept"), transaction.atomic():
        GatewayRefund.objects.all().delete()

    row = GatewayRefund.objects.get()
    assert (row.amount, row.status) == (50, "SUCCEEDED")
    assert TopUp.objects.get().refunded == 50
    assert posted(pay_back(api, "1")) == [("2100", "1010", D(1))]
