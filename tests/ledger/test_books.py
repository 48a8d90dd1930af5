"""The books: appended in order, chained, guarded by the database, and proved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.services import proof
from ledger import chain
from ledger import services as ledger
from ledger.models import Account, Book, Entry, Event, Period, Posting
from ledger.recipes import Line
from ledger.reports import trial_balance
from tests import factories
from wallets import services as wallets
from wallets.models import CreditLot, Movement

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def append(book: Book, amount: str = "5", at: datetime = NOON) -> Entry:
    with transaction.atomic():
        locked = ledger.lock_book(book_id=book.pk)
        draft = ledger.EntryDraft(
            book=locked,
            event=Event.TOP_UP,
            occurred_at=at,
            document={"reason": "test"},
            lines=[Line("1010", "2100", Decimal(amount), "USD")] if Decimal(amount) else [],
        )
        return ledger.append([draft])[0]


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
class TestAppend:
    def test_lists_over_several_books_take_the_same_statements_as_one(self) -> None:
        books = [ledger.open_book(livemode=False, key=f"b{n}") for n in range(10)]

        def run(chosen: list[Book]) -> int:
            locked = ledger.lock_books(ids=[book.pk for book in chosen])
            drafts = [
                ledger.EntryDraft(locked[book.pk], Event.TOP_UP, NOON, {"n": str(n)})
                for n in range(3)
                for book in chosen
            ]
            with CaptureQueriesContext(connection) as queries:
                ledger.append(drafts)
            return len(queries)

        assert run(books) == run(books[:1])
        sequences = Entry.objects.filter(book=books[5]).values_list("sequence", flat=True)
        assert sorted(sequences) == [1, 2, 3]
        assert proof.verify().entries == 33

    def test_recorded_at_never_goes_back_within_a_book(self) -> None:
        book = ledger.open_book(livemode=False, key="b")
        future = timezone.now() + (NOON - NOON.replace(hour=11))
        Book.objects.filter(pk=book.pk).update(last_recorded_at=future)

        entry = append(book)

        assert entry.recorded_at > future

    def test_a_second_book_of_a_customer_is_refused(self) -> None:
        ledger.open_book(livemode=False, key="b")

        with pytest.raises(ledger.BookExists):
            ledger.open_book(livemode=False, key="b")

        assert ledger.open_book(livemode=True, key="b").livemode


@pytest.mark.django_db
class TestGuards:
    @pytest.mark.parametrize("table", ["ledger_entry", "ledger_posting", "wallets_movement"])
    @pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
    @pytest.mark.parametrize("role", ["origin", "replica"])
    def test_history_is_neither_edited_nor_deleted(
        self, table: str, change: str, role: str
    ) -> None:
        """The tests connect as the owner of the tables."""
        factories.customer()
        factories.top_up("cust_1", "10")
        before = factories.everything()

        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            sql(f"SET LOCAL session_replication_role = {role}; {change.format(table)}")

        assert factories.everything() == before

    @pytest.mark.parametrize(
        ("line", "constraint"),
        [
            (("1010", "2100", "0"), "ledger_posting_amount"),
            (("1010", "2100", "-1"), "ledger_posting_amount"),
            (("2100", "2100", "1"), "ledger_posting_accounts"),
        ],
    )
    def test_an_impossible_posting_is_refused(
        self, line: tuple[str, str, str], constraint: str
    ) -> None:
        entry = append(ledger.open_book(livemode=False, key="b"))

        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Posting.objects.create(
                entry=entry,
                position=9,
                debit_id=line[0],
                credit_id=line[1],
                amount=Decimal(line[2]),
                currency="USD",
            )

        assert Posting.objects.count() == 1

    def test_the_terms_of_a_lot_never_change(self) -> None:
        factories.customer()
        factories.top_up("cust_1", "10")

        with pytest.raises(IntegrityError, match="never change"), transaction.atomic():
            CreditLot.objects.update(face=20)

        assert CreditLot.objects.get().face == 10

    def test_a_closed_period_takes_no_entry_and_late_ones_move_on(self) -> None:
        Period.objects.create(starts_on=date(2026, 3, 1), ends_on=date(2026, 4, 1), status="CLOSED")
        live = ledger.open_book(livemode=True, key="b")
        sandbox = ledger.open_book(livemode=False, key="b")

        late, free = append(live), append(sandbox)

        assert (late.accounting_date, late.occurred_at) == (date(2026, 4, 1), NOON)
        assert free.accounting_date == date(2026, 3, 15)
        with pytest.raises(IntegrityError, match="period is closed"), transaction.atomic():
            Entry.objects.create(
                book=live,
                sequence=2,
                event="TOP_UP",
                occurred_at=NOON,
                recorded_at=NOON,
                accounting_date=date(2026, 3, 31),
                document={},
                hash="",
            )

    def test_the_trial_balance_counts_by_accounting_date(self) -> None:
        book = ledger.open_book(livemode=False, key="b")
        append(book, "5", NOON)
        append(book, "7", NOON.replace(month=4))

        march = trial_balance(livemode=False, as_of=date(2026, 3, 31))

        assert [(r.account, r.debit, r.credit, r.balance) for r in march] == [
            ("1010", Decimal(5), Decimal(0), Decimal(5)),
            ("2100", Decimal(0), Decimal(5), Decimal(5)),
        ]
        assert trial_balance(livemode=True) == []
        assert Account.objects.count() == 39


@contextmanager
def guards_off(*tables: str) -> Iterator[None]:
    """Do what only the owner can: switch the triggers off, and on again."""
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    for table in tables:
        sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    for table in tables:
        sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    sql("SET CONSTRAINTS ALL DEFERRED")


@pytest.mark.django_db
class TestTampering:
    @pytest.fixture(autouse=True)
    def book(self) -> Book:
        book = factories.customer()
        factories.top_up("cust_1", "100")
        for n in range(3):
            factories.body(factories.debit("cust_1", "10", f"k{n}"))
        assert proof.verify().ok
        return book

    @pytest.mark.parametrize(
        ("table", "change", "named"),
        [
            ("ledger_posting", "amount = 11 WHERE entry_id = ({third})", "cust_1#3"),
            ("ledger_posting", "credit_id = '4010' WHERE entry_id = ({third})", "cust_1#3"),
            ("ledger_entry", "occurred_at = now() WHERE sequence = 2", "cust_1#2"),
            (
                "ledger_entry",
                "recorded_at = recorded_at + interval '1 microsecond' WHERE sequence = 2",
                "cust_1#2",
            ),
            ("ledger_entry", "event = 'GRANT' WHERE sequence = 3", "cust_1#3"),
            ("ledger_entry", "accounting_date = '2020-01-01' WHERE sequence = 2", "cust_1#2"),
            ("ledger_entry", "document = '{{}}' WHERE sequence = 4", "cust_1#4"),
            ("wallets_movement", "quantity = 11 WHERE entry_id = ({third})", "cust_1#3"),
        ],
    )
    def test_an_edit_is_named(self, table: str, change: str, named: str) -> None:
        third = "SELECT id FROM ledger_entry WHERE sequence = 3"

        with guards_off(table):
            sql(f"UPDATE {table} SET {change.format(third=third)}")

        bad = proof.verify().first_bad
        assert bad is not None
        assert bad.entry == named

    def test_an_edit_with_a_hash_to_match_breaks_the_entry_after_it(self, book: Book) -> None:
        """As by somebody who knows how the chain is made."""
        second = Entry.objects.get(sequence=2)
        forged = chain.entry_hash(
            chain.Content(
                livemode=False,
                book=book.key,
                id=second.id,
                sequence=2,
                event=second.event,
                occurred_at=second.occurred_at,
                recorded_at=second.recorded_at,
                accounting_date=second.accounting_date,
                document={},
                lines=[
                    Line(p.debit_id, p.credit_id, p.amount, p.currency, p.lot)
                    for p in second.postings.order_by("position")
                ],
                movements=wallets.movement_lines([second.id])[second.id],
            ),
            second.prev_hash,
        )

        with guards_off("ledger_entry"):
            sql(f"UPDATE ledger_entry SET document = '{{}}', hash = '{forged}' WHERE sequence = 2")

        bad = proof.verify().first_bad
        assert bad is not None
        assert (bad.entry, bad.reason.partition(":")[0]) == (
            "cust_1#3",
            "it does not follow the entry before it",
        )

    def test_an_account_that_left_the_chart_is_named_and_still_summed(self) -> None:
        """100 topped up, 30 burned in three debits; the first entry posts to 2100 already."""
        sql("DELETE FROM ledger_account WHERE code = '2100'")

        bad = proof.verify().first_bad
        assert bad == ledger.BadEntry("cust_1#1", "account 2100 is not in the chart")
        rows = {row.account: row for row in trial_balance(livemode=False)}
        assert rows["2100"].name == "(not in the chart)"
        assert (rows["2100"].debit, rows["2100"].credit) == (Decimal(30), Decimal(100))

    def test_a_deleted_posting_is_named(self) -> None:
        with guards_off("ledger_posting"):
            sql(
                "DELETE FROM ledger_posting p USING ledger_entry e "
                "WHERE e.id = p.entry_id AND e.sequence = 3"
            )

        bad = proof.verify().first_bad
        assert bad is not None
        assert bad.entry == "cust_1#3"

    def test_a_deleted_entry_is_named(self) -> None:
        self._delete(3)

        bad = proof.verify().first_bad
        assert bad is not None
        assert (bad.entry, bad.reason) == ("cust_1#4", "sequence 3 is missing")

    def test_a_tail_that_was_cut_off_is_found(self) -> None:
        self._delete(4)

        bad = proof.verify().first_bad
        assert bad is not None
        assert bad.entry == "cust_1#4"

    def test_reordered_entries_are_named(self) -> None:
        with guards_off("ledger_entry"):
            sql("UPDATE ledger_entry SET sequence = 99 WHERE sequence = 2")
            sql("UPDATE ledger_entry SET sequence = 2 WHERE sequence = 3")
            sql("UPDATE ledger_entry SET sequence = 3 WHERE sequence = 99")

        bad = proof.verify().first_bad
        assert bad is not None
        assert bad.entry == "cust_1#2"

    def test_an_inserted_entry_is_named(self, book: Book) -> None:
        Entry.objects.create(
            book=book,
            sequence=5,
            event="TOP_UP",
            occurred_at=NOON,
            recorded_at=timezone.now(),
            accounting_date=NOON.date(),
            document={},
            prev_hash=Entry.objects.get(sequence=4).hash,
            hash="f" * 64,
        )

        bad = proof.verify().first_bad
        assert bad is not None
        assert bad.entry == "cust_1#5"

    def test_a_lot_that_was_raised_is_named(self) -> None:
        CreditLot.objects.update(remaining=F("remaining") + 1)

        bad = proof.verify().first_bad
        assert bad is not None
        assert bad.entry == f"lot {CreditLot.objects.get().pk}"
        assert "its movements say 70" in bad.reason

    def _delete(self, sequence: int) -> None:
        with guards_off("ledger_entry", "ledger_posting", "wallets_movement"):
            entry = f"SELECT id FROM ledger_entry WHERE sequence = {sequence}"
            sql(f"DELETE FROM ledger_posting WHERE entry_id = ({entry})")
            sql(f"DELETE FROM wallets_movement WHERE entry_id = ({entry})")
            sql(f"DELETE FROM wallets_debit WHERE entry_id = ({entry})")
            sql(f"DELETE FROM ledger_entry WHERE sequence = {sequence}")


@pytest.mark.django_db(transaction=True)
def test_two_threads_append_to_one_book_without_a_gap() -> None:
    book = ledger.open_book(livemode=False, key="b")
    barrier = threading.Barrier(4)

    def run(_: int) -> None:
        barrier.wait()
        try:
            for _n in range(10):
                append(book)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))

    entries = list(Entry.objects.order_by("sequence"))
    assert [entry.sequence for entry in entries] == list(range(1, 41))
    assert all(a.recorded_at < b.recorded_at for a, b in pairwise(entries))
    assert proof.verify().ok
    assert Movement.objects.count() == 0
