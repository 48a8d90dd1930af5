"""Two years of live books: one purchase a book, then debits of a cent, evenly over books and days;
loaded by SQL, hashed and chained as the ledger does.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from aforo import actors
from ledger.entries import hash_chain
from ledger.entries.hash_chain import Content, MovementLine
from ledger.posting_rules import PostingLine
from wallets.lots.new_lots import new_lot
from wallets.models import CreditLot, Wallet

FIRST = date(2024, 1, 1)
DAYS = 730
PRICE, BOUGHT = Decimal("0.01"), Decimal(1_000)
ZERO = Decimal(0)
SIDES = {"TOP_UP": ("1010", "2100", "GRANT"), "DEBIT": ("2100", "4000", "BURN")}

_BOOKS = """
SET session_replication_role = replica;
INSERT INTO ledger_book (livemode, key, sequence, head_hash, created_at)
    SELECT true, 'b' || n, 0, '', now() FROM generate_series(1, {books}) n;
CREATE TEMPORARY TABLE bench AS
    SELECT b.id AS book, b.key, gen_random_uuid() AS lot, row_number() OVER (ORDER BY b.id) - 1 AS n
    FROM ledger_book b WHERE b.key LIKE 'b%';
INSERT INTO wallets_wallet (book_id, currency, billing_mode, burn_order, spend_state, created_at)
    SELECT book, 'USD', 'PREPAID', '{{PROMO,BONUS,CASH}}', 'ACTIVE', now() FROM bench;
CREATE TEMPORARY TABLE happened AS
    SELECT gen_random_uuid() AS entry, bench.book, bench.key, bench.lot,
        i / {books} + 1 AS sequence, date '2024-01-01' + (i * {days} / {postings})::int AS day, i,
        CASE WHEN i < {books} THEN 'TOP_UP' ELSE 'DEBIT' END AS event,
        CASE WHEN i < {books} THEN {bought} ELSE {price} END AS amount
    FROM generate_series(0, {postings} - 1::bigint) i JOIN bench ON bench.n = i % {books};
CREATE INDEX ON happened (book);
CREATE TEMPORARY TABLE hashed (entry uuid, prev_hash text, hash text);
"""
_HAPPENED = """
    SELECT entry, key, lot, sequence, event, day,
        day::timestamptz + i * interval '1 microsecond', amount
    FROM happened WHERE book = %s ORDER BY sequence
"""
_ENTRIES = """
INSERT INTO ledger_entry (id, book_id, sequence, event, occurred_at, recorded_at, accounting_date,
        document, prev_hash, hash)
    SELECT entry, book, sequence, event, day, day + i * interval '1 microsecond', day,
        '{"key": "k", "actor": {"kind": "JOB", "id": "tests"}}', prev_hash, hash
    FROM happened JOIN hashed USING (entry) ORDER BY i;
INSERT INTO ledger_posting (id, book_id, entry_id, position, debit_id, credit_id, amount, currency,
        lot)
    SELECT gen_random_uuid(), book, entry, 0, CASE event WHEN 'TOP_UP' THEN '1010' ELSE '2100' END,
        CASE event WHEN 'TOP_UP' THEN '2100' ELSE '4000' END, amount, 'USD', lot
    FROM happened ORDER BY i;
UPDATE ledger_book SET sequence = last.sequence, head_hash = last.hash,
        last_recorded_at = last.recorded_at
    FROM (SELECT DISTINCT ON (book_id) * FROM ledger_entry ORDER BY book_id, sequence DESC) AS last
    WHERE last.book_id = ledger_book.id;
"""
_MOVEMENTS = """
INSERT INTO wallets_movement (id, book_id, lot_id, entry_id, position, kind, quantity, carrying,
        balance_after, held_after, wallet_balance_after)
    SELECT gen_random_uuid(), book, lot, entry, 0,
        CASE event WHEN 'TOP_UP' THEN 'GRANT' ELSE 'BURN' END, amount, amount, 0, 0,
        sum(CASE event WHEN 'TOP_UP' THEN amount ELSE -amount END)
            OVER (PARTITION BY book ORDER BY i)
    FROM happened ORDER BY i;
SET session_replication_role = DEFAULT;
DROP TABLE happened, hashed, bench;
ANALYZE;
"""


def load(*, postings: int, books: int) -> None:
    """Load so many postings, each with its entry and its movement."""
    terms = {
        "postings": postings, "books": books, "days": DAYS, "bought": BOUGHT, "price": PRICE,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_BOOKS.format(**terms))
        cursor.execute("SELECT book FROM bench")
        for (book,) in cursor.fetchall():
            chained = _chained(book)
            with cursor.copy("COPY hashed FROM STDIN") as copy:
                for row in chained:
                    copy.write_row(row)
        cursor.execute(_ENTRIES)
        cursor.execute("SELECT book, lot FROM bench")
        _make_lots(dict(cursor.fetchall()), spent=(postings // books - 1) * PRICE)
        cursor.execute(_MOVEMENTS)


def _chained(book: int) -> list[tuple[Any, str, str]]:
    """Chain what happened in a book."""
    made, head = [], ""
    with connection.cursor() as cursor:
        cursor.execute(_HAPPENED, [book])
        for entry, key, lot, sequence, event, day, recorded_at, amount in cursor.fetchall():
            debit, credit, kind = SIDES[event]
            hashed = hash_chain.entry_hash(
                Content(
                    livemode=True,
                    book=key,
                    id=entry,
                    sequence=sequence,
                    event=event,
                    occurred_at=datetime(day.year, day.month, day.day, tzinfo=UTC),
                    recorded_at=recorded_at,
                    accounting_date=day,
                    document={"key": "k", "actor": actors.job("tests").describe()},
                    lines=[PostingLine(debit, credit, amount, "USD", lot)],
                    movements=[MovementLine(lot, kind, amount, amount, ZERO, ZERO)],
                ),
                head,
            )
            made.append((entry, head, hashed))
            head = hashed
    return made


def _make_lots(lots: dict[int, Any], *, spent: Decimal) -> None:
    wallets = {wallet.book_id: wallet for wallet in Wallet.objects.filter(book__in=lots)}
    made = []
    for book, lot in lots.items():
        one = new_lot(
            wallet=wallets[book], kind="CASH", source="TOP_UP", quantity=BOUGHT, carrying=BOUGHT,
            now=datetime(2024, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        one.id, one.remaining, one.carrying_remaining = lot, BOUGHT - spent, BOUGHT - spent
        made.append(one)
    CreditLot.objects.bulk_create(made)
