"""A month's end among what falls due at the same instant."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.finance import verification
from billing.models import MonthEnd
from billing.usage import ingest
from tests import factories
from tests.factories import advance
from wallets.models import CreditLot, Movement

pytestmark = pytest.mark.django_db


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_months_end_comes_before_lots_roll_over() -> None:
    """80 of promo roll up to 50. Another subscription's 40 come first: 40 are left to roll."""
    rolls = {
        "kind": "PROMO", "amount": Decimal(80), "recurrence": "EVERY_CYCLE",
        "expires_at_cycle_end": True, "rollover": {"mode": "CAPPED", "maximum": "50"},
    }  # fmt: skip
    factories.metric("calls")
    calls = {**factories.TOKENS_AT_2_MILLS[0], "code": "calls", "metric": "calls"}
    factories.offering("promoted", charges=[calls], grants=[rolls])
    factories.offering()
    book = factories.clocked_customer()
    factories.subscription("cust_1", "promoted")
    advance(book, moment("2026-01-10T00:00"))
    factories.subscription("cust_1")
    advance(book, moment("2026-01-20T00:00"))
    used_at = moment("2026-01-19T00:00")
    event = factories.event("cust_1", 20_000, "used", used_at)
    ingest.ingest(livemode=False, events=[event], received_at=used_at)

    advance(book, moment("2026-02-01T00:00"))

    (first, second) = CreditLot.objects.order_by("granted_at")
    assert (first.remaining, second.remaining) == (40, 80)
    lapsed = Movement.objects.filter(lot=first, kind="EXPIRE")
    assert not lapsed.exists()


def test_what_was_accrued_is_verified_against_its_entries() -> None:
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "310"}}
    factories.offering(charges=[fee])
    book = factories.clocked_customer(now=moment("2026-08-15T00:00"))
    factories.subscription("cust_1")
    advance(book, moment("2026-09-01T00:00"))
    assert verification.verify().ok

    MonthEnd.objects.update(fees=Decimal(171))

    proof = verification.verify()
    assert proof.first_bad is not None
    assert "fees is 171.0" in proof.first_bad.reason
