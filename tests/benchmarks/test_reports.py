"""A million postings: reports within seconds, in flat memory, and the books proved at speed.

`AFORO_BENCHMARK_POSTINGS` sets the size. Times are printed, with the plan of the trial balance;
asserted is what no machine excuses: memory, and rates far below what any machine does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing import reports
from billing.reports import running
from billing.services import proof
from ledger.models import Event
from ledger.reports import sums
from ledger.reports.shape import Report, Scope
from tests import factories
from tests.benchmarks import harness
from wallets.journal import Journal, new_lot
from wallets.models import CreditLot, Wallet

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

POSTINGS = int(os.environ.get("AFORO_BENCHMARK_POSTINGS", round(harness.SECONDS * 10_000)))
BOOKS = max(1, POSTINGS // 1_000)
PROVED = max(1_000, POSTINGS // 20)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = "2025-06"

# Two years of one purchase a book and then debits of a cent, evenly over books and days. The books
# are the sandbox's, which no closed period touches; their hashes are not real.
LOAD = """
SET session_replication_role = replica;
INSERT INTO ledger_book (livemode, key, sequence, head_hash, created_at)
    SELECT false, 'b' || n, {postings} / {books}, repeat('0', 64), now()
    FROM generate_series(1, {books}) n;
CREATE TEMPORARY TABLE bench AS
    SELECT b.id AS book, gen_random_uuid() AS lot, row_number() OVER (ORDER BY b.id) - 1 AS n
    FROM ledger_book b WHERE b.key LIKE 'b%';
INSERT INTO wallets_wallet (book_id, currency, billing_mode, burn_order, spend_state, created_at)
    SELECT book, 'USD', 'PREPAID', '{{PROMO,BONUS,CASH}}', 'ACTIVE', now() FROM bench;
CREATE TEMPORARY TABLE happened AS
    SELECT gen_random_uuid() AS entry, bench.book, bench.lot, i / {books} + 1 AS sequence,
        date '2024-01-01' + (i * 730 / {postings})::int AS day, i,
        CASE WHEN i < {books} THEN 'TOP_UP' ELSE 'DEBIT' END AS event,
        CASE WHEN i < {books} THEN 1000 ELSE 0.01 END AS amount
    FROM generate_series(0, {postings} - 1) i JOIN bench ON bench.n = i % {books};
INSERT INTO ledger_entry (id, book_id, sequence, event, occurred_at, recorded_at, accounting_date,
        document, prev_hash, hash)
    SELECT entry, book, sequence, event, day, day + i * interval '1 microsecond', day,
        '{{"key": "k"}}', repeat('0', 64), repeat('0', 64) FROM happened;
INSERT INTO ledger_posting (id, entry_id, position, debit_id, credit_id, amount, currency, lot)
    SELECT gen_random_uuid(), entry, 0, CASE event WHEN 'TOP_UP' THEN '1010' ELSE '2100' END,
        CASE event WHEN 'TOP_UP' THEN '2100' ELSE '4000' END, amount, 'USD', lot FROM happened;
"""
LOTS = """
INSERT INTO wallets_movement (id, book_id, lot_id, entry_id, position, kind, quantity, carrying,
        balance_after, held_after)
    SELECT gen_random_uuid(), book, lot, entry, 0,
        CASE event WHEN 'TOP_UP' THEN 'GRANT' ELSE 'BURN' END, amount, amount, 0, 0
    FROM happened;
SET session_replication_role = DEFAULT;
ANALYZE;
"""


@pytest.fixture
def million() -> Iterator[None]:
    """Load the postings, with the lots and movements that explain them."""
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(LOAD.format(postings=POSTINGS, books=BOOKS))
        cursor.execute("SELECT book, lot FROM bench")
        lots = dict(cursor.fetchall())
        wallets = {wallet.book_id: wallet for wallet in Wallet.objects.filter(book__in=lots)}
        spent = (POSTINGS // BOOKS - 1) * Decimal("0.01")
        made = []
        for book, lot in lots.items():
            one = new_lot(
                wallet=wallets[book], kind="CASH", source="TOP_UP", quantity=Decimal(1_000),
                carrying=Decimal(1_000), now=datetime(2024, 1, 1, tzinfo=UTC),
            )  # fmt: skip
            one.id, one.remaining, one.carrying_remaining = lot, 1_000 - spent, 1_000 - spent
            made.append(one)
        CreditLot.objects.bulk_create(made)
        cursor.execute(LOTS)
    harness.LINES.append(
        f"reports on {POSTINGS:,} postings, movements and entries of {BOOKS:,} books"
        f" (loaded in {time.monotonic() - started:.0f} s)"
    )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench, happened")


def scope() -> Scope:
    return reports.scope_of(livemode=False, now=NOW, period=MONTH)


def timed(make: Callable[[Scope], Report], form: str = "csv") -> tuple[float, int]:
    """Write a report; give the seconds and its rows."""
    started = time.monotonic()
    file, header = running.spooled(make=make, scope=scope(), form=form, run_at=NOW)
    file.close()
    return time.monotonic() - started, header.rows


def test_reports_come_within_seconds_and_flat_memory(million: None) -> None:
    before = harness.memory()
    for offered in reports.CATALOGUE:
        seconds, rows = timed(offered.make)
        harness.LINES.append(f"  {offered.name:<22} {seconds:7.2f} s   {rows:>9,} rows")
        if offered.name in {"trial-balance", "contract-liability"}:
            assert seconds < 5 + POSTINGS / 50_000
    grown = (harness.memory() - before) // 1_024
    harness.LINES.append(f"  memory grew by {grown} MiB over all of them")
    for line in plan():
        harness.LINES.append(f"    {line}")

    (row,) = [row for row in balance() if row["account"] == "2100"]
    assert row["closing"] == 1_000 * BOOKS - Decimal("0.01") * debits_until_the_months_end()
    assert grown < 64


def balance() -> list[dict[str, Any]]:
    with reports.snapshot():
        return [dict(row) for row in reports.find("trial-balance").make(scope()).rows]


def debits_until_the_months_end() -> int:
    """Count i from BOOKS on with i x 730 / POSTINGS below the 547 days from 2024 to June 2025."""
    days = (scope().ends_on - datetime(2024, 1, 1, tzinfo=UTC).date()).days
    return -(-days * POSTINGS // 730) - BOOKS


def plan() -> list[str]:
    """Explain the one statement that trial balance and roll-forwards are folded from."""
    statement, asked = sums.moved_statement(scope())
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", asked)
        return [line for (line,) in cursor.fetchall()]


def test_books_are_proved_at_speed_in_flat_memory() -> None:
    """One book, so that nothing is won by many small ones."""
    book = factories.customer("proved")
    factories.top_up("proved", "1000000")
    lot = CreditLot.objects.get(book=book)
    for begun in range(0, PROVED, 1_000):
        journal = Journal()
        for _ in range(min(1_000, PROVED - begun)):
            draft = journal.entry(
                book=book, event=Event.DEBIT, occurred_at=NOW, document={"key": "k"}
            )
            draft.burn(lot, Decimal("0.01"))
        journal.write()
    before, started, worked = harness.memory(), time.monotonic(), time.process_time()

    found = proof.verify(livemode=False, customer_id="proved")

    rate = found.entries / (time.monotonic() - started)
    alone = found.entries / (time.process_time() - worked)
    grown = (harness.memory() - before) // 1_024
    harness.LINES.append(
        f"verify_ledger: {found.entries:,} entries of one book, {rate:,.0f} entries/s"
        f" ({alone:,.0f} a second of this process's own time),"
        f" memory grew by {grown} MiB"
    )
    assert found.ok
    assert found.entries == PROVED + 1
    assert rate > 1_000
    assert grown < 64
