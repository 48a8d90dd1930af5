"""Appending: dates against closed months, heads against rolled-back work, locks against a close."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, IntegrityError, connection, transaction

from aforo import actors
from aforo.errors import Busy, InvariantBroken
from ledger import locks
from ledger.entries import books, chain_verification, entries
from ledger.entries.hash_chain import MovementLine
from ledger.models import AccountingPeriod, Book, Entry, PeriodStatus, Posting
from ledger.posting_rules import PostingLine

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
FIVE = [PostingLine("1010", "2100", Decimal(5), "USD")]


def draft(
    book: Book,
    at: datetime = NOON,
    *,
    lines: Sequence[PostingLine] = FIVE,
    at_period_end: bool = False,
) -> entries.EntryDraft:
    return entries.EntryDraft(
        book, "TOP_UP", at, {"reason": "test"}, lines, at_period_end=at_period_end
    )


def append(book: Book, at: datetime = NOON) -> Entry:
    with transaction.atomic():
        (entry,) = entries.append([draft(books.lock_book(book_id=book.pk), at)])
        return entry


def close(year: int, month: int, status: PeriodStatus = PeriodStatus.CLOSED) -> AccountingPeriod:
    ends_on = date(year + month // 12, month % 12 + 1, 1)
    return AccountingPeriod.objects.create(
        starts_on=date(year, month, 1), ends_on=ends_on, status=status
    )


def no_movements(book_id: int, after: int, until: int) -> Mapping[int, Sequence[MovementLine]]:
    return {}


def chain_of(book: Book) -> chain_verification.ChainReport:
    return chain_verification.verify_chain(
        book=Book.objects.get(pk=book.pk), movements=no_movements
    )


@pytest.mark.django_db
class TestAccountingDate:
    @pytest.fixture
    def book(self) -> Book:
        return books.open_book(livemode=True, key="b")

    def test_an_event_exactly_on_a_periods_end_belongs_to_the_period(self, book: Book) -> None:
        april = datetime(2026, 4, 1, tzinfo=UTC)

        end, start = entries.append([draft(book, april, at_period_end=True), draft(book, april)])

        assert (end.accounting_date, end.occurred_at) == (date(2026, 3, 31), april)
        assert start.accounting_date == date(2026, 4, 1)

    def test_the_entitys_zone_decides_the_day(self, book: Book, settings: LazySettings) -> None:
        settings.ENTITY_TIMEZONE = "America/New_York"

        entry = append(book, datetime(2026, 4, 1, 2, tzinfo=UTC))

        assert entry.accounting_date == date(2026, 3, 31)

    def test_a_late_event_goes_past_every_closed_month_in_a_row(self, book: Book) -> None:
        for month in (1, 2, 3):
            close(2026, month)

        entry = append(book, datetime(2026, 1, 20, tzinfo=UTC))

        assert entry.accounting_date == date(2026, 4, 1)

    def test_a_reopened_month_takes_its_own_events(self, book: Book) -> None:
        close(2026, 1)
        close(2026, 2, PeriodStatus.OPEN)
        close(2026, 3)

        february = append(book, datetime(2026, 2, 20, tzinfo=UTC))
        march = append(book, NOON)

        assert february.accounting_date == date(2026, 2, 20)
        assert march.accounting_date == date(2026, 4, 1)

    def test_days_before_the_first_closed_month_are_closed_with_it(self, book: Book) -> None:
        close(2026, 3)

        entry = append(book, datetime(2025, 12, 31, tzinfo=UTC))

        assert entry.accounting_date == date(2026, 4, 1)
        self.insert_refused(book, date(2025, 12, 31))

    def insert_refused(self, book: Book, day: date) -> None:
        before = Entry.objects.count()
        with pytest.raises(IntegrityError, match="entry refused"), transaction.atomic():
            Entry.objects.create(
                book=book,
                sequence=99,
                event="TOP_UP",
                occurred_at=NOON,
                recorded_at=NOON,
                accounting_date=day,
                document={"actor": actors.job("tests").describe()},
                hash="",
            )
        assert Entry.objects.count() == before

    def test_no_posting_is_added_to_an_entry_of_a_closed_month(self, book: Book) -> None:
        entry = append(book)
        close(2026, 3)

        with pytest.raises(IntegrityError, match="posting refused"), transaction.atomic():
            Posting.objects.create(
                book=entry.book,
                entry=entry,
                position=1,
                debit_id="1010",
                credit_id="2100",
                amount=Decimal(1),
                currency="USD",
            )

        assert Posting.objects.count() == 1


@pytest.mark.django_db
class TestHead:
    def test_a_book_object_that_outlived_a_rollback_is_no_danger(self) -> None:
        book = books.open_book(livemode=False, key="b")
        entries.append([draft(book)])
        point = transaction.savepoint()
        entries.append([draft(book), draft(book)])
        transaction.savepoint_rollback(point)
        assert book.sequence == 3

        (entry,) = entries.append([draft(book)])

        assert (entry.sequence, book.sequence) == (2, 2)
        assert chain_of(book) == chain_verification.ChainReport(2, None)

    def test_a_draft_that_cannot_be_stored_writes_nothing(self) -> None:
        book = books.open_book(livemode=False, key="b")
        thirteen = PostingLine("1010", "2100", Decimal("0.0000000000001"), "USD")

        with pytest.raises(InvariantBroken):
            entries.append([draft(book), draft(book, lines=[thirteen])])

        assert (Entry.objects.count(), Book.objects.get().sequence) == (0, 0)

    def test_a_book_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(InvariantBroken):
            entries.append([draft(Book(pk=10**9, livemode=False, key="nobody"))])

    def test_an_edited_head_is_found(self) -> None:
        book = books.open_book(livemode=False, key="b")
        entries.append([draft(book)])
        Book.objects.update(head_hash="f" * 64)

        report = chain_of(book)

        assert report.first_bad == chain_verification.BadEntry(
            "b#1", "the book's head is not its last entry"
        )

    def test_a_head_set_back_names_the_entry_after_it(self) -> None:
        """As when somebody hides that there ever was a second entry, but not the entry."""
        book = books.open_book(livemode=False, key="b")
        first, _ = entries.append([draft(book), draft(book)])
        Book.objects.update(sequence=1, head_hash=first.hash, last_recorded_at=first.recorded_at)

        bad = chain_of(book).first_bad

        assert bad is not None
        assert (bad.entry, bad.reason) == ("b#2", "it was inserted: the book ends at 1")

    def test_what_is_appended_reads_back_as_it_was_hashed(self) -> None:
        book = books.open_book(livemode=False, key='Zoë\'s "book"\\')
        lines = [PostingLine("1010", "2100", Decimal("0.000000000001"), "JPY"), *FIVE]

        entries.append([draft(book, lines=lines), draft(book, lines=())])

        assert chain_of(book) == chain_verification.ChainReport(2, None)


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["nobody", "", "x" * 5000, "a\x00b", "\ud800", "' OR 1=1"])
def test_an_unknown_customer_is_unknown_however_it_is_spelt(key: str) -> None:
    books.open_book(livemode=True, key="somebody")

    with pytest.raises(books.UnknownCustomer) as refusal:
        books.get_book(livemode=True, key=key)

    assert refusal.value.code == "unknown_customer"
    assert books.find_books(livemode=False, keys=["somebody", key]) == {}


@pytest.mark.django_db(transaction=True)
class TestLocks:
    def test_a_month_is_not_closed_under_somebody_who_posts_into_it(self) -> None:
        """The poster shares the month until it commits; then the close is seen by the next one."""
        book = books.open_book(livemode=True, key="b")
        posted, waiting = threading.Event(), threading.Event()

        def post() -> date:
            with transaction.atomic():
                (entry,) = entries.append([draft(books.lock_book(book_id=book.pk))])
                posted.set()
                waiting.wait(10)
            connection.close()
            return entry.accounting_date

        with ThreadPoolExecutor(1) as pool:
            poster = pool.submit(post)
            assert posted.wait(10)
            with transaction.atomic():
                self.lock_timeout("200ms")
                with pytest.raises(Busy), transaction.atomic():
                    locks.lock_month(date(2026, 3, 1))
            waiting.set()
            assert poster.result() == date(2026, 3, 15)
        with transaction.atomic():
            locks.lock_month(date(2026, 3, 1))
            close(2026, 3)

        assert append(book).accounting_date == date(2026, 4, 1)

    def test_who_waits_while_a_month_closes_finds_it_closed(self) -> None:
        book = books.open_book(livemode=True, key="b")
        closing, closed = threading.Event(), threading.Event()

        def close_slowly() -> None:
            with transaction.atomic():
                locks.lock_month(date(2026, 3, 1))
                close(2026, 3)
                closing.set()
                closed.wait(10)
            connection.close()

        def post() -> date:
            day = append(book).accounting_date
            connection.close()
            return day

        with ThreadPoolExecutor(2) as pool:
            closer = pool.submit(close_slowly)
            assert closing.wait(10)
            poster = pool.submit(post)
            self.until_somebody_waits()
            closed.set()
            closer.result()
            assert poster.result() == date(2026, 4, 1)
        assert chain_of(book) == chain_verification.ChainReport(1, None)

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_a_lock_that_cannot_be_had_in_time_is_busy(self, exclusive: bool) -> None:
        book = books.open_book(livemode=False, key="b")
        locked, release = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                books.lock_book(book_id=book.pk, exclusive=exclusive)
                locked.set()
                release.wait(10)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(hold)
            assert locked.wait(10)
            with transaction.atomic():
                self.lock_timeout("100ms")
                with pytest.raises(Busy), transaction.atomic():
                    books.lock_book(book_id=book.pk)
                if exclusive:
                    with pytest.raises(Busy), transaction.atomic():
                        books.share_books(ids=[book.pk])
                else:
                    books.share_books(ids=[book.pk])
            release.set()
            holder.result()

    def test_locking_needs_a_transaction(self) -> None:
        book = books.open_book(livemode=False, key="b")

        with pytest.raises(transaction.TransactionManagementError):
            books.lock_book(book_id=book.pk)

    def test_the_owner_cannot_delete_an_entry_by_way_of_its_book(self) -> None:
        book = books.open_book(livemode=False, key="b")
        append(book)

        with pytest.raises(DatabaseError):
            Book.objects.filter(pk=book.pk)._raw_delete(using="default")

        assert (Book.objects.count(), Entry.objects.count()) == (1, 1)

    def lock_timeout(self, value: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [value])

    def until_somebody_waits(self) -> None:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        for _ in range(500):
            with connection.cursor() as cursor:
                cursor.execute(waiting)
                if cursor.fetchone() != (0,):
                    return
            threading.Event().wait(0.01)
        pytest.fail("Nobody waits for the month.")
