"""Terms of top-ups: bounds and slabs, and how they are edited in the back office."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from aforo.errors import Invalid
from pricing import catalogue
from pricing.models import BonusSlab, TopUpRule

ADD = "admin:pricing_topuprule_add"


def form(**changes: Any) -> dict[str, Any]:
    asked = {
        "currency": "usd",
        "minimum": "10",
        "maximum": "500",
        "expires_after_days": "",
        "on_account": "HELD_BACK",
        "slabs-TOTAL_FORMS": "2",
        "slabs-INITIAL_FORMS": "0",
        "slabs-0-from_amount": "100",
        "slabs-0-bonus": "20",
        "slabs-1-from_amount": "200",
        "slabs-1-bonus": "50",
    }
    return asked | changes


@pytest.mark.parametrize(
    ("amount", "bonus"),
    [("99.99", None), ("100", 20), ("199.99", 20), ("200", 50), ("10000", 50)],
)
def test_the_highest_slab_that_is_reached_counts(amount: str, bonus: int | None) -> None:
    terms = catalogue.TopUpTerms(slabs=((Decimal(200), Decimal(50)), (Decimal(100), Decimal(20))))

    assert terms.bonus_for(Decimal(amount)) == bonus


@pytest.mark.parametrize("amount", ["10", "500"])
def test_the_bounds_may_be_bought(amount: str) -> None:
    catalogue.TopUpTerms(minimum=Decimal(10), maximum=Decimal(500)).check(Decimal(amount))


@pytest.mark.parametrize(("amount", "code"), [("9.99", "below_minimum"), ("501", "above_maximum")])
def test_beyond_the_bounds(amount: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        catalogue.TopUpTerms(minimum=Decimal(10), maximum=Decimal(500)).check(Decimal(amount))

    assert refused.value.code == code


@pytest.mark.django_db
def test_a_rule_with_slabs_is_written_in_the_back_office(admin_client: Client) -> None:
    admin_client.post(reverse(ADD), form())

    terms = catalogue.top_up_terms(livemode=False, currency="USD")
    assert (terms.minimum, terms.maximum, terms.on_account) == (10, 500, "HELD_BACK")
    assert terms.slabs == ((Decimal(200), Decimal(50)), (Decimal(100), Decimal(20)))
    assert catalogue.top_up_terms(livemode=True, currency="USD") == catalogue.TopUpTerms()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minimum": "600"}, "It lies below the minimum."),
        ({"minimum": "0"}, "Above zero"),
        ({"maximum": "500.005"}, "It cannot be paid in USD"),
        ({"currency": "JPY", "minimum": "10.5"}, "It cannot be paid in JPY"),
        ({"currency": "XXX"}, "This currency is not supported."),
        ({"expires_after_days": "0"}, "At least one day"),
        ({"slabs-0-bonus": "0"}, "Both are above zero."),
        ({"slabs-1-from_amount": "100"}, "duplicate"),
    ],
)
def test_what_cannot_be_is_named_on_the_form(
    admin_client: Client, changes: dict[str, Any], said: str
) -> None:
    page = admin_client.post(reverse(ADD), form(**changes))

    assert page.status_code == 200
    assert said in page.content.decode()
    assert (TopUpRule.objects.count(), BonusSlab.objects.count()) == (0, 0)
