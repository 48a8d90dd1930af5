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
from billing.jobs import test_clocks
from ledger.models import Posting
from pricing.models import BonusSlab, OnAccount, TopUpRule
from tests import factories
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot, Operation, TopUp, Wallet
from wallets.top_ups import gateway, sales
from wallets.top_ups.gateway import GatewayCharge, GatewayOutcome, GatewayUnreachable

pytestmark = pytest.mark.django_db

URL = "/v1/wallets/top-ups"


def asked(**changes: Any) -> dict[str, Any]:
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    return {name: value for name, value in (body | changes).items() if value is not None}


def rule(**terms: Any) -> TopUpRule:
    """Sell dollars on terms; `slabs` are (from, bonus)."""
    slabs = terms.pop("slabs", [])
    made = TopUpRule.objects.create(**{"livemode": False, "currency": "USD"} | terms)
    for start, bonus in slabs:
        BonusSlab.objects.create(rule=made, from_amount=start, bonus=bonus)
    return made


def lots() -> list[tuple[str, Decimal, Decimal]]:
    found = CreditLot.objects.order_by("-kind")
    return [(lot.kind, lot.face, lot.carrying) for lot in found]


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

    assert sales.resolve_pending() == 1
    assert sales.resolve_pending() == 0

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
    settings.PAYMENT_GATEWAY = "tests.wallets.top_ups.test_top_ups.LIVE"
    book = factories.customer(livemode=True)

    card = live_api.post(URL, asked(payment={"method": "card_1"}))
    due_now = sales.resolve_pending()
    wire = live_api.post(URL, asked(payment={"method": "wire"}, idempotency_key="w"))

    assert (card.status_code, due_now, wire.status_code) == (202, 1, 201)
    assert sorted(TopUp.objects.values_list("channel", flat=True)) == ["GATEWAY", "MANUAL"]
    assert factories.available(book) == 200


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
