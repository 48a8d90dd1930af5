"""Packs: bought at their price, frozen once they are there, refunded and contested as credits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from aforo.errors import Invalid, NotCovered
from billing.finance import verification
from pricing.models import Pack
from pricing.offerings import credit_units, packs
from tests import factories
from tests.factories import START
from tests.wallets import actions
from tests.wallets.units import example
from tests.wallets.units.example import UNIT, D, contest, posted, refund, spend
from wallets.models import CreditLot, TopUp
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db


def offer(code: str = "starter", **terms: Any) -> Pack:
    """Create a pack of 1,000 credits and 250 more for 10 USD or 9 EUR."""
    fields: dict[str, Any] = {
        "name": "Starter", "unit": UNIT, "quantity": D(1000), "bonus_quantity": D(250),
        "prices": {"USD": "10.00", "EUR": "9.00"}, **terms,
    }  # fmt: skip
    return packs.create_pack(livemode=False, code=code, **fields)


def buy(code: str = "starter", currency: str = "USD") -> dict[str, Any]:
    return example.read(
        sales.top_up(
            livemode=False, customer_id="cust_1", key=actions.fresh("pack"), pack=code,
            currency=currency,
        )
    )  # fmt: skip


@pytest.fixture(autouse=True)
def seller(db: None) -> None:
    factories.clocked_customer()
    example.register()


def test_a_pack_is_bought_at_its_price_and_each_credit_carries_the_same() -> None:
    """9.00 EUR over 1,250 credits: .0072 each."""
    offer(expires_after_days=30)

    bought = buy(currency="EUR")

    assert (bought["amount"], bought["unit"], bought["credits"]) == ("9", UNIT, "1000")
    lots = CreditLot.objects.order_by("-face")
    assert [(lot.kind, lot.face, lot.carrying, lot.currency) for lot in lots] == [
        ("CASH", 1000, D("7.2"), "EUR"), ("BONUS", 250, D("1.8"), "EUR"),
    ]  # fmt: skip
    assert {lot.expires_at for lot in lots} == {START + timedelta(days=30)}
    assert TopUp.objects.get().pack == Pack.objects.get()
    spend("500")
    assert (posted("4010", "EUR"), posted("4000", "EUR")) == (D("-1.8"), D("-1.8"))
    assert verification.verify().ok


def test_a_refund_takes_the_bonus_back_and_pays_what_both_carry() -> None:
    """Half of 1,000 with half of 250: 625 of 1,250 credits carry 5.00 USD."""
    offer()
    buy()

    answer = refund("500")

    assert (answer["refunded"], answer["paid_currency"]) == ("5", "USD")
    assert (answer["clawed_back"], answer["balance"]["available"]) == ("125", "625")
    assert verification.verify().ok


def test_a_lost_dispute_of_a_pack_claims_the_credits_spent() -> None:
    """250 of 1,250 are spent: 2.00 of 10.00 USD are lost."""
    offer()
    bought = buy()
    spend("250")
    contest(bought["id"], "opened")

    lost = contest(bought["id"], "lost")

    assert lost["owed"] == "250"
    assert (posted("4940", "USD"), posted("2100", "USD"), posted("2110", "USD")) == (2, 0, 0)
    assert verification.verify().ok


def test_a_change_is_a_new_version_and_what_is_there_never_changes() -> None:
    first = offer()
    buy()

    second = packs.change_pack(livemode=False, code="starter", changes={"quantity": D(2000)})
    buy()

    assert (first.version, second.version, second.bonus_quantity) == (1, 2, 250)
    faces = CreditLot.objects.filter(kind="CASH").order_by("granted_at", "id")
    assert [lot.face for lot in faces] == [1000, 2000]
    with pytest.raises(IntegrityError), transaction.atomic():
        Pack.objects.filter(pk=first.pk).update(quantity=D(1))
    with pytest.raises(IntegrityError), transaction.atomic():
        first.delete()


@pytest.mark.parametrize(("terms", "currency", "code"), [
    ({}, "GBP", "no_price"),
    ({"available_from": START + timedelta(days=1)}, "USD", "not_available"),
    ({"available_until": START}, "USD", "not_available"),
    ({"code": "other"}, "USD", "unknown_pack"),
])  # fmt: skip
def test_what_is_not_for_sale_is_refused(terms: dict[str, Any], currency: str, code: str) -> None:
    offer(**terms)
    before = factories.everything()

    with pytest.raises(Invalid) as refused:
        buy(currency=currency)

    assert refused.value.code == code
    if code == "no_price":
        assert "EUR, USD" in refused.value.errors[0].detail
    assert factories.everything() == before
    assert not TopUp.objects.exists()


def test_a_limit_counts_every_version_and_an_archived_pack_is_gone() -> None:
    offer(max_per_customer=1)
    buy()
    packs.change_pack(livemode=False, code="starter", changes={"name": "Again"})

    with pytest.raises(Invalid) as limited:
        buy()
    packs.archive_pack(livemode=False, code="starter", now=START)
    with pytest.raises(Invalid) as gone:
        buy()

    assert (limited.value.code, gone.value.code) == ("pack_limit", "unknown_pack")
    assert TopUp.objects.count() == 1


def test_no_pack_of_an_inactive_unit_is_sold() -> None:
    offer()
    credit_units.update_credit_unit(livemode=False, code=UNIT, changes={"active": False})

    with pytest.raises(Invalid) as refused:
        buy()

    assert refused.value.code == "inactive_unit"


def test_a_refusal_offers_packs() -> None:
    """1,300 are missing: two packs of 1,250, or 13.00 USD at the rate."""
    offer()
    offer("once", max_per_customer=1)

    refused = factories.refusal(factories.debit("cust_1", "1300", currency=UNIT))

    assert isinstance(refused, NotCovered)
    found: Any = refused.extra["offers"]
    assert [(o["amount"], o["currency"], o.get("pack"), o["times"]) for o in found] == [
        (D("11.7"), "EUR", None, 1), (13, "USD", None, 1),
        (Decimal(9), "EUR", "starter", 2), (Decimal(10), "USD", "starter", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "pointer"), [
    ({"amount": "5"}, "/amount"), ({"unit": UNIT}, "/unit"), ({"bonus": {"amount": "1"}}, "/bonus"),
])  # fmt: skip
def test_a_pack_is_bought_as_it_is(api: APIClient, change: dict[str, Any], pointer: str) -> None:
    offer()
    body = {"customer_id": "cust_1", "pack": "starter", "currency": "USD", "idempotency_key": "k"}

    refused = api.post("/v1/wallets/top-ups", body | change)

    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert api.post("/v1/wallets/top-ups", body).status_code == 201


@pytest.mark.parametrize(("terms", "code"), [
    ({"prices": {}}, "required"), ({"prices": {"USD": "0.001"}}, "not_payable"),
    ({"quantity": D("0.001")}, "too_many_decimals"), ({"unit": "COINS"}, "unknown_currency"),
])  # fmt: skip
def test_what_makes_no_pack_is_refused(terms: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        offer(**terms)

    assert refused.value.code == code
    assert not Pack.objects.exists()
