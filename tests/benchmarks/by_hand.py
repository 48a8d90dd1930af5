"""What a debit costs that is written by hand in SQL: the measure of ours.

The same rows with the same columns under the same lock, in as few statements as a competent person
needs: BEGIN, the lock, the lot, the key, everything else at once, COMMIT. It leaves out what takes
a program's work: no answer is composed, the hash covers less, and nobody asks for limits, expiry,
holds or renewal.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from django.db import connection

from ledger.models import Book
from tests.benchmarks import harness
from wallets.models import Wallet


class _Statement(NamedTuple):
    """A statement in pgbench's words, and the variables that its row sets."""

    sql: str
    sets: str


_LOCK: Final = _Statement(
    """SELECT b.sequence + 1 AS the_sequence, b.head_hash AS the_head,
            w.billing_mode AS the_mode, w.spend_state AS the_state
        FROM ledger_book b JOIN wallets_wallet w ON w.book_id = b.id
        WHERE b.id = :the_book AND w.id = :the_wallet FOR NO KEY UPDATE OF b""",
    "the_sequence, the_head, the_mode, the_state",
)
_LOT: Final = _Statement(
    """UPDATE wallets_creditlot
        SET remaining = remaining - 1, carrying_remaining = carrying_remaining - 1
        WHERE remaining >= 1 AND id = (
            SELECT id FROM wallets_creditlot WHERE book_id = :the_book AND remaining > 0
            ORDER BY priority, expires_at, granted_at LIMIT 1)
        RETURNING id AS the_lot, remaining AS the_remaining""",
    "the_lot, the_remaining",
)
# A key that was used before meets the unique constraint.
_KEY: Final = _Statement(
    """INSERT INTO wallets_operation (id, book_id, key, operation, content, status, body,
            actor_kind, actor_id, created_at)
        VALUES (gen_random_uuid(), :the_book, gen_random_uuid()::text, 'wallets.debit',
            '{"amount": "1", "currency": "USD", "strategy": "WATERFALL", "customer_id": "bench_0"}',
            200, repeat('x', 520), 'API_KEY', '1', clock_timestamp())
        RETURNING id AS the_operation""",
    "the_operation",
)
_REST: Final = """WITH entry AS (
        INSERT INTO ledger_entry (id, book_id, sequence, event, occurred_at, recorded_at,
            accounting_date, document, prev_hash, hash)
        VALUES (gen_random_uuid(), :the_book, :the_sequence, 'DEBIT', clock_timestamp(),
            clock_timestamp(), current_date, '{"key": "a key", "overage": "0", "currency": "USD",
            "quantity": "1", "strategy": "WATERFALL", "actor": {"kind": "API_KEY", "id": "1"}}',
            :the_head,
            encode(sha256((:the_head || gen_random_uuid()::text)::bytea), 'hex'))
        RETURNING id, hash
    ), posting AS (
        INSERT INTO ledger_posting (id, book_id, entry_id, position, debit_id, credit_id, amount,
            currency, lot)
        SELECT gen_random_uuid(), :the_book, id, 0, '2100', '4000', 1, 'USD', :the_lot::uuid
        FROM entry
    ), movement AS (
        INSERT INTO wallets_movement (id, book_id, lot_id, entry_id, position, kind, quantity,
            carrying, balance_after, held_after, wallet_balance_after)
        SELECT gen_random_uuid(), :the_book, :the_lot::uuid, id, 0, 'BURN', 1, 1, :the_remaining, 0,
            :the_remaining FROM entry
    ), debit AS (
        INSERT INTO wallets_debit (id, book_id, operation_id, entry_id, wallet_id, quantity,
            overage, overage_billed, strategy, reversed, overage_reversed, occurred_at)
        SELECT gen_random_uuid(), :the_book, :the_operation::uuid, id, :the_wallet, 1, 0, 0,
            'WATERFALL', 0, 0, clock_timestamp() FROM entry
    )
    UPDATE ledger_book SET sequence = :the_sequence, last_recorded_at = clock_timestamp(),
        head_hash = (SELECT hash FROM entry) WHERE id = :the_book"""


def statement_by_statement(
    first: tuple[Book, Wallet], number: int, *, clients: int
) -> harness.Contestant:
    """Return the transaction as a program sends it, over so many wallets from the first on.

    Their chains mean nothing afterwards.
    """
    asked = [f"{each.sql} \\gset" for each in (_LOCK, _LOT, _KEY)]
    script = ["BEGIN;", *asked, f"{_REST};", "COMMIT;"]
    return harness.pgbench(_choose(first, number) + "\n".join(script), clients=clients)


def as_function(first: tuple[Book, Wallet], number: int, *, clients: int) -> harness.Contestant:
    """Return the same as one call of a function that the database stores."""
    asked = [f"{each.sql} INTO {each.sets};" for each in (_LOCK, _LOT, _KEY)]
    body = "\n".join([*asked, f"{_REST};"]).replace(":the_", "the_")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION debit_by_hand(the_book bigint, the_wallet bigint) "
            "RETURNS uuid LANGUAGE plpgsql AS $$ DECLARE the_sequence bigint; the_head text; "
            "the_mode text; the_state text; the_lot uuid; the_remaining numeric; "
            f"the_operation uuid; BEGIN {body} RETURN the_operation; END $$"
        )
    call = "SELECT debit_by_hand(:the_book, :the_wallet);"
    return harness.pgbench(_choose(first, number) + call, clients=clients)


def _choose(first: tuple[Book, Wallet], number: int) -> str:
    """Write the choice of one of the wallets at random."""
    book, wallet = first
    return (
        f"\\set n random(0, {number - 1})\n"
        f"\\set the_book {book.pk} + :n\n\\set the_wallet {wallet.pk} + :n\n"
    )
