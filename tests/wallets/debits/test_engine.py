"""Debits against the database: who pays, who is refused, and what a key means."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.protocol.idempotency import Answer, KeyReused
from aforo.sandbox.models import TestClock
from ledger.models import Entry, Posting
from tests import factories
from wallets.debits import engine
from wallets.models import CreditLot, Wallet
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db


def test_the_answer_names_every_lot_that_paid() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    factories.grant("cust_1", "20", "BONUS")
    factories.grant("cust_1", "10", "PROMO")

    answer = factories.body(factories.debit("cust_1", "50"))

    assert [(a["kind"], a["amount"], a["balance_after"]) for a in answer["allocations"]] == [
        ("PROMO", "10", "0"),
        ("BONUS", "20", "0"),
        ("CASH", "20", "80"),
    ]
    assert answer["balance"] == {
        "available": "80",
        "held": "0",
        "by_kind": {"PROMO": "0", "BONUS": "0", "CASH": "80"},
    }
    assert answer["overage"] == "0"
    assert Entry.objects.get(pk=answer["entry"]).book == book


def test_a_bundle_releases_what_was_paid_for_it() -> None:
    """100 cash + 20 bonus for 100.00, and promo 10: a debit of 50 earns 16.67 + 16.67."""
    factories.customer()
    factories.grant("cust_1", "10", "PROMO")
    sales.top_up(
        livemode=False,
        customer_id="cust_1",
        key="bundle",
        amount=Decimal(100),
        currency="USD",
        bonus=sales.Bonus(amount=Decimal(20)),
    )

    answer = factories.body(factories.debit("cust_1", "50"))

    posted = Posting.objects.filter(entry=answer["entry"]).order_by("position")
    assert [(p.debit_id, p.credit_id, p.amount) for p in posted] == [
        ("2110", "4010", Decimal("16.666666666667")),
        ("2100", "4000", Decimal("16.666666666667")),
    ]
    left = sum(CreditLot.objects.values_list("carrying_remaining", flat=True), Decimal(0))
    assert left == Decimal("66.666666666666")


def test_a_refusal_changes_nothing_and_leaves_its_key_free() -> None:
    factories.customer()
    factories.top_up("cust_1", "30")
    before = factories.everything()

    refused = factories.refusal(factories.debit("cust_1", "31", "once"))

    assert (refused.status, refused.code) == (402, "insufficient_funds")
    assert (refused.extra["shortfall"], refused.extra["available"]) == ("1", "30")
    assert factories.everything() == before
    assert factories.body(factories.debit("cust_1", "30", "once"))["balance"]["available"] == "0"


def test_the_same_key_and_content_is_replayed_verbatim() -> None:
    factories.customer()
    factories.top_up("cust_1", "30")
    first = factories.debit("cust_1", "10", "k")
    before = factories.everything()

    again = factories.debit("cust_1", "10.000", "k")

    assert isinstance(first, Answer)
    assert isinstance(again, Answer)
    assert (again.replayed, again.body, again.status) == (True, first.body, first.status)
    assert factories.everything() == before


def test_the_same_key_with_other_content_names_the_field() -> None:
    factories.customer()
    factories.top_up("cust_1", "30")
    factories.debit("cust_1", "10", "k")
    before = factories.everything()

    refused = factories.refusal(factories.debit("cust_1", "11", "k"))

    assert isinstance(refused, KeyReused)
    assert [e.pointer for e in refused.errors] == ["/amount"]
    assert factories.everything() == before


def test_a_key_of_another_operation_is_refused() -> None:
    factories.customer()
    factories.top_up("cust_1", "30", name="k")

    refused = factories.refusal(factories.debit("cust_1", "10", "k"))

    assert refused.code == "key_reused"


def test_a_list_decides_each_request_alone_and_in_order() -> None:
    factories.customer()
    factories.customer("cust_2")
    factories.top_up("cust_1", "10")
    factories.top_up("cust_2", "5")

    def request(customer: str, key: str, amount: int) -> engine.DebitRequest:
        return engine.DebitRequest(customer_id=customer, key=key, amount=Decimal(amount))

    results = engine.execute(
        [
            request("cust_1", "a", 6),
            request("cust_1", "b", 6),
            request("cust_2", "a", 5),
            request("cust_1", "c", 4),
            request("cust_1", "a", 6),
            request("nobody", "a", 1),
        ],
        livemode=False,
    )

    seen = [
        ("replay" if result.replayed else "ok") if isinstance(result, Answer) else result.code
        for result in results
    ]
    assert seen == ["ok", "insufficient_funds", "ok", "ok", "replay", "unknown_customer"]


def test_postpaid_has_no_cash_step_and_runs_up_overage() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    factories.grant("cust_1", "10", "PROMO")
    Wallet.objects.filter(book=book).update(billing_mode="POSTPAID")

    answer = factories.body(factories.debit("cust_1", "50"))

    assert [(a["kind"], a["amount"]) for a in answer["allocations"]] == [("PROMO", "10")]
    assert answer["overage"] == "40"


def test_one_kind_is_strict_in_every_mode() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    factories.grant("cust_1", "10", "PROMO")
    Wallet.objects.filter(book=book).update(billing_mode="HYBRID")

    refused = factories.refusal(factories.debit("cust_1", "11", strategy="PROMO"))

    assert (refused.extra["shortfall"], refused.extra["available"]) == ("1", "10")


def test_overage_stops_at_its_limit() -> None:
    book = factories.customer()
    factories.top_up("cust_1", "1")
    Wallet.objects.filter(book=book).update(billing_mode="HYBRID", overage_limit=10)
    factories.body(factories.debit("cust_1", "7"))
    before = factories.everything()

    refused = factories.refusal(factories.debit("cust_1", "5"))

    assert (refused.status, refused.code) == (402, "overage_limit")
    assert factories.everything() == before
    assert factories.body(factories.debit("cust_1", "4"))["overage"] == "4"


@pytest.mark.parametrize(("state", "code"), [("SUSPENDED", "suspended"), ("PAUSED", "paused")])
def test_a_stopped_wallet_takes_no_debit(state: str, code: str) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "100")
    Wallet.objects.filter(book=book).update(spend_state=state)
    before = factories.everything()

    refused = factories.refusal(factories.debit("cust_1", "5"))

    assert (refused.status, refused.code) == (409, code)
    assert factories.everything() == before


def test_a_lot_cannot_be_spent_at_its_expiry_swept_or_not() -> None:
    book = factories.clocked_customer()
    end = factories.START + timedelta(days=14)
    factories.grant("cust_1", "10", "PROMO", expires_at=end)
    TestClock.objects.update(now=end - timedelta(microseconds=1))
    factories.body(factories.debit("cust_1", "4"))
    TestClock.objects.update(now=end)

    refused = factories.refusal(factories.debit("cust_1", "1"))

    assert refused.extra["available"] == "0"
    assert factories.available(book) == 6


def test_units_have_no_price() -> None:
    factories.customer()
    factories.metric()
    factories.grant_units("cust_1", "100")
    request = engine.DebitRequest(
        customer_id="cust_1", key="k", metric="tokens", quantity=Decimal(30)
    )

    (result,) = engine.execute([request], livemode=False)

    answer = factories.body(result)
    assert (answer["metric"], answer["quantity"]) == ("tokens", "30")
    assert answer["balance"]["available"] == "70"
    assert "currency" not in answer


def test_the_currency_may_be_left_out_where_there_is_one() -> None:
    factories.customer()
    assert factories.refusal(factories.debit("cust_1", "1")).code == "currency_required"
    factories.top_up("cust_1", "10")
    assert factories.body(factories.debit("cust_1", "1"))["currency"] == "USD"
    sales.top_up(livemode=False, customer_id="cust_1", key="eur", amount=Decimal(1), currency="EUR")

    refused = factories.refusal(factories.debit("cust_1", "2"))

    assert refused.code == "currency_required"
    in_euro = factories.debit("cust_1", "1", "e", currency="EUR")
    assert factories.body(in_euro)["currency"] == "EUR"


def test_the_number_of_statements_does_not_grow_with_the_history() -> None:
    factories.customer()
    factories.top_up("cust_1", "100")
    with CaptureQueriesContext(connection) as first:
        factories.body(factories.debit("cust_1", "1", "k0"))
    for n in range(1, 20):
        factories.body(factories.debit("cust_1", "1", f"k{n}"))
    with CaptureQueriesContext(connection) as last:
        factories.body(factories.debit("cust_1", "1", "k99"))

    assert len(last) == len(first)
