"""Captures within the grace after their reservation's end; by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from billing.finance import verification
from ledger.models import Book
from tests import factories
from tests.factories import START
from tests.wallets import actions
from tests.wallets.actions import capture, held, void
from wallets.holds import reservations
from wallets.models import Reservation

pytestmark = pytest.mark.django_db

ESTIMATE = "10"


@pytest.fixture(autouse=True)
def book() -> Book:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "30")
    return book


def reserve_for_a_minute(**terms: Any) -> str:
    return held(ESTIMATE, expires_in=60, **terms)


def pass_by(seconds: int) -> None:
    actions.set_clock(START + timedelta(seconds=seconds))


@pytest.mark.parametrize("swept", [True, False])
def test_a_capture_in_it_is_a_debit(book: Book, swept: bool) -> None:
    reserved = reserve_for_a_minute(grace_seconds=600, over_capture="AVAILABLE")
    pass_by(659)
    if swept:
        with transaction.atomic():
            reservations.release_due(book=book, until=START + timedelta(seconds=659))

    answer = factories.body(capture(reserved, "34"))

    assert actions.allocations(answer) == [("CASH", "30")]
    assert (answer["status"], answer["uncovered"]) == ("CAPTURED", "4")
    ended = Reservation.objects.get()
    assert (ended.status, ended.captured) == ("CAPTURED", 34)
    before = factories.everything()
    assert factories.refusal(capture(reserved, "1")).code == "reservation_closed"
    assert factories.refusal(void(reserved)).code == "reservation_closed"
    assert factories.everything() == before
    assert verification.verify().ok


@pytest.mark.parametrize(("grace", "seconds"), [(0, 60), (600, 660)])
def test_at_its_end_it_is_over(grace: int, seconds: int) -> None:
    reserved = reserve_for_a_minute(grace_seconds=grace)
    pass_by(seconds)
    before = factories.everything()

    refused = factories.refusal(capture(reserved, "1"))

    assert (refused.status, refused.code) == (409, "reservation_expired")
    assert factories.everything() == before


def test_the_released_hold_is_not_special() -> None:
    """It is spent meanwhile: REFUSE has nothing to take from."""
    reserved = reserve_for_a_minute(grace_seconds=600)
    pass_by(61)
    factories.body(factories.debit("cust_1", "25"))
    before = factories.everything()

    refused = factories.refusal(capture(reserved))

    assert (refused.status, refused.extra["available"]) == (402, "5")
    assert factories.everything() == before
    assert factories.body(capture(reserved, "5"))["status"] == "CAPTURED"


def test_a_stopped_customer_is_refused_unless_the_policy_takes_more(book: Book) -> None:
    refusing = reserve_for_a_minute(grace_seconds=600)
    taking = reserve_for_a_minute(grace_seconds=600, over_capture="AVAILABLE")
    pass_by(61)
    actions.rules(book, spend_state="SUSPENDED")
    before = factories.everything()

    assert factories.refusal(capture(refusing, "1")).code == "suspended"
    assert factories.everything() == before
    assert factories.body(capture(taking, "1"))["amount"] == "1"


def test_in_parts_until_the_last() -> None:
    reserved = reserve_for_a_minute(grace_seconds=600)
    pass_by(61)

    parts = [
        factories.body(capture(reserved, "4", final=final))["status"]
        for final in (False, False, True)
    ]

    assert parts == ["EXPIRED", "EXPIRED", "CAPTURED"]
