"""A million postings: reports within seconds, in flat memory, and the books proved at speed.

`AFORO_BENCHMARK_POSTINGS` sets the size. Times are printed, with the plans of the trial balance;
asserted is what no machine excuses: figures, memory, and that a closed month is not read again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection

from aforo.database.snapshot import snapshot
from billing.finance import reports, verification
from billing.finance.reports import running
from ledger.models import CloseSum, LedgerEvent
from ledger.periods import month_ends, periods
from ledger.reports.report_table import Report, ReportScope
from ledger.reports.totals import sums
from tests import factories
from tests.benchmarks import harness, million
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

POSTINGS = int(os.environ.get("AFORO_BENCHMARK_POSTINGS", round(harness.SECONDS * 10_000)))
BOOKS = max(1, POSTINGS // 1_000)
PROVED = max(1_000, POSTINGS // 20)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
# November 2025 and all before it gets closed; the last month of the two years stays open.
CLOSED, OPEN = "2025-06", "2025-12"


@pytest.fixture
def books() -> None:
    """Load the postings."""
    started = time.monotonic()
    million.load(postings=POSTINGS, books=BOOKS)
    harness.LINES.append(
        f"reports on {POSTINGS:,} postings, movements and entries of {BOOKS:,} books"
        f" (loaded in {time.monotonic() - started:.0f} s)"
    )


def close_months() -> None:
    """Close all months but the last."""
    started, month = time.monotonic(), million.FIRST
    while f"{month:%Y-%m}" < OPEN:
        periods.begin_close(month=month, now=NOW)
        periods.close(month=month, by="ann", now=NOW, check=lambda: None, files=dict)
        month = month_ends.month_after(month)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    each = (time.monotonic() - started) / 23
    harness.LINES.append(
        f"  23 closed months are {CloseSum.objects.count():,} sums ({each:.2f} s to freeze one)"
    )


def scope(period: str) -> ReportScope:
    return reports.scope_of(livemode=True, now=NOW, period=period)


def timed(make: Callable[[ReportScope], Report], asked: ReportScope) -> tuple[float, int]:
    """Write a report; give the seconds and its rows."""
    started = time.monotonic()
    file, header = running.spooled(make=make, scope=asked, form="csv", run_at=NOW)
    file.close()
    return time.monotonic() - started, header.rows


def figures() -> list[object]:
    """Return what trial balance and roll-forward are folded from, of both months."""
    return [
        found(scope(period)) for period in (OPEN, CLOSED) for found in (sums.moved, sums.covered)
    ]


def test_reports_come_within_seconds_and_flat_memory(books: None) -> None:
    before = harness.memory()
    added_up = figures()
    first = {offered.name: timed(offered.make, scope(OPEN)) for offered in reports.CATALOGUE}
    close_months()
    harness.LINES.append(f"  of {OPEN} before anything closed; after, of {OPEN} and {CLOSED}")
    for offered in reports.CATALOGUE:
        unclosed, open_, closed = (
            first[offered.name],
            timed(offered.make, scope(OPEN)),
            timed(offered.make, scope(CLOSED)),
        )
        assert open_[1] == unclosed[1]
        harness.LINES.append(
            f"  {offered.name:<22} {unclosed[0]:7.2f} s {open_[0]:7.2f} s {closed[0]:7.2f} s"
            f"   {open_[1]:>9,} rows"
        )
    grown = (harness.memory() - before) // 1_024
    harness.LINES.append(f"  memory grew by {grown} MiB over all of them")
    plans = {period: plan(scope(period)) for period in (OPEN, CLOSED)}
    for period, lines in plans.items():
        harness.LINES += [f"    plan of the trial balance of {period}", *lines]

    assert figures() == added_up
    with snapshot():
        trial = list(reports.find("trial-balance").make(scope(CLOSED)).rows)
    (row,) = [row for row in trial if row["account"] == "2100"]
    assert row["closing"] == million.BOUGHT * BOOKS - million.PRICE * debits_until(scope(CLOSED))
    assert all("ledger_closesum" in "".join(lines) for lines in plans.values())
    assert postings_read(plans[CLOSED]) < POSTINGS / 100
    assert grown < 64

    prove_all()


def postings_read(lines: list[str]) -> int:
    """Count the postings that a plan says were found in what it read."""
    scans = [line for line in lines if " on ledger_posting" in line]
    assert scans
    return sum(int(rows) for line in scans for rows in re.findall(r" rows=(\d+)", line))


def debits_until(asked: ReportScope) -> int:
    """Count i from BOOKS on with i x 730 / POSTINGS below the days from 2024 to the span's end."""
    days = (asked.ends_on - date(2024, 1, 1)).days
    return -(-days * POSTINGS // million.DAYS) - BOOKS


def plan(asked: ReportScope) -> list[str]:
    """Explain the one statement that trial balance and roll-forwards are folded from."""
    statement, terms = sums.moved_statement(asked)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", terms)
        return [f"      {line}" for (line,) in cursor.fetchall()]


def prove_all() -> None:
    """Verify everything that was loaded."""
    found = prove(livemode=True)
    assert (found.books, found.entries, found.lots) == (BOOKS, POSTINGS // BOOKS * BOOKS, BOOKS)
    assert found.months == 23


def prove(*, livemode: bool, customer_id: str | None = None) -> verification.Proof:
    """Verify books, and record the rate; they hold, and memory stays flat."""
    before, started, worked = harness.memory(), time.monotonic(), time.process_time()
    found = verification.verify(livemode=livemode, customer_id=customer_id)
    rate = found.entries / (time.monotonic() - started)
    alone = found.entries / (time.process_time() - worked)
    grown = (harness.memory() - before) // 1_024
    harness.LINES.append(
        f"verify_ledger: {found.entries:,} entries of {found.books:,} books, {rate:,.0f} entries/s"
        f" ({alone:,.0f} a second of this process's own time), memory grew by {grown} MiB"
    )
    assert found.first_bad is None
    assert grown < 64
    return found


def test_one_long_book_is_proved_in_flat_memory() -> None:
    """One book, so that nothing is won by many small ones."""
    book = factories.customer("proved")
    factories.top_up("proved", "1000000")
    lot = CreditLot.objects.get(book=book)
    for begun in range(0, PROVED, 1_000):
        journal = CreditJournal()
        for _ in range(min(1_000, PROVED - begun)):
            draft = journal.entry(
                book=book, event=LedgerEvent.DEBIT, occurred_at=NOW, document={"key": "k"}
            )
            draft.burn(lot, Decimal("0.01"))
        journal.write()

    found = prove(livemode=False, customer_id="proved")

    assert found.entries == PROVED + 1
