"""Credit units: registered once, with rates that may change; how many credits money buys."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from aforo.access.models import ConfigurationChange
from aforo.errors import Invalid
from pricing.models import CreditUnit
from pricing.offerings import credit_units

pytestmark = pytest.mark.django_db

URL = "/v1/credit-units"
BODY: dict[str, Any] = {"code": "CREDITS", "name": "Credits", "rates": {"USD": "0.010"}}


def test_a_unit_is_registered_read_and_changed(api: APIClient) -> None:
    made = api.post(URL, BODY)
    changed = api.patch(f"{URL}/CREDITS", {"rates": {"usd": "0.02", "EUR": 0.009}})

    assert (made.status_code, changed.status_code) == (201, 200)
    assert made.json() | {"created_at": ""} == {
        "code": "CREDITS", "name": "Credits", "decimals": 2, "rates": {"USD": "0.01"},
        "tax_at_sale": True, "tax_class": "", "active": True, "created_at": "",
    }  # fmt: skip
    assert changed.json()["rates"] == {"USD": "0.02", "EUR": "0.009"}
    assert api.get(f"{URL}/CREDITS").json() == changed.json()
    assert [each["code"] for each in api.get(f"{URL}?active=true").json()["data"]] == ["CREDITS"]
    assert api.get(f"{URL}/COINS").json()["code"] == "unknown_unit"
    kept = ConfigurationChange.objects.filter(table_name="pricing_creditunit")
    assert kept.count() == 2


@pytest.mark.parametrize(("change", "pointer", "code"), [
    ({"code": "EUR"}, "/code", "invalid"),
    ({"code": "credits"}, "/code", "invalid"),
    ({"code": "CREDITSOFOURS"}, "/code", "max_length"),
    ({"decimals": 7}, "/decimals", "max_value"),
    ({"rates": {"ABC": "1"}}, "/rates/ABC", "unknown_currency"),
    ({"rates": {"USD": "0"}}, "/rates/USD", "not_positive"),
    ({"rates": {"USD": "0.0000000000001"}}, "/rates/USD", "too_many_decimals"),
    ({"rates": {"USD": "a cent"}}, "/rates/USD", "invalid_number"),
])  # fmt: skip
def test_what_makes_no_unit_is_refused(
    api: APIClient, change: dict[str, Any], pointer: str, code: str
) -> None:
    refused = api.post(URL, BODY | change)

    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert not CreditUnit.objects.exists()


def test_a_code_is_taken_once_in_a_mode(api: APIClient) -> None:
    api.post(URL, BODY)

    assert api.post(URL, BODY | {"name": "Again"}).json()["code"] == "code_taken"
    assert CreditUnit.objects.count() == 1
    credit_units.create_credit_unit(livemode=True, code="CREDITS", name="Credits")


@pytest.mark.parametrize(("amount", "rate", "decimals", "bought"), [
    ("10", "0.01", 2, "1000"), ("10", "0.03", 2, "333.33"), ("10", "0.03", 0, "333"),
    ("10", "0.03", 6, "333.333333"), ("0.02", "0.03", 2, "0.66"),
    # A quotient of 0.99...9 is not 1.
    ("99999999999999.99", "100000000000000", 6, "0.999999"),
])  # fmt: skip
def test_credits_are_cut_to_the_decimals(
    amount: str, rate: str, decimals: int, bought: str
) -> None:
    unit = CreditUnit(code="CREDITS", decimals=decimals, rates={"USD": rate})

    assert credit_units.credits_for(unit, Decimal(amount), "USD") == Decimal(bought)


def test_so_many_credits_that_the_books_have_no_room_are_refused() -> None:
    unit = CreditUnit(code="CREDITS", decimals=2, rates={"USD": "0.000000000001"})

    with pytest.raises(Invalid) as refused:
        credit_units.credits_for(unit, Decimal(10) ** 15, "USD")

    assert refused.value.code == "out_of_range"


def test_the_back_office_registers_and_deactivates(admin_client: Client) -> None:
    form = {
        "code": "CREDITS", "name": "Credits", "decimals": "0", "rates": "eur 0.1\n",
        "tax_at_sale": "on", "tax_class": "",
    }  # fmt: skip
    added = admin_client.post(reverse("admin:pricing_creditunit_add"), form)
    unit = CreditUnit.objects.get()
    url = reverse("admin:pricing_creditunit_change", args=[unit.pk])

    shown = admin_client.get(url).content.decode()
    wrong = ["EUR 0,1", "EUR", "EUR 0.1\nEUR 0.2", "XYZ 1"]
    refused = [admin_client.post(url, form | {"rates": each, "active": ""}) for each in wrong]

    assert (added.status_code, unit.decimals, unit.active) == (302, 0, True)
    assert "EUR 0.1</textarea>" in shown
    assert [each.status_code for each in refused] == [200] * 4
    assert all(each.context["adminform"].form.errors["rates"] for each in refused)
    assert admin_client.post(url, form | {"active": ""}).status_code == 302
    unit.refresh_from_db()
    assert (unit.active, unit.rates) == (False, {"EUR": "0.1"})
