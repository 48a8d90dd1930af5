"""Reservations held for longer, or for more; found by their keys, captured in lists."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from ledger.models import Entry
from tests import factories
from tests.factories import START
from tests.wallets import actions
from tests.wallets.actions import capture, held, reserve, void
from tests.wallets.debits.test_reservations import customer_of_60
from wallets.debits import engine
from wallets.models import BudgetCounter, Reservation

pytestmark = pytest.mark.django_db

URL = "/v1/wallets/reservations"
DAY = 24 * 3600


def extend(reservation: str, amount: str | None = None, **terms: Any) -> engine.Result:
    asked = None if amount is None else Decimal(amount)
    key = terms.pop("name", "") or actions.fresh("extend")
    return actions.take(
        engine.ExtendRequest(reservation=UUID(reservation), key=key, amount=asked, **terms)
    )


class TestMore:
    def test_it_is_of_todays_lots_and_burns_after_what_was_held(self) -> None:
        """15 are of promo 10 and bonus 5; a promo that came since holds the 10 more."""
        book = customer_of_60()
        reserved = held("15")
        factories.grant("cust_1", "50", "PROMO")

        answer = factories.body(extend(reserved, "10"))

        names = ("id", "amount", "held", "captured", "status", "overage_expected")
        assert [answer[name] for name in names] == [reserved, "25", "25", "0", "HELD", "0"]
        parts = [("PROMO", "10"), ("BONUS", "5"), ("PROMO", "10")]
        assert actions.allocations(answer) == parts
        assert Entry.objects.filter(book=book).latest("sequence").event == "HOLD"
        assert actions.allocations(factories.body(capture(reserved, "20"))) == [
            *parts[:2], ("PROMO", "5"),
        ]  # fmt: skip
        assert actions.lots(book) == [
            ("PROMO", 0, 0), ("BONUS", 15, 0), ("CASH", 30, 0), ("PROMO", 45, 0),
        ]  # fmt: skip
        assert verification.verify().ok

    def test_twice_on_one_lot_it_is_captured_and_released_whole(self) -> None:
        book = factories.customer()
        factories.top_up("cust_1", "30")
        reserved = held("10")
        factories.body(extend(reserved, "10"))

        captured = factories.body(capture(reserved, "15", final=False))

        assert actions.allocations(captured) == [("CASH", "10"), ("CASH", "5")]
        assert captured["held"] == "5"
        assert actions.lots(book) == [("CASH", 15, 5)]
        assert factories.body(void(reserved))["released"] == "5"
        assert actions.lots(book) == [("CASH", 15, 0)]
        assert verification.verify().ok

    def test_what_is_not_there_leaves_it_as_it_was(self) -> None:
        customer_of_60()
        reserved = held("15")
        before = factories.everything()

        refused = factories.refusal(extend(reserved, "45.01", expires_in=DAY))

        assert (refused.status, refused.extra["shortfall"]) == (402, "0.01")
        assert factories.everything() == before

    def test_what_it_promises_counts_against_the_overage_limit(self) -> None:
        """60 there, 68 reserved: 8 of a limit of 10 are promised; 3 more are not, 2 are."""
        book = customer_of_60()
        actions.rules(book, billing_mode="HYBRID", overage_limit=10)
        reserved = held("68")
        before = factories.everything()

        refused = factories.refusal(extend(reserved, "3"))

        assert (refused.status, refused.code) == (402, "overage_limit")
        assert factories.everything() == before
        answer = factories.body(extend(reserved, "2"))
        assert (answer["overage_expected"], answer["held"]) == ("10", "60")
        assert factories.refusal(factories.debit("cust_1", "0.01")).code == "overage_limit"
        captured = factories.body(capture(reserved))
        assert (captured["amount"], captured["overage"]) == ("70", "10")

    def test_budgets_count_it_and_may_refuse_it(self) -> None:
        """15 of 20 are held: 6 more are refused, 5 more are not."""
        customer_of_60()
        factories.budget("team", "20")
        reserved = held("15", attributes={"team": "search"})
        before = factories.everything()

        refused = factories.refusal(extend(reserved, "6"))

        assert (refused.status, refused.code) == (402, "budget_exceeded")
        assert factories.everything() == before
        factories.body(extend(reserved, "5"))
        counter = BudgetCounter.objects.get()
        assert (counter.used, counter.held) == (0, 20)
        factories.body(capture(reserved))
        counter.refresh_from_db()
        assert (counter.used, counter.held) == (20, 0)
        assert verification.verify().ok

    def test_units(self) -> None:
        factories.customer()
        factories.metric()
        factories.grant_units("cust_1", "100")
        reserved = factories.body(actions.reserve_units("40"))["id"]
        before = factories.everything()

        wrong = factories.refusal(extend(reserved, "1"))

        assert [error.pointer for error in wrong.errors] == ["/amount"]
        assert factories.everything() == before
        answer = factories.body(extend(reserved, quantity=Decimal(60)))
        assert (answer["quantity"], answer["held"]) == ("100", "100")


class TestTime:
    @pytest.fixture(autouse=True)
    def book(self) -> Any:
        book = factories.clocked_customer()
        factories.top_up("cust_1", "30")
        return book

    def test_it_counts_from_the_call(self) -> None:
        reserved = held("10", expires_in=60)
        entries = Entry.objects.count()
        actions.set_clock(START + timedelta(seconds=30))

        answer = factories.body(extend(reserved, expires_in=60))

        assert answer["expires_at"] == "2026-01-01T00:01:30Z"
        assert Entry.objects.count() == entries
        actions.set_clock(START + timedelta(seconds=89))
        assert factories.body(capture(reserved))["amount"] == "10"

    def test_it_never_ends_sooner(self) -> None:
        reserved = held("10", expires_in=600)

        factories.body(extend(reserved, expires_in=60))

        assert Reservation.objects.get().expires_at == START + timedelta(seconds=600)

    def test_it_is_held_for_seven_days_at_most(self) -> None:
        reserved = held("10", expires_in=600)
        actions.set_clock(START + timedelta(seconds=1))
        before = factories.everything()

        refused = factories.refusal(extend(reserved, expires_in=7 * DAY))

        assert [(e.pointer, e.code) for e in refused.errors] == [("/expires_in", "held_too_long")]
        assert factories.everything() == before
        factories.body(extend(reserved, expires_in=7 * DAY - 1))
        assert Reservation.objects.get().expires_at == START + timedelta(days=7)

    def test_what_was_made_for_longer_stays_so(self) -> None:
        reserved = held("10", expires_in=30 * DAY)

        answer = factories.body(extend(reserved, "5", expires_in=60))

        assert answer["held"] == "15"
        assert Reservation.objects.get().expires_at == START + timedelta(days=30)

    @pytest.mark.parametrize(
        ("ended_by", "code"), [(capture, "reservation_closed"), (void, "reservation_closed")]
    )
    def test_what_is_closed_is_not_extended(self, ended_by: Any, code: str) -> None:
        reserved = held("10")
        factories.body(ended_by(reserved))
        before = factories.everything()

        refused = factories.refusal(extend(reserved, "1", expires_in=60))

        assert (refused.status, refused.code) == (409, code)
        assert factories.everything() == before

    def test_what_has_timed_out_is_not_extended_in_its_grace_either(self) -> None:
        reserved = held("10", expires_in=60, grace_seconds=600)
        actions.set_clock(START + timedelta(seconds=60))
        before = factories.everything()

        refused = factories.refusal(extend(reserved, expires_in=60))

        assert (refused.status, refused.code) == (409, "reservation_expired")
        assert factories.everything() == before

    def test_a_stopped_customer_gets_time_and_no_credits(self, book: Any) -> None:
        reserved = held("10", expires_in=60)
        actions.rules(book, spend_state="SUSPENDED")
        before = factories.everything()

        assert factories.refusal(extend(reserved, "1")).code == "suspended"
        assert factories.everything() == before
        assert factories.body(extend(reserved, expires_in=600))["held"] == "10"


class TestOverTheApi:
    def test_it_is_idempotent(self, api: APIClient) -> None:
        customer_of_60()
        path = f"{URL}/{held('15')}/extend"
        body = {"amount": "10", "expires_in": 1200, "idempotency_key": "e"}

        first, again = api.post(path, body), api.post(path, body | {"amount": 10})

        assert (first.status_code, first.json()["held"]) == (200, "25")
        assert again.content == first.content
        assert api.post(path, body | {"amount": 11}).json()["code"] == "key_reused"
        assert Reservation.objects.get().held == 25

    @pytest.mark.parametrize(
        ("body", "pointer", "code"),
        [
            ({}, "/expires_in", "required"),
            ({"expires_in": 0}, "/expires_in", "min_value"),
            ({"expires_in": 7 * DAY + 1}, "/expires_in", "max_value"),
            ({"amount": "0"}, "/amount", "not_positive"),
            ({"quantity": "1"}, "/quantity", "invalid"),
            ({"amount": "1", "grace_seconds": 5}, "/grace_seconds", "unknown_field"),
        ],
    )
    def test_bad_input(self, api: APIClient, body: dict[str, Any], pointer: str, code: str) -> None:
        customer_of_60()
        path = f"{URL}/{held('15')}/extend"
        before = factories.everything()

        refused = api.post(path, body | {"idempotency_key": "e"})

        assert refused.status_code == 422
        assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, code)]
        assert factories.everything() == before
        nobodys = api.post(f"{URL}/{uuid4()}/extend", {"expires_in": 5, "idempotency_key": "e"})
        assert (nobodys.status_code, nobodys.json()["code"]) == (404, "unknown_reservation")

    def test_it_is_found_by_its_key(self, api: APIClient) -> None:
        customer_of_60()
        factories.customer("cust_2")
        factories.top_up("cust_2", "5")
        mine, other = (
            factories.body(reserve("5", key=key, name="job-7"))["id"]
            for key in ("cust_1", "cust_2")
        )
        held("1")

        def found(**asked: str) -> set[str]:
            return {row["id"] for row in api.get(URL, asked).json()["data"]}

        assert found(idempotency_key="job-7") == {mine, other}
        assert found(idempotency_key="job-7", customer_id="cust_2") == {other}
        assert found(idempotency_key="job-7", customer_id="cust_2", status="VOIDED") == set()
        assert found(idempotency_key="job-8") == set()


class TestBatches:
    path = "/v1/wallets/captures/batch"

    def test_each_succeeds_or_fails_alone(self, api: APIClient) -> None:
        book = customer_of_60()
        first, second = held("10"), held("10")
        captures = [
            {"reservation": first, "amount": "4", "final": False, "idempotency_key": "c1"},
            {"reservation": second, "amount": "61", "idempotency_key": "c2"},
            {"reservation": str(uuid4()), "idempotency_key": "c3"},
            {"reservation": first, "amount": "6", "idempotency_key": "c4"},
            {"reservation": first, "amount": "1", "idempotency_key": "c5"},
            {"reservation": second, "amount": "1"},
            {"reservation": "x", "idempotency_key": "c6"},
            {"reservation": first, "amount": "4", "final": False, "idempotency_key": "c1"},
        ]

        results = api.post(self.path, {"captures": captures}).json()["results"]

        assert [(each["status"], each.get("code")) for each in results] == [
            (200, None), (402, "insufficient_funds"), (404, "unknown_reservation"), (200, None),
            (409, "reservation_closed"), (422, "idempotency_key_required"),
            (422, "invalid"), (200, None),
        ]  # fmt: skip
        assert results[7] == results[0] | {"replayed": True}
        assert [results[n]["reservation_status"] for n in (0, 3)] == ["HELD", "CAPTURED"]
        assert actions.lots(book) == [("PROMO", 0, 0), ("BONUS", 20, 10), ("CASH", 30, 0)]
        assert verification.verify().ok

    @pytest.mark.parametrize(("count", "status"), [(0, 422), (1_001, 413)])
    def test_how_many(self, api: APIClient, count: int, status: int) -> None:
        captures = [{"reservation": str(uuid4()), "idempotency_key": f"c{n}"} for n in range(count)]

        assert api.post(self.path, {"captures": captures}).status_code == status
