"""What must hold after each run, held by the database whoever writes (issue: metering)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction
from django.db.models import F

from billing.models import CycleBurn, Invoice, Settlement, UsageEvent
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance
from tests.ledger.seals.tampering import sql

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def book() -> Book:
    """10.00 used in January and 4.00 in February; 3.00 from the wallet, the rest invoiced."""
    factories.offering()
    made = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "3")
    # The second event counts at the first instant of the second cycle.
    for at, quantity in ((START + DAY, 5_000), (FEBRUARY, 2_000)):
        advance(made, at)
        factories.meter(quantity, at, at.isoformat())
    advance(made, MARCH)
    return made


def first(model: type[models.Model], **changed: Any) -> Callable[[], object]:
    def change() -> object:
        pk = model._default_manager.order_by("pk").values_list("pk", flat=True)[0]
        return model._default_manager.filter(pk=pk).update(**changed)

    return change


def unfrozen(model: type[models.Model], **changed: Any) -> Callable[[], object]:
    """Change a row as if it were not issued yet, which is refused by itself."""

    def change() -> object:
        table = model._meta.db_table
        sql("SET CONSTRAINTS ALL IMMEDIATE")
        sql(f"ALTER TABLE {table} DISABLE TRIGGER {table}_kept")
        return first(model, **changed)()

    return change


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        (unfrozen(Invoice, amount_due=-1, total=F("from_wallet") - 1), "billing_invoice_paid"),
        (unfrozen(Invoice, discount=Decimal("10.01")), "billing_invoice_discount"),
        (unfrozen(Invoice, tax=-1), "billing_invoice_discount"),
        (unfrozen(Invoice, total=Decimal(11)), "billing_invoice_sums"),
        (first(Settlement, arrears_tax=1), "billing_settlement_arrears_tax"),
        (first(Settlement, statement_number="STM-1"), "billing_settlement_statement"),
        (unfrozen(Settlement, totals={}), "billing_settlement_totals"),
        (unfrozen(Settlement, ends_at=FEBRUARY + DAY), "overlaps another"),
        (first(CycleBurn, quantity=-1), "billing_cycleburn_amounts"),
        (first(UsageEvent, counted_at=FEBRUARY), "append-only"),
    ],
)
@pytest.mark.usefixtures("book")
def test_the_database_refuses(change: Callable[[], object], constraint: str) -> None:
    before = factories.everything()

    with pytest.raises(Exception, match=constraint), transaction.atomic():
        change()

    assert factories.everything() == before


@pytest.mark.parametrize("part", ["discount", "to_invoice", "total", "subtotal"])
def test_totals_that_do_not_add_up_are_refused(book: Book, part: str) -> None:
    totals = Settlement.objects.get(book=book, cycle=0).totals | {part: "-1"}

    with pytest.raises(IntegrityError, match="billing_settlement_totals"), transaction.atomic():
        unfrozen(Settlement, totals=totals)()


def test_each_event_is_in_one_settlement(book: Book) -> None:
    for event in UsageEvent.objects.filter(book=book):
        inside = Settlement.objects.filter(
            book=book, starts_at__lte=event.counted_at, ends_at__gt=event.counted_at
        )
        assert inside.count() == 1
    totals = [found.totals["total"] for found in Settlement.objects.order_by("cycle")]
    assert totals == ["10", "4"]
