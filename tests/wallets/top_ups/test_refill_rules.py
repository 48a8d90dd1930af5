"""The rule of a refill as it is set, shown, refused and executed by name."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from billing.jobs import due_work, tasks
from pricing.models import TopUpRule
from tests import factories
from tests.wallets.top_ups.refills import URL, body, set_rule
from wallets.models import AutoRefill
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db


def test_a_disabled_rule_does_nothing(api: APIClient) -> None:
    book = factories.customer()

    answer = api.put(URL, body(enabled=False))

    assert (answer.status_code, answer.json()["enabled"]) == (200, False)
    assert refill.refill_if_low([book.pk]) == 0
    assert due_work.refill() == (0, [])


def test_the_rule_is_shown_as_it_was_set(api: APIClient) -> None:
    factories.customer()
    assert api.get(URL).status_code == 404

    put = api.put(URL, body(max_per_day=2, max_per_month=10)).json()

    assert api.get(URL).json() == put
    assert (put["threshold"], put["amount"], put["max_per_day"], put["max_per_month"]) == (
        "20",
        "50",
        2,
        10,
    )
    assert (put["enabled"], put["method"], put["failures"]) == (True, "test_ok", 0)
    api.put(URL, body(currency="EUR"))
    assert api.get(URL).json()["code"] == "currency_required"
    assert api.get(f"{URL}?currency=EUR").json()["currency"] == "EUR"
    assert api.put(URL, body()).json()["max_per_day"] is None


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"threshold": "-1"}, 422, "/threshold"),
        ({"threshold": None}, 422, "/threshold"),
        ({"amount": "0"}, 422, "/amount"),
        ({"amount": "5"}, 422, "/amount"),
        ({"max_per_day": 0}, 422, "/max_per_day"),
        ({"max_per_day": "many"}, 422, "/max_per_day"),
        ({"max_per_month": 10**12}, 422, "/max_per_month"),
        ({"max_amount_per_day": "49.99"}, 422, "/max_amount_per_day"),
        ({"max_amount_per_month": "0"}, 422, "/max_amount_per_month"),
        ({"min_interval": 0}, 422, "/min_interval"),
        ({"enabled": None}, 422, "/enabled"),
        ({"currency": "XXX"}, 422, "/currency"),
        ({"method": "gold"}, 422, "/method"),
        ({"loop": True}, 422, "/loop"),
    ],
)
def test_a_bad_rule_changes_nothing(
    api: APIClient, changes: dict[str, Any], status: int, pointer: str
) -> None:
    factories.customer()
    TopUpRule.objects.create(livemode=False, currency="USD", minimum=10)
    before = factories.everything()

    answer = api.put(URL, body(**changes))

    assert answer.status_code == status
    assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
    assert (AutoRefill.objects.count(), factories.everything()) == (0, before)


def test_live_refills_need_a_gateway(live_api: APIClient) -> None:
    factories.customer(livemode=True)

    answer = live_api.put(URL, body())

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_payment_method")
    assert AutoRefill.objects.count() == 0


def test_nobody_has_no_rule(api: APIClient) -> None:
    assert api.put("/v1/wallets/nobody/auto-refill", body()).status_code == 404
    assert api.get("/v1/wallets/nobody/auto-refill").status_code == 404


def test_the_command_refills_one_customer_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    factories.clocked_customer()
    factories.customer("cust_2")
    set_rule()
    set_rule(customer_id="cust_2")

    call_command("refill", "--customer", "cust_1")
    call_command("refill")
    call_command("refill")

    assert capsys.readouterr().out == "1 refills begun\n1 refills begun\n0 refills begun\n"
    with pytest.raises(CommandError, match="no customer nobody"):
        call_command("refill", "--customer", "nobody")


def test_a_worker_refills_by_ids_alone() -> None:
    book = factories.customer()
    set_rule()

    tasks.refill_books([book.pk])
    tasks.refill_books([book.pk])

    assert factories.available(book) == 50
