"""Reserved usage is one object with one id, and is honoured whatever became of the subscription.

A token costs .002; 5,000 reserved are 2,000 units and 3,000 x .002 = 6.00, unless said otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from billing.finance import verification
from billing.lifecycle import changes
from billing.models import CycleBurn, Settlement, Subscription, UsageEvent, UsageReservation
from ledger.models import Book
from tests import factories
from tests.billing.realtime.test_usage_debits import use
from tests.billing.realtime.test_usage_reservations import capture, reserve
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed
from tests.wallets import actions
from wallets.debits import engine
from wallets.models import CreditLot, Debit, Hold, Reservation

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
STOPS = ["pause", "cancel"]
MINUTE = timedelta(minutes=1)


def stop(how: str) -> None:
    subscription = Subscription.objects.get()
    if how == "pause":
        changes.pause(livemode=False, subscription_id=subscription.pk)
    else:
        changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")


def resume() -> None:
    changes.resume(livemode=False, subscription_id=Subscription.objects.get().pk)


def funded(mode: str = "PREPAID", money: str = "10", **terms: Any) -> Book:
    book = subscribed(mode, **terms)
    factories.grant_units("cust_1", "2000")
    factories.top_up("cust_1", money)
    return book


def there(api: APIClient) -> Any:
    (wallet,) = api.get("/v1/wallets/cust_1").json()["wallets"]
    return {name: wallet[name] for name in ("available", "held", "by_kind")}


def nothing_is_held() -> bool:
    held = sum((hold.open for hold in Hold.objects.all()), Decimal(0))
    return held == 0 and not CreditLot.objects.filter(held__gt=0).exists()


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


class TestOneObject:
    def test_it_is_found_under_its_id_wherever_one_looks(self, api: APIClient) -> None:
        funded()
        held = reserve(api, 5_000).json()

        for family in ("wallets", "usage"):
            shown = api.get(f"/v1/{family}/reservations/{held['id']}").json()
            listed = api.get(f"/v1/{family}/reservations?customer_id=cust_1").json()["data"]
            assert listed == [shown]
            assert {name: shown[name] for name in ("kind", "status", "metric", "quantity")} == {
                "kind": "USAGE", "status": "HELD", "metric": "tokens", "quantity": "5000",
            }  # fmt: skip
            assert (shown["amount"], shown["held"], shown["held_units"]) == ("6", "6", "2000")
        assert Reservation.objects.count() == UsageReservation.objects.count() == 1

    @pytest.mark.parametrize("family", ["wallets", "usage"])
    def test_it_is_captured_once_through_either(self, api: APIClient, family: str) -> None:
        """All that is listed and captured, and the id that was answered: 6.00 for 5,000, not 12."""
        funded("PREPAID", money="20")
        held = reserve(api, 5_000).json()["id"]
        listed = api.get("/v1/wallets/reservations?customer_id=cust_1").json()["data"]

        statuses = [
            api.post(
                f"/v1/{f}/reservations/{number}/capture", {"idempotency_key": actions.fresh("c")}
            )
            for f in (family, "wallets", "usage")
            for number in {held, *(row["id"] for row in listed)}
        ]

        assert [answer.status_code for answer in statuses] == [200, 409, 409]
        assert there(api)["available"] == "14"
        assert verification.verify().ok

    def test_the_engine_takes_none_of_it_as_credits(self, api: APIClient) -> None:
        funded()
        held = UUID(reserve(api, 5_000).json()["id"])
        before = factories.everything()

        asks: list[engine.Request] = [
            engine.CaptureRequest(held, "c", amount=Decimal(6)),
            engine.VoidRequest(held, "v"),
        ]

        codes = [factories.refusal(r).code for r in engine.execute(asks, livemode=False)]
        assert codes == ["reservation_of_usage"] * 2
        assert factories.everything() == before

    def test_among_the_usages_there_are_no_others(self, api: APIClient) -> None:
        factories.clocked_customer()
        factories.top_up("cust_1", "10")
        credits_only = actions.held("5")
        path = f"/v1/usage/reservations/{credits_only}"

        assert api.get("/v1/usage/reservations").json()["data"] == []
        assert api.get(path).status_code == 404
        for act in ("capture", "void"):
            assert api.post(f"{path}/{act}", {"idempotency_key": act}).status_code == 404
        assert api.get(f"/v1/usage/reservations/{uuid4()}").status_code == 404
        row = api.get(f"/v1/wallets/reservations/{credits_only}").json()
        assert (row["kind"], row["amount"], row["held"]) == ("CREDITS", "5", "5")

    def test_each_mode_and_scope_sees_its_own(self, api: APIClient, live_api: APIClient) -> None:
        funded()
        held = reserve(api, 500).json()["id"]
        narrow = APIClient()
        key = create_api_key(livemode=False, name="narrow", scopes=["usage"])[1]
        narrow.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")

        assert live_api.get(f"/v1/usage/reservations/{held}").status_code == 404
        assert narrow.get(f"/v1/usage/reservations/{held}").status_code == 200
        assert narrow.get(f"/v1/wallets/reservations/{held}").status_code == 403

    def test_its_time_is_over_for_everybody_at_once(self, api: APIClient) -> None:
        """Not swept: shown and listed as expired, and its promise counts no more."""
        funded("HYBRID", money="1", overage_limit=Decimal(5))
        held = reserve(api, 5_000, expires_in=60).json()["id"]
        assert reserve(api, 5_000, "r2").json()["code"] == "overage_limit"

        actions.set_clock(START + MINUTE)

        for family in ("wallets", "usage"):
            listed = api.get(f"/v1/{family}/reservations?status=EXPIRED").json()["data"]
            assert [(row["id"], row["held"], row["held_units"]) for row in listed] == [
                (held, "0", "0")
            ]
        assert reserve(api, 5_000, "r3").status_code == 201


class TestOverageLimit:
    """HYBRID with a limit of 10 and nothing there: 1,000 tokens are 2.00 of overage."""

    @pytest.fixture(autouse=True)
    def book(self) -> Book:
        return subscribed("HYBRID", overage_limit=Decimal(10))

    def test_reservations_of_usage_and_of_credits_share_it(self, api: APIClient) -> None:
        """4 of usage and 4 of credits are promised: 3 more are refused everywhere, 2 are not."""
        usage, money = reserve(api, 2_000).json(), actions.held("4")
        before = factories.everything()

        assert reserve(api, 1_500, "r2").json()["code"] == "overage_limit"
        assert use(api, 1_500, "u2").json()["code"] == "overage_limit"
        assert factories.refusal(actions.reserve("3")).code == "overage_limit"
        assert factories.refusal(factories.debit("cust_1", "3")).code == "overage_limit"
        assert factories.everything() == before
        assert UsageEvent.objects.count() == 0
        assert use(api, 1_000, "u3").json()["overage"] == "2"
        assert capture(api, usage["id"]).json()["overage"] == "4"
        assert factories.body(actions.capture(money))["overage"] == "4"
        assert verification.verify().ok

    @pytest.mark.parametrize("how", ["in real time", "metered"])
    def test_what_usage_has_run_up_counts_for_credits(
        self, api: APIClient, book: Book, how: str
    ) -> None:
        """6.00 of usage, 4.00 left of the limit: 4.01 are refused in every way, 4.00 are not."""
        if how == "metered":
            meter(3_000, START)
        else:
            use(api, 3_000, "u1")
        before = factories.everything()

        assert factories.refusal(factories.debit("cust_1", "4.01")).code == "overage_limit"
        assert factories.refusal(actions.reserve("4.01")).code == "overage_limit"
        assert use(api, 2_010, "u2").json()["code"] == "overage_limit"
        assert factories.everything() == before
        held = actions.held("1")
        assert factories.body(factories.debit("cust_1", "3"))["overage"] == "3"
        assert factories.refusal(factories.debit("cust_1", "0.01", "d2")).code == "overage_limit"
        assert factories.body(actions.capture(held))["overage"] == "1"
        advance(book, FEBRUARY)
        # A new cycle has the whole limit again.
        assert factories.body(factories.debit("cust_1", "10", "d3"))["overage"] == "10"
        assert verification.verify().ok

    def test_a_list_is_held_to_it_as_one(self, api: APIClient) -> None:
        use(api, 3_000, "u1")
        asked = [
            {"customer_id": "cust_1", "amount": "3", "idempotency_key": key} for key in ("a", "b")
        ]

        answers = api.post("/v1/wallets/debits/batch", {"debits": asked}).json()

        assert [debit.overage for debit in Debit.objects.all()] == [3], answers
        assert verification.verify().ok

    def test_between_parts_the_rest_stays_promised(self, api: APIClient) -> None:
        held = reserve(api, 5_000).json()["id"]

        part = capture(api, held, quantity=2_000, final=False).json()

        assert (part["overage"], Reservation.objects.get().promised) == ("4", 6)
        assert reserve(api, 10, "r2").json()["code"] == "overage_limit"
        assert capture(api, held, "c2").json()["overage"] == "6"
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
