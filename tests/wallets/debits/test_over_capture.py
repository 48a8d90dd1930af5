"""Captures beyond their holds under each policy; by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import reports, verification
from billing.models import Claim, SubscriptionStatus
from ledger.models import Book, Entry, LedgerEvent
from tests import factories
from tests.wallets import actions
from tests.wallets.actions import capture, held, reserve
from wallets.debits import reversals
from wallets.models import Debit, Wallet

pytestmark = pytest.mark.django_db

# A call estimated at 10.00 that cost 43.90, of a customer with 30.00: 13.90 is not there.
ESTIMATE, COST = "10", "43.90"


def customer_of_30(**rules: Any) -> Book:
    book = factories.customer()
    factories.top_up("cust_1", "30")
    actions.rules(book, **rules)
    return book


def notices() -> list[dict[str, Any]]:
    found = OutboxEvent.objects.filter(type="reservation.uncovered").order_by("pk")
    return [event.payload for event in found]


class TestFourTimesTheEstimate:
    def test_refuse_takes_nothing(self) -> None:
        customer_of_30()
        reserved = held(ESTIMATE)
        before = factories.everything()

        refused = factories.refusal(capture(reserved, COST))

        assert (refused.status, refused.code) == (402, "insufficient_funds")
        assert {"shortfall": "13.9", "available": "20"}.items() <= refused.extra.items()
        assert factories.everything() == before
        assert factories.body(capture(reserved, "30"))["amount"] == "30"

    def test_available_takes_what_is_there(self) -> None:
        book = customer_of_30()
        reserved = held(ESTIMATE, over_capture="AVAILABLE")

        answer = factories.body(capture(reserved, COST))

        assert actions.allocations(answer) == [("CASH", "10"), ("CASH", "20")]
        names = ("amount", "overage", "uncovered", "status", "held")
        assert [answer[name] for name in names] == ["43.9", "0", "13.9", "CAPTURED", "0"]
        assert "debt" not in answer
        assert actions.lots(book) == [("CASH", 0, 0)]
        entry = Entry.objects.get(pk=answer["entry"])
        assert (entry.event, entry.document["uncovered"]) == (LedgerEvent.CAPTURE, "13.9")
        assert actions.accounts() == {"1010": 30, "4000": -30}
        assert notices() == [
            {
                "customer_id": "cust_1", "reservation": reserved, "debit": answer["id"],
                "currency": "USD", "captured": "43.9", "uncovered": "13.9", "debt": "0",
            }
        ]  # fmt: skip
        factories.top_up("cust_1", "50")
        assert factories.available(book) == 50
        assert verification.verify().ok

    def test_debt_is_paid_by_the_next_credits(self) -> None:
        book = customer_of_30(debt_limit=Decimal("13.90"))
        Wallet.objects.filter(book=book).update(own_debt_limit=Decimal("13.90"))
        reserved = held(ESTIMATE, over_capture="DEBT")

        answer = factories.body(capture(reserved, COST))

        assert actions.allocations(answer) == [("CASH", "10"), ("CASH", "20")]
        assert (answer["amount"], answer["debt"]) == ("43.9", "13.9")
        assert "uncovered" not in answer
        assert actions.accounts() == {"1010": 30, "4000": -30}
        claim = Claim.objects.get()
        assert (claim.amount, claim.paid, str(claim.debit_id)) == (
            Decimal("13.9"), 0, answer["id"],
        )  # fmt: skip
        assert notices()[0]["debt"] == "13.9"
        assert factories.refusal(factories.debit("cust_1", "1")).code == "suspended"

        factories.top_up("cust_1", "20")

        assert factories.available(book) == Decimal("6.10")
        assert actions.accounts() == {
            "1010": 50, "2100": Decimal("-6.10"), "4000": Decimal("-43.90"),
        }  # fmt: skip
        claim.refresh_from_db()
        assert claim.paid == claim.amount
        assert factories.body(factories.debit("cust_1", "1"))["amount"] == "1"
        assert verification.verify().ok

    @pytest.mark.parametrize("limit", [None, Decimal("13.89")])
    def test_debt_is_bounded(self, limit: Decimal | None) -> None:
        customer_of_30(debt_limit=limit)
        reserved = held(ESTIMATE, over_capture="DEBT")
        before = factories.everything()

        refused = factories.refusal(capture(reserved, COST))

        assert (refused.status, refused.code) == (402, "debt_limit")
        assert (refused.extra["shortfall"], refused.extra["owed"]) == ("13.9", "0")
        assert refused.extra["debt_limit"] == ("13.89" if limit else "0")
        assert factories.everything() == before


def test_the_report_has_a_line_of_each() -> None:
    """13.90 of 43.90 nobody pays; of another, 5.00 of 15.00 are owed."""
    book = customer_of_30(debt_limit=5)
    Wallet.objects.update(own_debt_limit=5)
    lost = factories.body(capture(held(ESTIMATE, over_capture="AVAILABLE"), COST))
    factories.top_up("cust_1", "10")
    owed = factories.body(capture(held(ESTIMATE, over_capture="DEBT"), "15"))
    factories.top_up("cust_1", "20")
    factories.body(capture(held("1"), "2"))
    asked = reports.scope_of(livemode=False, now=timezone.now())

    with transaction.atomic():
        rows = list(reports.find("uncovered").make(asked).rows)

    names = ("customer_id", "debit", "captured", "uncovered", "debt")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (book.key, lost["id"], Decimal("43.9"), Decimal("13.9"), 0),
        (book.key, owed["id"], 15, 0, 5),
    ]


class TestOverageFirst:
    """HYBRID with a limit of 10: of 13.90, 10 is overage."""

    def test_then_the_rest_stays_uncovered(self) -> None:
        customer_of_30(billing_mode="HYBRID", overage_limit=10)
        reserved = held(ESTIMATE, over_capture="AVAILABLE")

        answer = factories.body(capture(reserved, COST))

        assert (answer["overage"], answer["uncovered"]) == ("10", "3.9")
        debit = Debit.objects.get()
        assert (debit.overage, debit.uncovered, debit.debt) == (10, Decimal("3.9"), 0)
        assert verification.verify().ok

    def test_without_a_limit_nothing_does(self) -> None:
        customer_of_30(billing_mode="HYBRID")
        reserved = held(ESTIMATE, over_capture="AVAILABLE")

        answer = factories.body(capture(reserved, COST))

        assert answer["overage"] == "13.9"
        assert "uncovered" not in answer
        assert notices() == []

    def test_one_kind_alone_has_no_overage(self) -> None:
        customer_of_30(billing_mode="HYBRID")
        reserved = held(ESTIMATE, strategy="CASH", over_capture="AVAILABLE")

        answer = factories.body(capture(reserved, COST))

        assert (answer["overage"], answer["uncovered"]) == ("0", "13.9")


class TestDebts:
    def test_what_is_owed_counts(self) -> None:
        """Limit 30; 5 is owed, 26 more are refused and 25 are not, though it is suspended."""
        customer_of_30(debt_limit=30)
        Wallet.objects.update(own_debt_limit=30)
        first, second = (held("10", over_capture="DEBT") for _ in range(2))
        assert factories.body(capture(first, "25"))["debt"] == "5"
        before = factories.everything()

        refused = factories.refusal(capture(second, "36"))

        assert (refused.code, refused.extra["owed"]) == ("debt_limit", "5")
        assert factories.everything() == before
        assert factories.body(capture(second, "35"))["debt"] == "25"

    def test_it_suspends_the_subscription_until_it_is_paid(self) -> None:
        book = factories.subscribed(
            "PREPAID", money="30", over_capture="DEBT", grace_seconds=60, debt_limit=Decimal(5)
        )
        reserved = factories.body(reserve(ESTIMATE))
        assert (reserved["over_capture"], reserved["grace_seconds"]) == ("DEBT", 60)

        assert factories.body(capture(reserved["id"], "35"))["debt"] == "5"

        subscription = book.customer.subscriptions.get()
        assert subscription.status == SubscriptionStatus.SUSPENDED
        factories.grant("cust_1", "8")
        subscription.refresh_from_db()
        assert subscription.status == SubscriptionStatus.ACTIVE
        assert factories.available(book) == 3

    def test_a_reversal_forgives_what_is_owed_first(self) -> None:
        """43.90 with 13.90 owed: of 20 back, 13.90 is no longer owed and 6.10 returns."""
        book = customer_of_30(debt_limit=20)
        Wallet.objects.update(own_debt_limit=20)
        debit = factories.body(capture(held(ESTIMATE, over_capture="DEBT"), COST))["id"]

        answer = factories.body(
            reversals.reverse(
                livemode=False, debit_id=debit, key="r", reason="test", amount=Decimal(20)
            )
        )

        assert (answer["debt"], answer["reversed"]) == ("13.9", "20")
        assert not Claim.objects.exists()
        assert factories.available(book) == Decimal("6.1")
        assert factories.body(factories.debit("cust_1", "1"))["amount"] == "1"
        rest = factories.body(
            reversals.reverse(livemode=False, debit_id=debit, key="r2", reason="test")
        )
        assert (rest["amount"], factories.available(book)) == ("23.9", 29)
        assert verification.verify().ok

    def test_what_was_paid_of_it_stays_and_so_does_what_was_never_covered(self) -> None:
        customer_of_30(debt_limit=20)
        Wallet.objects.update(own_debt_limit=20)
        owed = factories.body(capture(held(ESTIMATE, over_capture="DEBT"), COST))["id"]
        factories.top_up("cust_1", "20")
        lost = factories.body(capture(held("1", over_capture="AVAILABLE"), "10"))["id"]

        back = [
            factories.body(
                reversals.reverse(livemode=False, debit_id=debit, key=debit, reason="test")
            )["amount"]
            for debit in (owed, lost)
        ]

        assert back == ["30", "6.1"]


class TestTerms:
    def test_units_are_refused_only(self) -> None:
        factories.customer()
        factories.metric()
        factories.grant_units("cust_1", "100")
        before = factories.everything()

        for policy in ("AVAILABLE", "DEBT"):
            refused = factories.refusal(actions.reserve_units("40", over_capture=policy))
            assert [(e.pointer, e.code) for e in refused.errors] == [
                ("/over_capture", "units_refuse")
            ]
        assert factories.everything() == before
        kept = factories.body(actions.reserve_units("40", over_capture="REFUSE", grace_seconds=5))
        assert (kept["over_capture"], kept["grace_seconds"]) == ("REFUSE", 5)

    @pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
    def test_debt_is_for_prepaid(self, mode: str) -> None:
        customer_of_30(billing_mode=mode)
        before = factories.everything()

        refused = factories.refusal(reserve(ESTIMATE, over_capture="DEBT"))

        assert [(e.pointer, e.code) for e in refused.errors] == [("/over_capture", "prepaid_only")]
        assert factories.everything() == before

    def test_they_are_the_offerings_unless_named_and_never_change(self, api: APIClient) -> None:
        factories.subscribed("PREPAID", money="30", over_capture="AVAILABLE", grace_seconds=60)

        plain = factories.body(reserve("1"))
        own = factories.body(reserve("1", over_capture="REFUSE", grace_seconds=0))

        assert [(r["over_capture"], r["grace_seconds"]) for r in (plain, own)] == [
            ("AVAILABLE", 60), ("REFUSE", 0),
        ]  # fmt: skip
        shown = api.get(f"/v1/wallets/reservations/{plain['id']}").json()
        names = ("over_capture", "grace_seconds", "uncovered", "debt")
        assert [shown[name] for name in names] == ["AVAILABLE", 60, "0", "0"]
        for change in ("over_capture = 'DEBT'", "grace_seconds = 5"):
            with (
                pytest.raises(IntegrityError, match="never changes"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f"UPDATE wallets_reservation SET {change}")

    def test_without_a_subscription_it_refuses_and_has_no_grace(self) -> None:
        customer_of_30()

        made = factories.body(reserve(ESTIMATE))

        assert (made["over_capture"], made["grace_seconds"]) == ("REFUSE", 0)

    @pytest.mark.parametrize(
        ("terms", "pointer", "code"),
        [
            ({"over_capture": "DEBT", "billing_mode": "HYBRID"}, "/over_capture", "prepaid_only"),
            ({"grace_seconds": 86_401}, "/grace_seconds", "max_value"),
            ({"debt_limit": "-1"}, "/debt_limit", "negative"),
        ],
    )
    def test_an_offering_has_sound_ones(
        self, api: APIClient, terms: dict[str, Any], pointer: str, code: str
    ) -> None:
        factories.offering("other")
        body = {
            "code": "mine", "name": "Mine", "rate_plan": "plan_other", "billing_mode": "PREPAID",
            "interval": "MONTH",
        }  # fmt: skip
        before = factories.everything()

        refused = api.post("/v1/offerings", body | terms).json()

        assert [(e["pointer"], e["code"]) for e in refused["errors"]] == [(pointer, code)]
        assert factories.everything() == before
        sound = {"over_capture": "DEBT", "grace_seconds": 86_400, "debt_limit": "50"}
        made = api.post("/v1/offerings", body | sound).json()
        assert {name: made[name] for name in sound} == sound
