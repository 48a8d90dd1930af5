"""Instances read with what they refer to, in one statement of plain SQL."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.database import joined
from billing.models import Subscription
from tests import factories
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db


def test_what_is_read_is_what_the_orm_reads() -> None:
    factories.offering()
    factories.customer("cust_1")
    subscription = factories.subscription("cust_1", "tokens_monthly")
    paths = ["customer__book", "version__plan", "offering"]
    expected = Subscription.objects.select_related(*paths).get(pk=subscription.pk)

    with CaptureQueriesContext(connection) as captured:
        (found,) = joined.select(Subscription, paths, "WHERE t.id = %s", [subscription.pk])
        pairs = [
            (found, expected),
            (found.customer, expected.customer),
            (found.customer.book, expected.customer.book),
            (found.version, expected.version),
            (found.version.plan, expected.version.plan),
            (found.offering, expected.offering),
        ]

    assert len(captured) == 1
    for ours, theirs in pairs:
        assert type(ours) is type(theirs)
        for field in theirs._meta.concrete_fields:
            assert getattr(ours, field.attname) == getattr(theirs, field.attname), field
        assert not ours._state.adding


def test_an_empty_reference_is_none_and_asks_nothing_more() -> None:
    factories.customer("cust_1")
    factories.top_up("cust_1", "5")

    with CaptureQueriesContext(connection) as captured:
        (lot,) = joined.select(CreditLot, ["wallet__book", "unit_wallet__metric"], "", [])
        assert lot.unit_wallet is None
        assert lot.wallet is not None
        assert lot.wallet.book.key == "cust_1"

    assert len(captured) == 1


def test_several_rows_come_in_the_order_asked_for() -> None:
    for name in ("cust_1", "cust_2"):
        factories.customer(name)
        factories.top_up(name, "5")

    lots = joined.select(CreditLot, ["wallet__book"], "ORDER BY t2.key DESC", [])

    assert [lot.wallet and lot.wallet.book.key for lot in lots] == ["cust_2", "cust_1"]
