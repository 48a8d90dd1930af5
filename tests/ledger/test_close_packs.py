"""What a close freezes: reports from it are those from the postings, and a wrong one is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing.finance import verification
from ledger.entries import books, entries
from ledger.models import AccountingPeriod, Book, ClosePack, Entry
from ledger.periods import periods
from ledger.posting_rules import PostingLine
from ledger.reports.report_table import Covered, ReportScope
from ledger.reports.totals import sums
from ledger.reports.totals.sums import Moved
from tests import factories
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL = (date(2026, month, 1) for month in (1, 2, 3, 4))
LATER = datetime(2026, 5, 1, tzinfo=UTC)
# Before the first month on record, in each of two closed ones, at their ends, and in an open one.
DAYS = [date(2025, 11, 30), JANUARY, date(2026, 1, 31), FEBRUARY, date(2026, 2, 15), MARCH]


def post(book: Book, day: date, amount: str, currency: str = "USD") -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    lines = [PostingLine("1000", "2220", Decimal(amount), currency)]
    with transaction.atomic():
        entries.append(
            [entries.EntryDraft(books.lock_book(book_id=book.pk), "PAYMENT", at, {}, lines)]
        )


def close(month: date) -> ClosePack:
    periods.begin_close(month=month, now=LATER)
    return periods.close(
        month=month, by="ann", now=LATER, check=lambda: None, files=lambda: {"a.csv": "a"}
    )


def reopen(month: date) -> None:
    asked = periods.propose_reopening(
        period=AccountingPeriod.objects.get(starts_on=month), reason="Why.",
        by=factories.person("ann"),
        now=LATER,
    )  # fmt: skip
    periods.approve_reopening(reopening=asked, by=factories.person("bob"), now=LATER)


BOUNDS = [date.min, *DAYS, date(2026, 2, 20), APRIL, date.max]
# A span, how many entries were recorded by the moment that is asked for, and what narrows it.
ASKED = st.tuples(
    st.sampled_from([(a, b) for a in BOUNDS for b in BOUNDS if a < b]),
    st.sampled_from([None, 1, 3, 5]),
    st.sampled_from([None, None, "EUR"]),
    st.sampled_from([None, None, "cust_1"]),
)
Asked = tuple[tuple[date, date], int | None, str | None, str | None]


def scope_of(asked: Asked) -> ReportScope:
    (starts_on, ends_on), recorded, currency, customer = asked
    moments = list(Entry.objects.order_by("recorded_at").values_list("recorded_at", flat=True))
    moment = None if recorded is None or not moments else moments[:recorded][-1]
    return ReportScope(
        True, starts_on, ends_on, recorded_until=moment, currency=currency, customer_id=customer
    )


def figures(scope: ReportScope) -> tuple[list[Moved], Covered]:
    return list(sums.moved(scope)), sums.covered(scope)


def packs(scope: ReportScope) -> list[str]:
    return [str(ClosePack.objects.get(pk=pk)) for pk in sums.frozen(scope).packs]


class TestSameFigures(TestCase):
    @settings(max_examples=25, deadline=None)
    @given(
        posted=st.lists(
            st.tuples(
                st.sampled_from(DAYS),
                st.sampled_from(["0.000000000001", "1.25", "99999999.99"]),
                st.sampled_from(["USD", "EUR"]),
                st.booleans(),
            ),
            max_size=6,
        ),
        asked=st.lists(ASKED, min_size=4, max_size=8),
    )
    def test_frozen_months_and_the_rest_are_what_all_postings_are(
        self, posted: list[tuple[date, str, str, bool]], asked: list[Asked]
    ) -> None:
        one = factories.customer("cust_1", livemode=True)
        other = factories.customer("cust_2", livemode=True)
        for day, amount, currency, is_one in posted:
            post(one if is_one else other, day, amount, currency)
        scopes = [scope_of(each) for each in asked]
        recomputed = [figures(scope) for scope in scopes]

        close(JANUARY)
        close(FEBRUARY)

        assert [figures(scope) for scope in scopes] == recomputed


class TestFrozen:
    @pytest.fixture(autouse=True)
    def closed(self) -> None:
        book = factories.customer("cust_1", livemode=True)
        for day in DAYS:
            post(book, day, "10")
        close(JANUARY)
        close(FEBRUARY)

    @pytest.mark.parametrize(
        ("asked", "answering"),
        [
            ({}, ["2026-01 #1", "2026-02 #1"]),
            ({"starts_on": MARCH}, ["2026-01 #1", "2026-02 #1"]),
            ({"starts_on": FEBRUARY, "ends_on": MARCH}, ["2026-01 #1", "2026-02 #1"]),
            ({"ends_on": date(2026, 2, 15)}, ["2026-01 #1"]),
            ({"starts_on": date(2026, 2, 2)}, ["2026-01 #1"]),
            ({"starts_on": date(2026, 1, 2)}, []),
            ({"ends_on": JANUARY}, []),
            ({"customer_id": "cust_1"}, []),
            ({"livemode": False}, []),
            ({"recorded_until": LATER + timedelta(days=3_650)}, ["2026-01 #1", "2026-02 #1"]),
            ({"recorded_until": datetime(2026, 1, 1, tzinfo=UTC)}, []),
        ],
    )
    def test_a_scope_is_answered_by_the_months_that_it_sees_whole(
        self, asked: dict[str, Any], answering: list[str]
    ) -> None:
        assert packs(ReportScope(**{"livemode": True} | asked)) == answering

    def test_a_reopened_month_is_read_again_and_frozen_anew(self) -> None:
        """Three postings of 10 lie before February; a fourth one comes in the reopened month."""
        scope = ReportScope(livemode=True, starts_on=FEBRUARY, ends_on=MARCH)
        reopen(FEBRUARY)
        reopen(JANUARY)
        assert packs(scope) == []
        post(Book.objects.get(), JANUARY, "5")
        (open_again,) = sums.moved(scope)

        close(JANUARY)
        close(FEBRUARY)

        assert packs(scope) == ["2026-01 #2", "2026-02 #2"]
        (closed_again,) = sums.moved(scope)
        assert closed_again == open_again
        assert (closed_again.before, closed_again.inside, closed_again.postings) == (35, 20, 2)

    @pytest.mark.parametrize("change", ["UPDATE {} SET amount = 1", "DELETE FROM {}"])
    def test_the_sums_never_change(self, change: str) -> None:
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            sql(change.format("ledger_closesum"))

    def test_verify_counts_the_closed_months(self) -> None:
        assert verification.verify(livemode=True) == verification.Proof(
            books=1, entries=6, months=2
        )

    @pytest.mark.parametrize(
        ("table", "change", "named"),
        [
            (
                "ledger_closesum",
                "UPDATE ledger_closesum SET amount = 21 WHERE pack_id = {second}",
                "says 21 in 2 postings for {what}, the postings say 20 in 2 postings",
            ),
            (
                "ledger_closesum",
                "DELETE FROM ledger_closesum WHERE pack_id = {second}",
                "says nothing for {what}, the postings say 20 in 2 postings",
            ),
            (
                "ledger_closesum",
                """
                INSERT INTO ledger_closesum
                    (pack_id, event, debit, credit, currency, amount, postings)
                VALUES ({second}, 'DEBIT', '2100', '4000', 'EUR', 3, 1)
                """,
                "says 3 in 1 postings for DEBIT 2100 / 4000 in EUR, the postings say nothing",
            ),
            (
                "ledger_closepack",
                "UPDATE ledger_closepack SET entries = 3 WHERE id = {second}",
                "was frozen with 3 entries, the books have 2",
            ),
        ],
    )
    def test_verify_names_what_was_frozen_otherwise(
        self, table: str, change: str, named: str
    ) -> None:
        second = ClosePack.objects.get(period__starts_on=FEBRUARY).pk
        with guards_off(table):
            sql(change.format(second=second))

        bad = verification.verify().first_bad

        assert bad is not None
        assert bad.entry == "closed month 2026-02"
        assert bad.reason == f"2026-02 #1 {named}".format(what="PAYMENT 1000 / 2220 in USD")
