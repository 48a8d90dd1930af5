"""What was metered is paid before anything is paid back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from aforo.errors import DomainError
from billing.finance import verification
from billing.models import Subscription
from billing.usage import ingest
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, START
from tests.histories import examples
from tests.wallets import actions
from tests.wallets.top_ups.refunds import refund, refundable
from wallets.grants import grants

pytestmark = pytest.mark.django_db


def test_what_was_metered_is_paid_before_anything_is_paid_back(api: APIClient) -> None:
    """Available 100 and pending 80: 20 can be refunded, and the 80 are earned."""
    book = metered(80)

    assert refundable() == "20"
    answer = refund("20")

    assert (answer["refunded"], answer["balance"]["available"]) == ("20", "0")
    assert actions.accounts() == {"1010": Decimal(80), "4000": Decimal(-80)}
    actions.set_clock(FEBRUARY)
    factories.advance(book, FEBRUARY)
    assert Subscription.objects.get().status == "ACTIVE"
    assert verification.verify().ok


def test_promo_pays_for_what_was_metered_first() -> None:
    """Promo 50 burns before cash: of 100 cash 70 can be refunded after 80 were metered."""
    metered(80, promo="50")

    assert refundable() == "70"
    assert refund("70")["refunded"] == "70"


def test_usage_that_takes_all_leaves_nothing_to_refund() -> None:
    metered(130)

    assert refundable() == "0"


def test_metered_units_that_came_as_a_bonus_are_not_paid_back() -> None:
    """100 + 100 units of the metric for 100.00; 100 metered burn the units, and 20 of the cash."""
    metered(120, units="100")

    assert refundable() == "80"


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_whatever_the_mode(mode: str) -> None:
    metered(80, billing_mode=mode)

    assert refundable() == "20"


@pytest.mark.histories
@settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    used=st.integers(0, 130), promo=st.integers(0, 60), asked=st.integers(1, 100),
    mode=st.sampled_from(["PREPAID", "HYBRID"]),
)  # fmt: skip
def test_paid_back_and_used_never_come_to_more_than_was_bought(
    used: int, promo: int, asked: int, mode: str
) -> None:
    with transaction.atomic():
        metered(used, promo=str(promo), billing_mode=mode)
        free = min(100, max(0, 100 + promo - used))
        if asked > free:
            with pytest.raises(DomainError) as refused:
                refund(str(asked))
            assert refused.value.extra["available"] == str(free)
        else:
            assert refund(str(asked))["refunded"] == str(asked)
        assert verification.verify().ok
        transaction.set_rollback(True)


def metered(used: int, *, promo: str = "0", units: str = "", billing_mode: str = "PREPAID") -> Book:
    """Buy 100 and use so many units at 1 of an open cycle, which nothing has burned yet."""
    factories.metric("calls")
    factories.offering(
        "calls",
        billing_mode=billing_mode,
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
    )  # fmt: skip
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    if promo != "0":
        factories.grant("cust_1", promo)
    if units:
        factories.body(
            grants.grant(
                livemode=False, customer_id="cust_1", key="units", kind="PROMO", metric="calls",
                quantity=Decimal(units), reason="test",
            )
        )  # fmt: skip
    factories.subscription("cust_1", "calls")
    actions.set_clock(START + timedelta(days=1))
    if used:
        event = factories.event("cust_1", used, "e", START + timedelta(hours=1), metric="calls")
        done = ingest.ingest(livemode=False, events=[event], received_at=START + timedelta(days=1))
        assert done.accepted == 1
    return Book.objects.get(pk=book.pk)
