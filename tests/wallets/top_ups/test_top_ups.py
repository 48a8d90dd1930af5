"""Credits bought: terms and slabs, the gateway's two transactions, kills, declines and delays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from ledger.models import Posting
from pricing.models import OnAccount
from tests import factories
from tests.wallets.top_ups.top_up_requests import URL, asked, lots, rule
from wallets.models import CreditLot, Operation, TopUp

pytestmark = pytest.mark.django_db


def test_pay_100_get_20_more_carries_83_33_and_16_67(api: APIClient) -> None:
    factories.customer()
    rule(slabs=[(50, 5), (100, 20), (500, 150)])

    answer = api.post(URL, asked())

    assert answer.status_code == 201
    assert [(lot["kind"], lot["granted"]) for lot in answer.json()["lots"]] == [
        ("CASH", "100"),
        ("BONUS", "20"),
    ]
    assert lots() == [
        ("CASH", Decimal(100), Decimal("83.333333333333")),
        ("BONUS", Decimal(20), Decimal("16.666666666667")),
    ]
    posted = Posting.objects.order_by("credit_id").values_list("debit_id", "credit_id", "amount")
    assert list(posted) == [
        ("1010", "2100", Decimal("83.333333333333")),
        ("1010", "2110", Decimal("16.666666666667")),
    ]
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("amount", "asked_for", "bonus"),
    [
        ("49.99", None, None),
        ("50", None, 5),
        ("99.99", None, 5),
        ("700", None, 150),
        ("100", {"amount": "1"}, 1),
        ("100", {"metric": "tokens", "quantity": "9", "ssp_unit_price": "0.1"}, 9),
    ],
)
def test_the_highest_slab_reached_counts_and_what_was_asked_for_goes_before(
    api: APIClient, amount: str, asked_for: Any, bonus: int | None
) -> None:
    factories.customer()
    factories.metric()
    rule(slabs=[(50, 5), (100, 20), (500, 150)])

    api.post(URL, asked(amount=amount, bonus=asked_for))

    given = CreditLot.objects.filter(kind="BONUS").values_list("face", flat=True)
    assert list(given) == ([] if bonus is None else [bonus])


@pytest.mark.parametrize(
    "changes", [{}, {"bonus": {"amount": "7.5"}}, {"payment": {"method": "test_delayed"}}]
)
@pytest.mark.parametrize(
    ("amount", "currency"),
    [("100.5", "JPY"), ("0.001", "USD"), ("100.005", "EUR"), ("10.0005", "KWD")],
)
def test_what_cannot_be_paid_is_not_sold(
    api: APIClient, amount: str, currency: str, changes: dict[str, Any]
) -> None:
    factories.customer()
    before = factories.everything()

    answer = api.post(URL, asked(amount=amount, currency=currency, **changes))

    assert (answer.status_code, answer.json()["code"]) == (422, "not_payable")
    assert answer.json()["errors"][0]["pointer"] == "/amount"
    assert factories.everything() == before


@pytest.mark.parametrize("payment", [None, {"method": "cash"}])
def test_in_live_mode_neither(live_api: APIClient, payment: dict[str, str] | None) -> None:
    factories.customer(livemode=True)
    before = factories.everything()

    answer = live_api.post(URL, asked(amount="0.001", payment=payment))

    assert (answer.status_code, answer.json()["code"]) == (422, "not_payable")
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("amount", "currency"), [("100", "JPY"), ("0.01", "USD"), ("0.001", "KWD")]
)
def test_the_smallest_that_can_be_paid_is_sold(api: APIClient, amount: str, currency: str) -> None:
    factories.customer()

    assert api.post(URL, asked(amount=amount, currency=currency)).status_code == 201


@pytest.mark.parametrize(
    ("amount", "currency"), [("100.5", "JPY"), ("0.001", "USD"), ("1.0005", "KWD")]
)
def test_the_database_takes_no_payment_that_cannot_be_paid(amount: str, currency: str) -> None:
    book = factories.customer()
    bought = TopUp(
        book=book, currency=currency, amount=Decimal(amount), channel="MANUAL", status="PENDING",
        created_at=factories.START,
    )  # fmt: skip

    with pytest.raises(IntegrityError, match="wallets_topup_payable"), transaction.atomic():
        bought.save(force_insert=True)


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        ("9.99", 422, "below_minimum"),
        ("10", 201, ""),
        ("500", 201, ""),
        ("500.01", 422, "above_maximum"),
    ],
)
def test_both_bounds_may_be_bought(api: APIClient, amount: str, status: int, code: str) -> None:
    factories.customer()
    rule(minimum=10, maximum=500)
    before = factories.everything()

    answer = api.post(URL, asked(amount=amount))

    assert (answer.status_code, answer.json().get("code", "")) == (status, code)
    if status == 422:
        assert answer.json()["errors"][0]["pointer"] == "/amount"
        assert factories.everything() == before
        assert TopUp.objects.count() == 0


def test_bought_credits_live_as_long_as_the_terms_say_unless_asked_otherwise(
    api: APIClient,
) -> None:
    book = factories.clocked_customer()
    rule(expires_after_days=30)
    later = datetime(2026, 6, 1, tzinfo=UTC)

    api.post(URL, asked())
    api.post(URL, asked(idempotency_key="u", expires_at=later.isoformat()))

    found = CreditLot.objects.filter(book=book).order_by("granted_at", "id")
    assert [lot.expires_at for lot in found] == [factories.START + timedelta(days=30), later]


def test_a_replay_outlives_a_change_of_terms(api: APIClient) -> None:
    factories.customer()
    first = api.post(URL, asked())
    rule(minimum=1_000)
    before = factories.everything()

    again = api.post(URL, asked(amount="100.00"))

    assert (again.status_code, again.content) == (201, first.content)
    assert again["Idempotency-Replayed"] == "true"
    assert factories.everything() == before


def test_top_ups_are_listed_and_shown(api: APIClient, live_api: APIClient) -> None:
    factories.customer()
    factories.customer("cust_2")
    factories.top_up("cust_2", "5")
    made = api.post(URL, asked(bonus={"amount": "20"})).json()

    listed = api.get(f"{URL}?customer_id=cust_1").json()
    shown = api.get(f"{URL}/{made['id']}").json()

    assert [row["id"] for row in listed["data"]] == [made["id"]]
    assert listed["next"] is None
    assert (shown["status"], shown["channel"], shown["method"]) == (
        "SUCCEEDED",
        "GATEWAY",
        "test_ok",
    )
    assert shown["bonus"] == {"amount": "20"}
    assert [lot["kind"] for lot in shown["lots"]] == ["CASH", "BONUS"]
    assert live_api.get(f"{URL}/{made['id']}").status_code == 404
    assert live_api.get(URL).json()["data"] == []


def test_a_top_up_is_told_of_in_its_transaction(api: APIClient) -> None:
    factories.customer()
    api.post(URL, asked())
    api.post(URL, asked(idempotency_key="u", payment={"method": "test_declined"}))

    (event,) = OutboxEvent.objects.all()

    assert (event.type, event.customer_id, event.delivered_at) == (
        "wallet.topped_up",
        "cust_1",
        None,
    )
    assert (event.payload["amount"], event.payload["automatic"]) == ("100", False)


def test_live_money_taken_elsewhere_is_delivered_at_once(live_api: APIClient) -> None:
    book = factories.customer(livemode=True)

    answer = live_api.post(URL, asked(payment={"method": "wire"}))

    assert answer.status_code == 201
    assert TopUp.objects.get().channel == "MANUAL"
    assert factories.available(book) == 100


@pytest.mark.parametrize(
    ("changes", "status", "code", "pointer"),
    [
        ({"amount": "0"}, 422, "not_positive", "/amount"),
        ({"amount": None}, 422, "required", "/amount"),
        ({"currency": None}, 422, "required", "/currency"),
        ({"currency": "XXX"}, 422, "unknown_currency", "/currency"),
        ({"payment": {"method": "gold"}}, 422, "unknown_payment_method", "/payment/method"),
        ({"payment": {}}, 422, "required", "/payment/method"),
        ({"payment": "test_ok"}, 422, "invalid", "/payment"),
        ({"bonus": {"amount": "0"}}, 422, "not_positive", "/bonus/amount"),
        ({"bonus": {"amount": "1", "currency": "EUR"}}, 422, "invalid", "/bonus/currency"),
        (
            {"bonus": {"metric": "tokens", "quantity": "1", "ssp_unit_price": "0"}},
            422,
            "not_positive",
            "/bonus/ssp_unit_price",
        ),
        ({"bonus": {"metric": "no", "quantity": "1"}}, 422, "unknown_metric", "/metric"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "in_the_past", "/expires_at"),
        ({"expires_at": "soon"}, 422, "invalid", "/expires_at"),
        ({"customer_id": "nobody"}, 404, "unknown_customer", None),
        ({"idempotency_key": None}, 422, "idempotency_key_required", "/idempotency_key"),
        ({"tip": "1"}, 422, "unknown_field", "/tip"),
    ],
)
def test_a_bad_top_up_changes_nothing(
    api: APIClient, changes: dict[str, Any], status: int, code: str, pointer: str | None
) -> None:
    factories.customer()
    before = factories.everything()

    answer = api.post(URL, asked(**changes))

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [e["pointer"] for e in answer.json().get("errors", [])] == ([pointer] if pointer else [])
    assert factories.everything() == before
    assert TopUp.objects.count() == 0


def test_on_account_can_be_refused_by_the_terms(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    rule(livemode=True, on_account=OnAccount.REFUSED)

    answer = live_api.post(URL, asked())

    assert (answer.status_code, answer.json()["code"]) == (422, "payment_required")
    assert TopUp.objects.count() == 0


def test_an_answer_is_stored_as_it_was_sent(api: APIClient) -> None:
    factories.customer()
    sent = api.post(URL, asked())

    kept = Operation.objects.get()

    assert json.loads(kept.body) == sent.json()
    assert (kept.pk, kept.status) == (TopUp.objects.get().pk, 201)
