"""Set-based writes store what plain ones would."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext
from psycopg import _queries

from aforo.access.models import ApiKey
from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.errors import InvariantBroken
from aforo.ids import new_id
from ledger.models import Account, AccountingPeriod, Book, Posting, Side, Statement
from tests import factories
from wallets.models import CreditLot, Operation, Wallet

pytestmark = pytest.mark.django_db


def account(code: str, name: str = "Test", normal: str = Side.DEBIT) -> list[str]:
    return [code, name, normal, Statement.ASSET]


NAMES = ["code", "name", "normal", "statement"]


def test_rows_travel_in_one_statement_however_many() -> None:
    rows = [account(f"9{n:03}", f"{n}: 'quoted', {{braced}} \\ and NULL") for n in range(300)]

    with CaptureQueriesContext(connection) as queries:
        bulk.insert_rows(Account, NAMES, rows)

    # And one that names the actor: accounts are configuration, which has an audit trail.
    assert [each["sql"].split()[0] for each in queries] == ["SELECT", "INSERT"]
    stored = Account.objects.filter(code__startswith="9").order_by("code")
    assert [[a.code, a.name, a.normal, a.statement] for a in stored] == rows


def test_choices_mix_with_plain_text_and_integers_with_decimals() -> None:
    bulk.insert_rows(Account, NAMES, [account("9000"), account("9001", normal="CREDIT")])
    factories.customer()
    factories.top_up("cust_1", "10")
    lot = CreditLot.objects.get()
    other = CreditLot.objects.get()
    other.pk, other.held, other.carrying_remaining = new_id(), 0, Decimal("0.000000000001")

    lot.pk, lot.cause = new_id(), "again"
    bulk.insert_models(CreditLot, [lot, other])

    assert Account.objects.get(code="9001").normal == Side.CREDIT
    assert CreditLot.objects.get(pk=other.pk).carrying_remaining == Decimal("0.000000000001")
    assert CreditLot.objects.get(pk=lot.pk).carrying_remaining == 10


def test_null_is_not_json_null() -> None:
    factories.customer()
    factories.top_up("cust_1", "10")
    lot = CreditLot.objects.get()
    rolling = CreditLot.objects.get()
    lot.pk, lot.cause = new_id(), "none"
    rolling.pk, rolling.rollover = new_id(), {"mode": "ALL", "note": "é\"'{}"}

    bulk.insert_models(CreditLot, [lot, rolling])

    assert CreditLot.objects.filter(rollover__isnull=True).count() == 2
    assert CreditLot.objects.get(pk=rolling.pk).rollover == {"mode": "ALL", "note": "é\"'{}"}


def test_conflicts_are_passed_over_and_what_was_inserted_is_told() -> None:
    bulk.insert_rows(Account, NAMES, [account("9000", "First")])

    inserted = bulk.insert_rows(
        Account,
        NAMES,
        [account("9000", "Second"), account("9001")],
        ignore_conflicts=True,
    )

    assert inserted == 1
    assert Account.objects.filter(code="9001").exists()
    assert Account.objects.get(code="9000").name == "First"


def test_what_is_inserted_last_raises_where_it_is_taken() -> None:
    codes = ("9000", "9001")
    bulk.insert_rows(Account, NAMES, [account("9001", "First")])
    new = [Account(**dict(zip(NAMES, account(code), strict=True))) for code in codes]
    writes = Writes()
    writes.insert_rows(Account, NAMES, [account("8000")])
    writes.insert_last(Account, new, or_raise=KeyError("9001"))

    with pytest.raises(KeyError), transaction.atomic():
        writes.execute()

    assert list(Account.objects.filter(code__in=["8000", *codes]).values_list("name")) == [
        ("First",)
    ]
    writes.insert_last(Account, new[:1], or_raise=KeyError("9000"))
    writes.execute()
    assert Account.objects.filter(code="9000").exists()


def test_the_driver_translates_the_statement_of_a_list_once() -> None:
    """Whatever its length, as long as its text is the same."""
    factories.customer()
    factories.top_up("cust_1", "10")
    factories.debit("cust_1", "1", "first")
    before = _queries._query2pg.cache_info()

    factories.debit("cust_1", "1", "second")

    after = _queries._query2pg.cache_info()
    assert after.misses == before.misses
    assert after.hits > before.hits


def test_updates_touch_the_named_rows_and_columns_only() -> None:
    books = [Book.objects.create(livemode=False, key=f"b{n}") for n in range(3)]

    with CaptureQueriesContext(connection) as queries:
        bulk.update_rows(
            Book,
            "id",
            ["sequence", "last_recorded_at"],
            [[b.pk, n + 7, None] for n, b in enumerate(books[:2])],
        )

    assert len(queries) == 1
    stored = Book.objects.order_by("pk").values_list("key", "sequence")
    assert list(stored) == [("b0", 7), ("b1", 8), ("b2", 0)]


def test_dates_and_moments_keep_their_day_and_instant() -> None:
    """A moment is one instant, whichever zone it is written in."""
    moment = datetime(2026, 3, 1, 0, 0, 0, 1, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-5)))
    names = ["livemode", "starts_on", "ends_on", "status", "closed_at", "closed_by"]

    bulk.insert_rows(
        AccountingPeriod,
        names,
        [
            [True, date(2026, 1, 1), date(2026, 2, 1), "CLOSED", elsewhere, "mia"],
            [True, date(2026, 2, 1), date(2026, 3, 1), "OPEN", None, ""],
        ],
    )

    assert list(AccountingPeriod.objects.order_by("starts_on").values_list(*names)) == [
        (True, date(2026, 1, 1), date(2026, 2, 1), "CLOSED", moment, "mia"),
        (True, date(2026, 2, 1), date(2026, 3, 1), "OPEN", None, ""),
    ]


def test_an_array_is_refused_by_name() -> None:
    before = ApiKey.objects.count()

    with pytest.raises(InvariantBroken, match=r"ApiKey\.scopes is varchar\(20\)\[\]"):
        bulk.insert_rows(ApiKey, ["name", "scopes"], [["n", ["ledger"]]])

    assert ApiKey.objects.count() == before


@pytest.mark.parametrize("field", [models.BinaryField(), models.DurationField()])
def test_what_an_array_literal_would_garble_is_refused(
    field: models.Field[object, object],
) -> None:
    field.set_attributes_from_name("odd")

    with pytest.raises(InvariantBroken, match="cannot travel"):
        bulk._column(field)


def test_no_rows_are_no_statement() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert bulk.insert_rows(Operation, ["id"], []) == 0
        bulk.insert_models(Posting, [])
        bulk.update_rows(Book, "id", ["sequence"], [])

    assert len(queries) == 0


def test_instances_are_read_as_the_orm_reads_them() -> None:
    factories.customer()
    factories.top_up("cust_1", "10")
    factories.grant("cust_1", "5", expires_at=datetime(2100, 9, 1, tzinfo=UTC))
    factories.debit("cust_1", "3")

    for model in (Book, CreditLot, Operation, Wallet):
        plain = list(model._base_manager.order_by("pk"))

        with CaptureQueriesContext(connection) as queries:
            read = bulk.select_models(
                model, "WHERE t.id = ANY(%s) ORDER BY t.id", [[i.pk for i in plain]]
            )

        assert len(queries) == 1
        assert plain
        for one, other in zip(read, plain, strict=True):
            assert type(one) is type(other)
            assert {f.attname: getattr(one, f.attname) for f in model._meta.concrete_fields} == {
                f.attname: getattr(other, f.attname) for f in model._meta.concrete_fields
            }
            assert not one._state.adding
