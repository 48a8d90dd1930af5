"""The books: appended in order, chained, guarded by the database, and proved."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aforo import actors
from billing.finance import verification
from ledger.entries import books as ledger_books
from ledger.entries import entries as ledger_entries
from ledger.models import Account, AccountingPeriod, Book, Entry, LedgerEvent, Posting
from ledger.posting_rules import PostingLine
from ledger.reports import trial_balance
from tests import factories
from tests.ledger.seals.tampering import sql
from wallets.models import CreditLot, Movement

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def append(book: Book, amount: str = "5", at: datetime = NOON) -> Entry:
    with transaction.atomic():
        locked = ledger_books.lock_book(book_id=book.pk)
        draft = ledger_entries.EntryDraft(
            book=locked,
            event=LedgerEvent.TOP_UP,
            occurred_at=at,
            document={"reason": "test"},
            lines=[PostingLine("1010", "2100", Decimal(amount), "USD")] if Decimal(amount) else [],
        )
        return ledger_entries.append([draft])[0]


@pytest.mark.django_db
class TestAppend:
    def test_lists_over_several_books_take_the_same_statements_as_one(self) -> None:
        books = [ledger_books.open_book(livemode=False, key=f"b{n}") for n in range(10)]

        def run(chosen: list[Book]) -> int:
            locked = ledger_books.lock_books(ids=[book.pk for book in chosen])
            drafts = [
                ledger_entries.EntryDraft(locked[book.pk], LedgerEvent.TOP_UP, NOON, {"n": str(n)})
                for n in range(3)
                for book in chosen
            ]
            with CaptureQueriesContext(connection) as queries:
                ledger_entries.append(drafts)
            return len(queries)

        assert run(books) == run(books[:1])
        sequences = Entry.objects.filter(book=books[5]).values_list("sequence", flat=True)
        assert sorted(sequences) == [1, 2, 3]
        assert verification.verify().entries == 33

    def test_recorded_at_never_goes_back_within_a_book(self) -> None:
        book = ledger_books.open_book(livemode=False, key="b")
        future = timezone.now() + (NOON - NOON.replace(hour=11))
        Book.objects.filter(pk=book.pk).update(last_recorded_at=future)

        entry = append(book)

        assert entry.recorded_at > future

    def test_a_second_book_of_a_customer_is_refused(self) -> None:
        ledger_books.open_book(livemode=False, key="b")

        with pytest.raises(ledger_books.BookExists):
            ledger_books.open_book(livemode=False, key="b")

        assert ledger_books.open_book(livemode=True, key="b").livemode


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
        entry = append(ledger_books.open_book(livemode=False, key="b"))

        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Posting.objects.create(
                book=entry.book,
                entry=entry,
                position=9,
                debit_id=line[0],
                credit_id=line[1],
                amount=Decimal(line[2]),
                currency="USD",
            )

        assert Posting.objects.count() == 1

    def test_a_posting_in_another_book_than_its_entry_is_refused(self) -> None:
        entry = append(ledger_books.open_book(livemode=False, key="b"))
        other = ledger_books.open_book(livemode=False, key="c")

        with pytest.raises(IntegrityError, match="book of its entry"), transaction.atomic():
            Posting.objects.create(
                book=other,
                entry=entry,
                position=9,
                debit_id="1010",
                credit_id="2100",
                amount=Decimal(1),
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
        AccountingPeriod.objects.create(
            starts_on=date(2026, 3, 1), ends_on=date(2026, 4, 1), status="CLOSED"
        )
        live = ledger_books.open_book(livemode=True, key="b")
        sandbox = ledger_books.open_book(livemode=False, key="b")

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
                document={"actor": actors.job("tests").describe()},
                hash="",
            )

    def test_the_trial_balance_counts_by_accounting_date(self) -> None:
        book = ledger_books.open_book(livemode=False, key="b")
        append(book, "5", NOON)
        append(book, "7", NOON.replace(month=4))

        march = trial_balance(livemode=False, as_of=date(2026, 3, 31))

        assert [(r.account, r.debit, r.credit, r.balance) for r in march] == [
            ("1010", Decimal(5), Decimal(0), Decimal(5)),
            ("2100", Decimal(0), Decimal(5), Decimal(5)),
        ]
        assert trial_balance(livemode=True) == []
        assert Account.objects.count() == 39


@pytest.mark.django_db(transaction=True)
def test_two_threads_append_to_one_book_without_a_gap() -> None:
    book = ledger_books.open_book(livemode=False, key="b")
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
    assert verification.verify().ok
    assert Movement.objects.count() == 0
