"""Which subscription's grant a lot comes from stands in its columns, and in the database once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from aforo.ids import new_id
from billing.models import Subscription
from billing.subscriptions import plan_credits
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

GRANTS: list[dict[str, Any]] = [
    {"code": "monthly_extra", "kind": "PROMO", "amount": Decimal(100),
     "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": False},
    {"code": "welcome", "kind": "PROMO", "metric": "tokens", "quantity": Decimal(5),
     "recurrence": "ONCE", "expires_at_cycle_end": False},
]  # fmt: skip
COLUMNS = ("subscription_id", "grant_code", "grant_period")


@pytest.fixture
def book() -> Book:
    """A customer in the third cycle, who was given 10 by hand besides."""
    factories.offering(grants=GRANTS)
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.grant("cust_1", "10")
    factories.advance(book, FEBRUARY)
    factories.advance(book, MARCH)
    return book


def links() -> set[tuple[Any, ...]]:
    return set(CreditLot.objects.values_list(*COLUMNS))


def test_a_plans_lots_say_what_granted_them(book: Book) -> None:
    subscription = Subscription.objects.get()

    pk = subscription.pk
    monthly = {(pk, "monthly_extra", period) for period in (0, 1, 2)}
    assert links() == {*monthly, (pk, "welcome", None), (None, "", None)}
    assert plan_credits.plan_lots(subscription).count() == 4
    assert CreditLot.objects.filter(book=book).count() == 5


@pytest.mark.parametrize("code", ["monthly_extra", "welcome"])
def test_no_period_is_granted_twice(book: Book, code: str) -> None:
    lot = CreditLot.objects.filter(grant_code=code).order_by("granted_at")[0]
    before = list(CreditLot.objects.values().order_by("pk"))
    lot.pk, lot.cause = new_id(), "another"

    with pytest.raises(IntegrityError, match="wallets_lot_plan_grant"), transaction.atomic():
        lot.save(force_insert=True)

    assert list(CreditLot.objects.values().order_by("pk")) == before


@pytest.mark.parametrize(
    "change",
    [{"grant_code": "other"}, {"grant_period": 7}, {"subscription_id": None}],
)
def test_the_link_never_changes(book: Book, change: dict[str, Any]) -> None:
    before = links()

    with pytest.raises(IntegrityError, match="terms of a credit lot"), transaction.atomic():
        CreditLot.objects.filter(grant_code="welcome").update(**change)

    assert links() == before


def test_a_grant_without_its_subscription_is_refused(book: Book) -> None:
    lot = CreditLot.objects.get(subscription_id=None)
    lot.pk, lot.cause, lot.grant_code = new_id(), "another", "monthly_extra"

    with pytest.raises(IntegrityError, match="wallets_lot_granted_by"), transaction.atomic():
        lot.save(force_insert=True)

    assert CreditLot.objects.count() == 5
