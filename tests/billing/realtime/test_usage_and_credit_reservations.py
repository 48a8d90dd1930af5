"""Reservations of usage and of credits: one object under either name, and one overage limit."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from billing.finance import verification
from billing.models import UsageEvent, UsageReservation
from ledger.models import Book
from tests import factories
from tests.billing.realtime.usage_captures import MINUTE, funded, there
from tests.billing.realtime.usage_requests import capture, reserve, use
from tests.factories import FEBRUARY, START, advance, meter, subscribed
from tests.wallets import actions
from wallets.debits import engine
from wallets.models import Debit, Reservation

pytestmark = pytest.mark.django_db


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
