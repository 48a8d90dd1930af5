"""Credits that come back to a lapsed lot pay for the usage of its lifetime before the rest lapses.

Tokens cost .002. 10,000 units, or 20.00, live to day 14; 3,000 tokens (6.00) are used on day 5, and
as many on day 20.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import CycleBurn
from billing.settlement import usage_burn
from ledger.entries import books
from ledger.models import Book, Entry
from tests import factories
from tests.billing.realtime.usage_requests import reserve
from tests.billing.settlement.usage_burns import (
    DAY,
    DAY_14,
    moves,
    totals,
)
from tests.factories import FEBRUARY, START, advance, meter, set_clock, subscribed
from tests.wallets import actions
from wallets.debits import engine, reversals
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

D = Decimal
MONTH = 30 * 86_400


def given(kind_of: str) -> CreditLot:
    if kind_of == "units":
        factories.grant_units("cust_1", "10000", expires_at=DAY_14)
    else:
        factories.grant("cust_1", "20", "PROMO", expires_at=DAY_14)
    return CreditLot.objects.get(expires_at=DAY_14)


def asked(kind_of: str, key: str) -> dict[str, Any]:
    """Reserve all of the lot."""
    whole = {"metric": "tokens", "quantity": D(10_000)} if kind_of == "units" else {"amount": D(20)}
    return {"customer_id": "cust_1", "key": key, **whole}


def debited(kind_of: str) -> str:
    answer = actions.take(engine.DebitRequest(**asked(kind_of, "all")))
    return str(factories.body(answer)["id"])


def reserved(kind_of: str, seconds: int) -> str:
    answer = actions.take(engine.ReserveRequest(**asked(kind_of, "all"), expires_in=seconds))
    return str(factories.body(answer)["id"])


def reverse(debit: str) -> dict[str, Any]:
    answer = reversals.reverse(livemode=False, debit_id=UUID(debit), key="back", reason="test")
    return factories.body(answer)


def sweep(book: Book) -> None:
    with transaction.atomic():
        locked = books.lock_book(book_id=book.pk)
        usage_burn.lapse(book=locked, until=START + 20 * DAY)


@pytest.mark.parametrize(("kind_of", "face", "due"), [("units", 10_000, 3_000), ("money", 20, 6)])
@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.parametrize("back", ["reversed", "voided"])
def test_what_returns_pays_for_its_lifetime_once(
    kind_of: str, face: int, due: int, swept: bool, back: str
) -> None:
    """6.00 or 3,000 units of day 5 are paid; day 20 is not: 6.00 go to the invoice."""
    book = subscribed()
    lot = given(kind_of)
    taken = debited(kind_of) if back == "reversed" else reserved(kind_of, MONTH)
    set_clock(book, START + 5 * DAY)
    meter(3_000, START + 5 * DAY)
    if swept:
        advance(book, START + 20 * DAY)
    else:
        set_clock(book, START + 20 * DAY)
    meter(3_000, START + 20 * DAY)

    if back == "reversed":
        assert reverse(taken)["lapsed"] == str(face - due)
    else:
        actions.void(taken)

    returned = {"reversed": ["BURN", "REVERSE"], "voided": ["HOLD", "RELEASE"]}[back]
    assert moves(lot)[1:] == [
        *((kind, D(face)) for kind in returned), ("BURN", D(due)), ("EXPIRE", D(face - due)),
    ]  # fmt: skip
    last = list(Entry.objects.filter(book=book).order_by("-sequence")[:2])
    assert {entry.occurred_at for entry in last} == {START + 20 * DAY}
    before = factories.everything()
    sweep(book)
    assert factories.everything() == before
    advance(book, FEBRUARY)
    assert CycleBurn.objects.get(lot=lot).quantity == due
    assert totals()["to_invoice"] == "6"
    assert verification.verify().ok


@pytest.mark.parametrize("swept_at", [15, 18])
def test_a_hold_that_times_out_late_pays_at_its_end_whenever_it_is_swept(swept_at: int) -> None:
    """Held to day 15: 3,000 units pay then, 7,000 lapse then. Received on day 16: too late."""
    book = subscribed()
    lot = given("units")
    reserved("units", 15 * 86_400)
    set_clock(book, START + 5 * DAY)
    meter(3_000, START + 5 * DAY)
    if swept_at == 15:
        advance(book, START + 15 * DAY)
    set_clock(book, START + 16 * DAY)
    meter(500, START + 6 * DAY, "too late")

    advance(book, START + 18 * DAY)

    assert moves(lot)[1:] == [
        ("HOLD", 10_000), ("RELEASE", 10_000), ("BURN", 3_000), ("EXPIRE", 7_000),
    ]  # fmt: skip
    lapse = Entry.objects.filter(book=book, event="EXPIRY").get()
    assert lapse.occurred_at == START + 15 * DAY
    advance(book, FEBRUARY)
    assert totals()["total"] == "1"
    assert verification.verify().ok


def test_what_others_paid_meanwhile_goes_back_to_them() -> None:
    """Cash paid the 6.00 of day 5, because promo was held; voided on day 20, promo pays them."""
    book = subscribed("PREPAID")
    lot = given("money")
    factories.top_up("cust_1", "10")
    held = actions.held("20", strategy="PROMO", expires_in=MONTH)
    advance(book, START + 5 * DAY)
    meter(3_000, START + 5 * DAY)
    advance(book, START + 20 * DAY)
    assert factories.available(book) == 4

    actions.void(held)

    assert moves(lot)[-2:] == [("BURN", 6), ("EXPIRE", 14)]
    assert factories.available(book) == 10
    advance(book, FEBRUARY)
    assert totals()["from_wallet"] == {"PROMO": "6", "BONUS": "0", "CASH": "0"}
    assert verification.verify().ok


def test_voided_usage_pays_for_its_lifetime(api: APIClient) -> None:
    """All 10,000 units are held for usage; voided on day 20, 3,000 of them pay for day 5."""
    book = subscribed()
    lot = given("units")
    held = reserve(api, 10_000, expires_in=MONTH).json()["id"]
    advance(book, START + 5 * DAY)
    meter(3_000, START + 5 * DAY)
    advance(book, START + 20 * DAY)

    api.post(f"/v1/wallets/reservations/{held}/void", {"idempotency_key": "v"})

    assert moves(lot)[-3:] == [("RELEASE", 10_000), ("BURN", 3_000), ("EXPIRE", 7_000)]
    assert verification.verify().ok


def test_a_lot_that_an_unsettled_cycle_holds_back_waits_for_it() -> None:
    """The cycle ended as the lot did and is settled two days later: late usage is still paid."""
    book = subscribed(spec={"grace_hours": 48})
    factories.grant_units("cust_1", "10000", expires_at=FEBRUARY)
    lot = CreditLot.objects.get()
    debit = debited("units")
    set_clock(book, FEBRUARY + timedelta(hours=1))

    assert reverse(debit)["lapsed"] == "0"
    meter(3_000, START + 5 * DAY, "in grace")
    advance(book, FEBRUARY + 3 * DAY)

    assert moves(lot)[-2:] == [("BURN", 3_000), ("EXPIRE", 7_000)]
    assert totals()["total"] == "0"
    assert verification.verify().ok
