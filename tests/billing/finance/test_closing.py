"""Closing a month: what is accrued, what refuses it, what is frozen, how it opens again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from aforo.sandbox.models import TestClock
from billing.finance import closing, verification
from billing.finance.closing import tie_outs
from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.month_ends import month_end
from billing.usage import ingest
from ledger.controls import policies
from ledger.entries import books
from ledger.entries import entries as ledger_entries
from ledger.models import (
    AccountingPeriod,
    Book,
    ClosePack,
    Entry,
    Posting,
    Reopening,
)
from ledger.periods import periods
from ledger.posting_rules import PostingLine
from ledger.reports.totals.trial_balance import trial_balance
from tests import factories
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db

JANUARY = date(2026, 1, 1)
FEBRUARY_5 = datetime(2026, 2, 5, tzinfo=UTC)


def close(month: date = JANUARY, now: datetime = FEBRUARY_5) -> ClosePack:
    factories.person("ann")
    return closing.close_period(month=month, by="ann", now=now, clock=lambda: now)


def append(book: Book, at: datetime, amount: str = "5") -> Entry:
    lines = [PostingLine("1000", "2220", Decimal(amount), "USD")]
    with transaction.atomic():
        (entry,) = ledger_entries.append(
            [ledger_entries.EntryDraft(books.lock_book(book_id=book.pk), "PAYMENT", at, {}, lines)]
        )
    return entry


class TestClose:
    def test_a_month_that_ties_is_locked_and_its_pack_frozen(self) -> None:
        book = factories.customer(livemode=True)
        append(book, datetime(2026, 1, 20, tzinfo=UTC))

        pack = close()

        period = AccountingPeriod.objects.get(starts_on=JANUARY)
        assert (period.status, period.closed_by, pack.number) == ("CLOSED", "ann", 1)
        files = {file.name: file for file in pack.files.all()}
        assert set(files) == {
            *(f"{name}.csv" for name in closing.PACK),
            "tie-outs.csv",
            "policies.json",
            "checklist.json",
        }
        for file in files.values():
            assert file.sha256 == hashlib.sha256(file.content.encode()).hexdigest()
        checklist = json.loads(files["checklist.json"].content)
        assert (checklist["period"], checklist["entries"]) == ("2026-01", 1)
        assert checklist["files"]["trial-balance.csv"] == files["trial-balance.csv"].sha256
        assert files["tie-outs.csv"].content == (
            "tie-out,currency,books,other,difference\n"
            "trial balance: debits = credits,USD,5,5,0\n"
            "2220 = credit of customers,USD,5,5,0\n"
        )

    def test_a_late_event_keeps_its_moment_and_goes_into_the_open_month(self) -> None:
        book = factories.customer(livemode=True)
        close()
        at = datetime(2026, 1, 20, tzinfo=UTC)

        late = append(book, at)

        assert (late.occurred_at, late.accounting_date) == (at, date(2026, 2, 1))

    @pytest.mark.parametrize("table", ["ledger_closepack", "ledger_closefile"])
    @pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
    def test_what_was_frozen_never_changes(self, table: str, change: str) -> None:
        close()

        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            sql(change.format(table))

    def test_the_command_lists_the_pack(self) -> None:
        factories.person("ann")
        out = io.StringIO()

        call_command("close_period", "2026-01", "--by", "ann", stdout=out)

        assert out.getvalue().endswith("2026-01 is closed, pack 1\n")
        assert out.getvalue().count("\n") == len(closing.PACK) + 4


class TestRefusals:
    def test_a_month_that_is_not_over(self) -> None:
        with pytest.raises(periods.PeriodNotOver):
            close(now=datetime(2026, 1, 31, 23, 59, tzinfo=UTC))

        assert AccountingPeriod.objects.count() == 0

    def test_a_month_before_the_last_one_is_closed(self) -> None:
        close()

        with pytest.raises(periods.OutOfOrder, match="2026-02 is not closed yet"):
            close(date(2026, 3, 1), now=datetime(2026, 4, 5, tzinfo=UTC))

    def test_a_second_time(self) -> None:
        close()

        with pytest.raises(periods.PeriodClosed):
            close()

        assert ClosePack.objects.count() == 1

    def test_a_cycle_that_ended_and_is_not_settled(self) -> None:
        """Its plan waits for late usage until the tenth of February."""
        factories.offering("slow", livemode=True, spec={"grace_hours": 24 * 9})
        factories.customer(livemode=True)
        subscription = subscribing.subscribe(livemode=True, customer_id="cust_1", offering="slow")
        type(subscription).objects.update(
            current_starts_at=factories.START,
            current_ends_at=factories.FEBRUARY,
            full_starts_at=factories.START,
            full_ends_at=factories.FEBRUARY,
        )

        with pytest.raises(closing.NotReady, match="unsettled for 1 customers: cust_1"):
            close()

        assert AccountingPeriod.objects.get().status == "PENDING_CLOSE"
        assert ClosePack.objects.count() == 0

    def test_lots_that_differ_from_what_is_owed_for_them(self) -> None:
        book = factories.customer(livemode=True)
        append(book, datetime(2026, 1, 20, tzinfo=UTC))
        with guards_off("ledger_posting"):
            sql("UPDATE ledger_posting SET credit_id = '2100'")

        with pytest.raises(closing.NotReady, match="2100 = lots: 5 in the books, 0 USD"):
            close()

        assert AccountingPeriod.objects.get().status == "PENDING_CLOSE"

    @pytest.mark.parametrize(
        ("account", "named"),
        [
            ("1200", "1200 = settled, not invoiced, and accrued"),
            ("1100", "1100 = open invoices"),
        ],
    )
    def test_what_no_document_explains(self, account: str, named: str) -> None:
        book = factories.customer(livemode=True)
        append(book, datetime(2026, 1, 20, tzinfo=UTC))
        with guards_off("ledger_posting"):
            sql(f"UPDATE ledger_posting SET debit_id = '{account}'")

        with pytest.raises(closing.NotReady, match=f"{named}: 5 in the books, 0 USD"):
            close()

    @pytest.mark.parametrize("text", ["2026", "2026-13", "soon"])
    def test_what_is_no_month(self, text: str) -> None:
        with pytest.raises(CommandError, match="is no month"):
            call_command("close_period", text)


class TestReopening:
    @pytest.fixture(autouse=True)
    def closed(self) -> AccountingPeriod:
        close()
        return AccountingPeriod.objects.get(starts_on=JANUARY)

    def test_two_people_open_it_again_and_it_is_closed_anew(self, closed: AccountingPeriod) -> None:
        asked = periods.propose_reopening(
            period=closed, reason="A payment is missing.", by=factories.person("ann"),
            now=FEBRUARY_5,
        )  # fmt: skip
        periods.approve_reopening(reopening=asked, by=factories.person("bob"), now=FEBRUARY_5)
        closed.refresh_from_db()
        assert closed.status == "REOPENED"
        book = factories.customer(livemode=True)

        entry = append(book, datetime(2026, 1, 20, tzinfo=UTC))
        again = close(now=FEBRUARY_5 + timedelta(days=1))

        assert entry.accounting_date == date(2026, 1, 20)
        assert (again.number, ClosePack.objects.count()) == (2, 2)

    def test_not_while_a_later_month_is_closed(self, closed: AccountingPeriod) -> None:
        """February's opening is January's closing."""
        close(date(2026, 2, 1), now=datetime(2026, 3, 5, tzinfo=UTC))
        february = AccountingPeriod.objects.get(starts_on=date(2026, 2, 1))
        asked = {
            period: periods.propose_reopening(
                period=period, reason="Why.", by=factories.person("ann"), now=FEBRUARY_5
            )
            for period in (closed, february)
        }
        march = datetime(2026, 3, 6, tzinfo=UTC)

        with pytest.raises(periods.OutOfOrder, match="open 2026-02 again first"):
            periods.approve_reopening(
                reopening=asked[closed], by=factories.person("bob"), now=march
            )
        with transaction.atomic():
            Reopening.objects.filter(period=closed).update(
                approved_by=factories.person("bob"), approved_at=march
            )
            with (
                pytest.raises(IntegrityError, match="a later month is closed"),
                transaction.atomic(),
            ):
                AccountingPeriod.objects.filter(pk=closed.pk).update(status="REOPENED")
            transaction.set_rollback(True)

        for period in (february, closed):
            periods.approve_reopening(
                reopening=asked[period], by=factories.person("bob"), now=march
            )
        statuses = AccountingPeriod.objects.order_by("starts_on").values_list("status", flat=True)
        assert list(statuses) == ["REOPENED", "REOPENED", "OPEN"]

    def test_one_person_does_not(self, closed: AccountingPeriod) -> None:
        ann = factories.person("ann")
        asked = periods.propose_reopening(period=closed, reason="Why.", by=ann, now=FEBRUARY_5)

        with pytest.raises(policies.SamePerson):
            periods.approve_reopening(reopening=asked, by=ann, now=FEBRUARY_5)

        closed.refresh_from_db()
        assert closed.status == "CLOSED"

    @pytest.mark.parametrize(
        "change", ["SET status = 'OPEN'", "SET status = 'REOPENED'", "SET ends_on = '2026-01-02'"]
    )
    def test_nor_does_anybody_with_sql(self, closed: AccountingPeriod, change: str) -> None:
        with pytest.raises(IntegrityError, match="period is closed"), transaction.atomic():
            sql(f"UPDATE ledger_accountingperiod {change}")
        with pytest.raises(IntegrityError, match="period is closed"), transaction.atomic():
            sql("DELETE FROM ledger_accountingperiod")

        closed.refresh_from_db()
        assert closed.status == "CLOSED"

    def test_only_a_closed_month_is_opened(self) -> None:
        period = AccountingPeriod.objects.get(starts_on=date(2026, 2, 1))

        with pytest.raises(periods.PeriodNotClosed):
            periods.propose_reopening(
                period=period, reason="Why.", by=factories.person("ann"), now=FEBRUARY_5
            )


class TestAccrual:
    """A HYBRID cycle from 1 January, priced at .002; credits of 5 cover the first 2,500 tokens."""

    MID = datetime(2026, 1, 16, tzinfo=UTC)

    @pytest.fixture
    def book(self) -> Book:
        factories.offering()
        book = factories.clocked_customer()
        factories.subscription("cust_1")
        factories.top_up("cust_1", "5")
        TestClock.objects.filter(books=book).update(now=self.MID + timedelta(days=2))
        ingest.ingest(
            livemode=False,
            events=[factories.event("cust_1", 10_000, "e1", self.MID - timedelta(days=1))],
            received_at=self.MID,
        )
        return book

    def bring_up(self, book: Book, until: datetime) -> None:
        with transaction.atomic():
            locked = books.lock_book(book_id=book.pk, exclusive=True)
            month_end.reach_locked(book=locked, end=until)

    def unbilled(self, until: date) -> Decimal:
        rows = trial_balance(livemode=False, as_of=until)
        return sum((row.balance for row in rows if row.account == "1200"), Decimal(0))

    def test_what_credits_do_not_cover_is_accrued_at_the_end_and_taken_back_after(
        self, book: Book
    ) -> None:
        """10,000 x .002 = 20.00: 5.00 burned, 15.00 accrued on the 15th, back on the 16th."""
        self.bring_up(book, self.MID)

        assert -factories.posted("4000") == 5
        assert self.unbilled(date(2026, 1, 15)) == 15
        assert self.unbilled(date(2026, 1, 16)) == 0
        assert factories.posted("4020") == 0
        assert verification.verify().ok

    def test_repeated_it_posts_the_difference_only(self, book: Book) -> None:
        self.bring_up(book, self.MID)
        entries = Entry.objects.filter(event="USAGE_ACCRUED").count()
        self.bring_up(book, self.MID)
        assert Entry.objects.filter(event="USAGE_ACCRUED").count() == entries

        ingest.ingest(
            livemode=False,
            events=[factories.event("cust_1", 500, "e2", self.MID - timedelta(hours=1))],
            received_at=self.MID,
        )
        self.bring_up(book, self.MID)

        assert self.unbilled(date(2026, 1, 15)) == 16
        amounts = Posting.objects.filter(entry__event="USAGE_ACCRUED").order_by("entry__sequence")
        assert [p.amount for p in amounts] == [15, 15, 1, 1]

    def test_settled_the_cycle_is_billed_once(self, book: Book) -> None:
        self.bring_up(book, self.MID)
        clock = TestClock.objects.get(books=book)
        test_clocks.advance(clock_id=clock.pk, livemode=False, to=factories.FEBRUARY)

        assert (-factories.posted("4000"), -factories.posted("4020")) == (5, 15)
        assert (factories.posted("1200"), factories.posted("1100")) == (0, 15)
        assert all(tie.holds for tie in tie_outs.of_day(livemode=False, until=date(2026, 2, 1)))


def test_any_past_day_balances_and_equals_a_recomputation_from_movements() -> None:
    """Burns, a lapse, a refund, promo and goodwill, day by day."""
    book = factories.clocked_customer()
    clock = TestClock.objects.get(books=book)
    happened: list[Callable[[], object]] = [
        lambda: factories.bundle("cust_1", "100", bonus="20"),
        lambda: factories.debit("cust_1", "33.33", "a"),
        lambda: factories.grant("cust_1", "7", source="GOODWILL"),
        lambda: factories.debit("cust_1", "0.000001", "b"),
        lambda: factories.top_up("cust_1", "9.99"),
        lambda: factories.debit("cust_1", "60", "c"),
    ]
    for day, do in enumerate(happened):
        to = factories.START + timedelta(days=day)
        test_clocks.advance(clock_id=clock.pk, livemode=False, to=to)
        do()

    for day in range(7):
        found = tie_outs.of_day(
            livemode=False, until=(factories.START + timedelta(days=day)).date()
        )
        assert [tie for tie in found if not tie.holds] == []
        assert found
