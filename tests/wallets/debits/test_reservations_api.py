"""Reservations under their keys and over the API: repeats, strangers, other modes."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from tests import factories
from tests.wallets import actions
from tests.wallets.actions import capture, held, reserve, void
from tests.wallets.debits.test_reservations import customer_of_60
from wallets.debits import engine
from wallets.models import Reservation, Wallet
from wallets.top_ups import refunds

pytestmark = pytest.mark.django_db


class TestKeys:
    def test_repeats_are_replayed_verbatim(self) -> None:
        customer_of_60()
        reserved = reserve("20.0", name="r")
        number = factories.body(reserved)["id"]
        captured = capture(number, "5", name="c", final=False)
        voided = void(number, name="v")
        before = factories.everything()

        again = [
            reserve("20", name="r"),
            capture(number, "5.00", name="c", final=False),
            void(number, name="v"),
        ]

        for first, repeat in zip([reserved, captured, voided], again, strict=True):
            assert isinstance(first, Answer)
            assert isinstance(repeat, Answer)
            assert (repeat.replayed, repeat.body, repeat.status) == (
                True, first.body, first.status,
            )  # fmt: skip
        assert factories.everything() == before

    def test_a_key_has_one_meaning_over_all_endpoints(self) -> None:
        customer_of_60()
        reserved = held("20", name="k")
        before = factories.everything()

        answers = [
            factories.debit("cust_1", "20", "k"),
            capture(reserved, name="k"),
            void(reserved, name="k"),
            reserve("20", name="k", expires_in=5),
        ]

        assert [factories.refusal(a).code for a in answers] == ["key_reused"] * 4
        with pytest.raises(Exception, match=r"was used for wallets\.reserve") as refused:
            refunds.refund(
                livemode=False, customer_id="cust_1", key="k", amount=Decimal(1), currency="USD",
                reason="other",
            )  # fmt: skip
        assert getattr(refused.value, "code", None) == "key_reused"
        assert factories.everything() == before

    def test_two_captures_in_one_list_take_each_their_part(self) -> None:
        book = customer_of_60()
        reserved = Reservation.objects.get(pk=held("20"))

        results = engine.execute(
            [
                engine.CaptureRequest(
                    reservation=reserved.pk, key=f"c{n}", amount=Decimal(8), final=False
                )
                for n in range(3)
            ],
            livemode=False,
        )

        answers = [factories.body(result) for result in results]
        assert [answer["held"] for answer in answers] == ["12", "4", "0"]
        assert sum(lot[1] for lot in actions.lots(book)) == 60 - 3 * 8
        assert sum(lot[2] for lot in actions.lots(book)) == 0
        assert verification.verify().ok


class TestOverTheApi:
    def test_the_whole_way(self, api: APIClient) -> None:
        customer_of_60()

        made = api.post(
            "/v1/wallets/reservations",
            {"customer_id": "cust_1", "amount": 35, "expires_in": 60, "idempotency_key": "r"},
        )
        address = f"/v1/wallets/reservations/{made.json()['id']}"
        part = api.post(f"{address}/capture", {"amount": 5, "final": False, "idempotency_key": "c"})
        shown = api.get(address).json()
        voided = api.post(f"{address}/void", {"idempotency_key": "v"})

        assert (made.status_code, part.status_code, voided.status_code) == (201, 200, 200)
        assert (shown["status"], shown["held"], shown["captured"]) == ("HELD", "30", "5")
        listed = api.get("/v1/wallets/reservations?customer_id=cust_1").json()["data"]
        assert [(row["status"], row["held"]) for row in listed] == [("VOIDED", "0")]

    def test_unknown_and_other_modes_reservations(
        self, api: APIClient, live_api: APIClient
    ) -> None:
        customer_of_60()
        reserved = held("20")
        before = factories.everything()

        for client, number in ((api, uuid4()), (live_api, reserved)):
            address = f"/v1/wallets/reservations/{number}"
            answers = [
                client.get(address),
                client.post(f"{address}/capture", {"idempotency_key": "x"}),
                client.post(f"{address}/void", {"idempotency_key": "y"}),
            ]
            assert [(a.status_code, a.json()["code"]) for a in answers] == [
                (404, "unknown_reservation")
            ] * 3
        assert live_api.get("/v1/wallets/reservations").json()["data"] == []
        assert factories.everything() == before

    def test_a_wallet_that_was_never_opened_has_nothing(self) -> None:
        factories.customer()
        factories.metric()
        Wallet.objects.all().delete()

        units = factories.refusal(actions.reserve_units("1"))
        burned = factories.refusal(
            actions.take(
                engine.DebitRequest(
                    customer_id="cust_1", key="d", metric="tokens", quantity=Decimal(1)
                )
            )
        )
        euros = factories.refusal(factories.debit("cust_1", "1", currency="EUR"))

        assert [r.code for r in (units, burned, euros)] == ["insufficient_funds"] * 3
