"""Reserved usage is one object with one id, and is honoured whatever became of the subscription.

A token costs .002; 5,000 reserved are 2,000 units and 3,000 x .002 = 6.00, unless said otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import CycleBurn, Settlement, Subscription, UsageEvent
from tests import factories
from tests.billing.realtime.usage_captures import (
    DAY,
    MINUTE,
    STOPS,
    funded,
    nothing_is_held,
    resume,
    stop,
    there,
)
from tests.billing.realtime.usage_requests import capture, reserve
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed
from wallets.debits import engine
from wallets.models import CreditLot, Debit

pytestmark = pytest.mark.django_db


class TestHonoured:
    @pytest.mark.parametrize("how", STOPS)
    @pytest.mark.parametrize("later", [timedelta(0), 5 * MINUTE])
    def test_after_the_subscription_stopped(
        self, api: APIClient, how: str, later: timedelta
    ) -> None:
        book = funded()
        advance(book, START + DAY)
        held = reserve(api, 5_000).json()
        stop(how)
        if later:
            advance(book, START + DAY + later)

        answer = capture(api, held["id"])

        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert (body["amount"], body["overage"], body["status"]) == ("6", "0", "CAPTURED")
        assert [(a["kind"], a["amount"]) for a in body["allocations"]] == [
            ("PROMO", "2000"), ("CASH", "6"),
        ]  # fmt: skip
        assert body["balance"] == there(api)
        assert body["balance"]["available"] == "4"
        assert capture(api, held["id"]).content == answer.content
        assert capture(api, held["id"], "c2").json()["code"] == "reservation_closed"
        assert nothing_is_held()
        assert factories.posted("4000") == -6
        assert verification.verify().ok

    @pytest.mark.parametrize("how", STOPS)
    def test_less_than_was_reserved(self, api: APIClient, how: str) -> None:
        """2,500 of 5,000: the 2,000 units, and 500 of the 3,000 that cost 6.00."""
        funded()
        held = reserve(api, 5_000).json()
        stop(how)

        body = capture(api, held["id"], quantity=2_500).json()

        assert (body["amount"], body["balance"]["available"]) == ("1", "9")
        assert nothing_is_held()
        assert verification.verify().ok

    def test_in_parts_of_which_one_was_before(self, api: APIClient) -> None:
        """1,000 units before the pause; then 1,000 units and 1,000 of 3,000; then the rest."""
        funded()
        held = reserve(api, 5_000).json()["id"]
        capture(api, held, "c1", quantity=1_000, final=False)
        stop("pause")

        parts = [
            capture(api, held, f"c{n}", final=False, **asked).json()
            for n, asked in ((2, {"quantity": 2_000}), (3, {}))
        ]

        names = ("amount", "captured", "held", "held_units", "status")
        assert [[part[name] for name in names] for part in parts] == [
            ["2", "3000", "4", "0", "HELD"],
            ["4", "5000", "0", "0", "HELD"],
        ]
        assert capture(api, held, "c4").json()["errors"][0]["code"] == "nothing_left"
        assert verification.verify().ok

    @pytest.mark.parametrize("how", STOPS)
    def test_beyond_what_was_reserved_is_new_usage(self, api: APIClient, how: str) -> None:
        funded()
        held = reserve(api, 2_500).json()
        stop(how)
        before = factories.everything()

        refused = capture(api, held["id"], quantity=2_501, allow_more=True)

        code = {"pause": "paused", "cancel": "no_subscription"}[how]
        assert (refused.status_code, refused.json()["code"]) == (409, code)
        assert factories.everything() == before
        assert capture(api, held["id"], "c2").status_code == 200

    @pytest.mark.parametrize("how", STOPS)
    def test_void_and_time_release_it(self, api: APIClient, how: str) -> None:
        book = funded()
        first = reserve(api, 3_000, "r1").json()["id"]
        second = reserve(api, 500, "r2", expires_in=60).json()["id"]
        stop(how)

        void = api.post(f"/v1/usage/reservations/{first}/void", {"idempotency_key": "v"})
        advance(book, START + MINUTE)

        assert (void.json()["released"], void.json()["released_units"]) == ("2", "2000")
        assert there(api)["available"] == "10"
        assert nothing_is_held()
        status = api.get(f"/v1/usage/reservations/{second}").json()["status"]
        assert status == "EXPIRED"
        assert capture(api, second, "c").json()["code"] == "reservation_expired"

    def test_after_a_resume_it_is_not_billed_again(self, api: APIClient) -> None:
        """Of 20.00, 6.00 are sold in the pause; the cycle that goes on has used nothing."""
        book = funded(money="20")
        held = reserve(api, 5_000).json()["id"]
        stop("pause")
        capture(api, held)
        advance(book, START + MINUTE)
        resume()
        advance(book, MARCH)

        assert there(api)["available"] == "14"
        assert UsageEvent.objects.get().counted_at is None
        assert not CycleBurn.objects.filter(quantity__gt=0).exists()
        assert [s.arrears for s in Settlement.objects.all()].count(Decimal(0)) >= 2
        assert verification.verify().ok

    def test_after_a_resume_it_belongs_to_the_cycle_that_runs(self, api: APIClient) -> None:
        book = funded()
        advance(book, START + DAY)
        held = reserve(api, 5_000).json()["id"]
        stop("pause")
        advance(book, START + DAY + MINUTE)
        resume()

        body = capture(api, held).json()

        assert body["amount"] == "6"
        assert UsageEvent.objects.get().counted_at == START + DAY + MINUTE
        assert verification.verify().ok

    @pytest.mark.parametrize("how", STOPS)
    def test_what_it_was_to_overrun_is_overage(self, api: APIClient, how: str) -> None:
        """HYBRID, 2,000 units and 1.00 there: 5.00 of 6.00 are promised, and become overage."""
        funded("HYBRID", money="1", overage_limit=Decimal(5))
        held = reserve(api, 5_000).json()
        assert held["overage_expected"] == "5"
        stop(how)

        body = capture(api, held["id"]).json()

        assert (body["amount"], body["overage"]) == ("6", "5")
        debit = Debit.objects.get(overage__gt=0)
        assert (debit.quantity, debit.overage, str(debit.reservation)) == (6, 5, held["id"])
        assert verification.verify().ok

    def test_what_it_cost_nothing_costs_nothing(self, api: APIClient) -> None:
        """1,000 tokens are included: reserved in the cycle, captured in the pause, for 0."""
        charge = {
            "code": "tokens", "model": "PER_UNIT", "metric": "tokens",
            "terms": {"unit_price": "0.002", "included_quantity": "1000"},
        }  # fmt: skip
        subscribed("PREPAID", charges=[charge])
        factories.top_up("cust_1", "10")
        held = reserve(api, 1_000).json()
        assert (held["amount"], held["held"]) == ("0", "0")
        stop("pause")

        body = capture(api, held["id"]).json()

        assert (body["amount"], body["entry"]) == ("0", None)
        assert there(api)["available"] == "10"
        assert verification.verify().ok

    @pytest.mark.parametrize("how", STOPS)
    def test_what_came_since_pays_before_overage(self, api: APIClient, how: str) -> None:
        """5.00 were promised; a top-up of 3.00 pays of them, and 2.00 are overage."""
        funded("HYBRID", money="1")
        held = reserve(api, 5_000).json()
        stop(how)
        factories.top_up("cust_1", "3")

        body = capture(api, held["id"]).json()

        assert [a["amount"] for a in body["allocations"]] == ["2000", "1", "3"]
        assert (body["overage"], body["balance"]["available"]) == ("2", "0")
        assert verification.verify().ok

    def test_it_can_be_taken_back(self, api: APIClient) -> None:
        funded()
        held = reserve(api, 5_000).json()["id"]
        stop("cancel")
        capture(api, held)
        debit = Debit.objects.get(wallet__isnull=False)

        path = f"/v1/wallets/debits/{debit.pk}/reverse"
        back = api.post(path, {"reason": "x", "idempotency_key": "b"})

        assert back.status_code == 200, back.content
        assert there(api)["available"] == "10"
        assert verification.verify().ok


class TestAfterwards:
    def test_what_is_released_pays_arrears_before_the_answer(self, api: APIClient) -> None:
        """10.00 held, 8.00 fall due: a void leaves 2.00, a capture of 500 (1.00) leaves 1.00."""
        for how, left in (("void", "2"), ("capture", "1")):
            Subscription.objects.exists() or factories.offering(billing_mode="PREPAID")
            key = f"cust_{how}"
            book = factories.clocked_customer(key)
            factories.subscription(key)
            factories.top_up(key, "10")
            advance(book, START + 20 * DAY)
            body = {"customer_id": key, "metric": "tokens", "quantity": 5_000}
            held = api.post(
                "/v1/usage/reserve",
                body | {"idempotency_key": "r", "expires_in": engine.MAX_HOLD},
            ).json()["id"]
            meter(4_000, START + 5 * DAY, key=key)
            advance(book, FEBRUARY)
            assert Settlement.objects.get(book=book).arrears == 8

            path = f"/v1/usage/reservations/{held}/{how}"
            asked = {"quantity": 500} if how == "capture" else {}
            answer = api.post(path, {"idempotency_key": how} | asked)

            assert answer.status_code == 200, answer.content
            (wallet,) = api.get(f"/v1/wallets/{key}").json()["wallets"]
            assert answer.json()["balance"]["available"] == wallet["available"] == left
            assert Settlement.objects.filter(book=book).order_by("cycle")[0].arrears_paid == 8
        assert verification.verify().ok

    def test_what_did_not_roll_is_captured_first_and_lapses_when_released(
        self, api: APIClient
    ) -> None:
        """Units: 80 of 100 held over the end, at most 50 roll. 60 are captured in two parts: of the
        30 that did not roll none is left, and the other 20 are free."""
        grants = [
            {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(100), "recurrence": "ONCE",
             "expires_at_cycle_end": True, "rollover": {"mode": "CAPPED", "maximum": "50"}},
        ]  # fmt: skip
        book = subscribed("PREPAID", grants=grants)
        advance(book, START + 20 * DAY)
        held = reserve(api, 80, expires_in=engine.MAX_HOLD).json()["id"]
        advance(book, FEBRUARY)
        lot = CreditLot.objects.get()
        assert (lot.remaining, lot.held, lot.lapsing) == (80, 80, 30)

        capture(api, held, "c1", quantity=20, final=False)
        lot.refresh_from_db()
        assert (lot.remaining, lot.held, lot.lapsing) == (60, 60, 10)
        capture(api, held, "c2", quantity=5)

        lot.refresh_from_db()
        assert (lot.remaining, lot.held, lot.lapsing) == (50, 0, 0)
        assert verification.verify().ok
