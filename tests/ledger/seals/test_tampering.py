"""Seven kinds of tampering with every table of the books, by their owner: each is found and named.

A bundle of 100 + 20 is bought (two postings, two movements), then 30 burn of both lots, then 10
and 10 of cash. Monday's seal covers two entries, Tuesday's all four.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from billing.finance import verification
from ledger.entries import chain_verification, hash_chain
from ledger.models import Book, Entry, Posting, SealedHead
from ledger.posting_rules import PostingLine
from ledger.reports import trial_balance
from ledger.seals import seals
from tests import factories
from tests.ledger.seals.tampering import guards_off, sql
from tests.wallets import actions
from wallets.lots import queries
from wallets.models import CreditLot, Movement

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 16, 3, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)
HISTORY = (
    "ledger_entry", "ledger_posting", "wallets_movement", "wallets_debit", "ledger_seal",
    "ledger_sealedhead",
)  # fmt: skip

SECOND, THIRD, LAST = (f"(SELECT id FROM ledger_entry WHERE sequence = {n})" for n in (2, 3, 4))
CHANGED = "its content was changed: it does not match its hash"
NO_HEADS = "the heads that it was made of were changed, removed or added to"
UNLINKED = "it does not follow the entry before it: rows were reordered, inserted or removed"
CUT = "the tail was cut off: "


def without(entries: str) -> str:
    """Delete entries with all that hangs on them."""
    tables = ("wallets_debit", "wallets_movement", "ledger_posting")
    parts = [f"DELETE FROM {table} WHERE entry_id IN {entries}" for table in tables]
    return "; ".join([*parts, f"DELETE FROM ledger_entry WHERE id IN {entries}"])


def swapped(table: str, column: str, where: str, one: int, other: int) -> str:
    steps = ((one, 99), (other, one), (99, other))
    return "; ".join(
        f"UPDATE {table} SET {column} = {after} WHERE {where} AND {column} = {before}"
        for before, after in steps
    )


def copied(table: str, columns: str, values: str, where: str) -> str:
    """Insert a row that is like another but for some of its values."""
    return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE {where}"


def written(path: str, value: str) -> str:
    """Return the statement that writes a value into the first entry's document."""
    document = f"jsonb_set(document, '{{{path}}}', '{value}')"
    return f"UPDATE ledger_entry SET document = {document} WHERE sequence = 1"


POSTING = "book_id, position, debit_id, credit_id, amount, currency, lot"
MOVEMENT = (
    "book_id, lot_id, kind, quantity, carrying, balance_after, held_after, wallet_balance_after"
)
ENTRY = "book_id, event, occurred_at, accounting_date, document"
SEAL = "livemode, sealed_at, books, entries, root, lost, reason"
HEADS_OF = "DELETE FROM ledger_sealedhead WHERE seal_id IN (SELECT id FROM ledger_seal WHERE {})"

# What is done, by kind and table; what is named, and what is said of it.
TAMPERINGS = {
    "amount of a posting": (
        f"UPDATE ledger_posting SET amount = 11 WHERE entry_id = {THIRD}", "cust_1#3", CHANGED,
    ),
    "account of a posting": (
        f"UPDATE ledger_posting SET credit_id = '4010' WHERE entry_id = {THIRD}",
        "cust_1#3", CHANGED,
    ),
    "lot of a posting": (
        f"UPDATE ledger_posting SET lot = NULL WHERE entry_id = {THIRD}", "cust_1#3", CHANGED,
    ),
    "book of a posting": (
        copied("ledger_book", "livemode, key, sequence, head_hash, created_at",
               "livemode, 'cust_2', 0, '', created_at", "true") + "; "
        "UPDATE ledger_posting SET book_id = (SELECT id FROM ledger_book WHERE key = 'cust_2')"
        f" WHERE position = 1 AND entry_id = {SECOND}",
        "cust_1#2", "posting 1 is in another book",
    ),
    "quantity of a movement": (
        f"UPDATE wallets_movement SET quantity = 11 WHERE entry_id = {THIRD}", "cust_1#3", CHANGED,
    ),
    "carrying of a movement": (
        f"UPDATE wallets_movement SET carrying = 1 WHERE entry_id = {THIRD}", "cust_1#3", CHANGED,
    ),
    "balance of a movement": (
        f"UPDATE wallets_movement SET balance_after = 79 WHERE entry_id = {THIRD}",
        "cust_1#3", CHANGED,
    ),
    "balance of a movement's wallet": (
        f"UPDATE wallets_movement SET wallet_balance_after = 81 WHERE entry_id = {THIRD}",
        "cust_1#3, movement 0",
        "the wallet's balance is 81.000000000000, its movements say 80.000000000000",
    ),
    "event of an entry": (
        "UPDATE ledger_entry SET event = 'GRANT' WHERE sequence = 3", "cust_1#3", CHANGED,
    ),
    "document of an entry": (
        "UPDATE ledger_entry SET document = document - 'key' WHERE sequence = 4",
        "cust_1#4", CHANGED,
    ),
    "kind of an actor": (written("actor,kind", '"STAFF"'), "cust_1#1", CHANGED),
    "id of an actor": (written("actor,id", '"somebody"'), "cust_1#1", CHANGED),
    "an added reason": (written("reason", '"another"'), "cust_1#1", CHANGED),
    "an added attribute": (written("attributes", '{"team": "red"}'), "cust_1#1", CHANGED),
    "amount of a seal": (
        "UPDATE ledger_seal SET entries = 99 WHERE number = 1", "sandbox seal 1", CHANGED,
    ),
    "amount of a sealed head": (
        "UPDATE ledger_sealedhead SET sequence = 1 WHERE sequence = 2", "sandbox seal 1", NO_HEADS,
    ),
    "time of occurrence": (
        "UPDATE ledger_entry SET occurred_at = now() WHERE sequence = 2", "cust_1#2", CHANGED,
    ),
    "time of recording": (
        "UPDATE ledger_entry SET recorded_at = recorded_at + '1 microsecond' WHERE sequence = 2",
        "cust_1#2", CHANGED,
    ),
    "time of accounting": (
        "UPDATE ledger_entry SET accounting_date = '2020-01-01' WHERE sequence = 2",
        "cust_1#2", CHANGED,
    ),
    "time of a seal": (
        "UPDATE ledger_seal SET sealed_at = now() WHERE number = 1", "sandbox seal 1", CHANGED,
    ),
    "deleted entry": (without(THIRD), "cust_1#4", "sequence 3 is missing"),
    "deleted posting": (
        f"DELETE FROM ledger_posting WHERE position = 0 AND entry_id = {SECOND}",
        "cust_1#2", CHANGED,
    ),
    "deleted movement": (
        f"DELETE FROM wallets_movement WHERE position = 0 AND entry_id = {SECOND}",
        "cust_1#2", CHANGED,
    ),
    "deleted sealed head, the first": (
        "DELETE FROM ledger_sealedhead WHERE sequence = 2", "sandbox seal 1", NO_HEADS,
    ),
    "deleted sealed head, the last": (
        "DELETE FROM ledger_sealedhead WHERE sequence = 4", "sandbox seal 2", NO_HEADS,
    ),
    "inserted entry, at the end": (
        copied("ledger_entry", f"id, sequence, recorded_at, prev_hash, hash, {ENTRY}",
               f"gen_random_uuid(), 5, now(), hash, repeat('f', 64), {ENTRY}", "sequence = 4"),
        "cust_1#5", "it was inserted: the book ends at 4",
    ),
    "inserted entry, in between": (
        "UPDATE ledger_entry SET sequence = 5 WHERE sequence = 4; "
        "UPDATE ledger_entry SET sequence = 4 WHERE sequence = 3; "
        + copied("ledger_entry", f"id, sequence, recorded_at, prev_hash, hash, {ENTRY}",
                 f"gen_random_uuid(), 3, recorded_at, hash, repeat('f', 64), {ENTRY}",
                 "sequence = 2"),
        "cust_1#3", CHANGED,
    ),
    "inserted posting": (
        copied("ledger_posting", f"id, entry_id, {POSTING}",
               f"gen_random_uuid(), entry_id, {POSTING.replace('position', 'position + 9')}",
               f"position = 0 AND entry_id = {SECOND}"),
        "cust_1#2", CHANGED,
    ),
    "inserted movement": (
        copied("wallets_movement", f"id, entry_id, position, {MOVEMENT}",
               f"gen_random_uuid(), entry_id, 9, {MOVEMENT}",
               f"position = 0 AND entry_id = {SECOND}"),
        "cust_1#2", CHANGED,
    ),
    "inserted seal": (
        copied("ledger_seal", f"number, prev_hash, hash, {SEAL}",
               f"3, hash, repeat('f', 64), {SEAL}", "number = 2"),
        "sandbox seal 3", CHANGED,
    ),
    "inserted sealed head": (
        copied("ledger_book", "livemode, key, sequence, head_hash, created_at",
               "livemode, 'cust_2', 0, '', created_at", "true") + "; "
        + copied("ledger_sealedhead", "seal_id, sequence, hash, book_id",
                 "seal_id, 1, hash, (SELECT id FROM ledger_book WHERE sequence = 0)",
                 "sequence = 2"),
        "sandbox seal 1", NO_HEADS,
    ),
    "reordered entries": (
        swapped("ledger_entry", "sequence", "true", 2, 3),
        "cust_1#2", UNLINKED,
    ),
    "reordered postings": (
        swapped("ledger_posting", "position", f"entry_id = {SECOND}", 0, 1), "cust_1#2", CHANGED,
    ),
    "reordered movements": (
        swapped("wallets_movement", "position", f"entry_id = {SECOND}", 0, 1), "cust_1#2", CHANGED,
    ),
    "reordered seals": (
        swapped("ledger_seal", "number", "true", 1, 2),
        "sandbox seal 1", "it does not follow the seal before it",
    ),
    "tail of the entries cut off": (
        without(LAST), "cust_1#4", f"{CUT}entries 4 to 4 are missing",
    ),
    "tail cut off, and the head put back": (
        without(LAST) + "; UPDATE ledger_book b SET sequence = 3, head_hash = e.hash,"
        " last_recorded_at = e.recorded_at FROM ledger_entry e WHERE e.sequence = 3",
        "cust_1#4", f"{CUT}seal 2 of 2026-03-17 has entry 4",
    ),
    "tail of the postings cut off": (
        f"DELETE FROM ledger_posting WHERE entry_id = {LAST}", "cust_1#4", CHANGED,
    ),
    "tail of the movements cut off": (
        f"DELETE FROM wallets_movement WHERE entry_id = {LAST}", "cust_1#4", CHANGED,
    ),
    "removed seal, the first": (
        f"{HEADS_OF.format('number = 1')}; DELETE FROM ledger_seal WHERE number = 1",
        "sandbox seal 1", "it is missing from the database",
    ),
    "removed seal, the last": (
        f"{HEADS_OF.format('number = 2')}; DELETE FROM ledger_seal WHERE number = 2",
        "sandbox seal 2", "it was removed: its copy is here",
    ),
    "removed seals, all": (
        f"{HEADS_OF.format('true')}; DELETE FROM ledger_seal",
        "sandbox seal 1", "it was removed: its copy is here",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def book() -> Book:
    book = factories.customer()
    actions.bundle("100", "20")
    factories.body(factories.debit("cust_1", "30", "k0"))
    seals.seal(livemode=False, now=MONDAY)
    for n in (1, 2):
        factories.body(factories.debit("cust_1", "10", f"k{n}"))
    seals.seal(livemode=False, now=TUESDAY)
    assert verification.verify() == verification.Proof(books=1, entries=4, lots=2, seals=2)
    assert (Posting.objects.count(), Movement.objects.count()) == (6, 6)
    assert SealedHead.objects.count() == 2
    return book


def first_bad() -> chain_verification.BadEntry:
    bad = verification.verify().first_bad
    assert bad is not None, "nothing was found"
    return bad


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_it_is_found_and_named(kind: str) -> None:
    statements, named, reason = TAMPERINGS[kind]

    with guards_off(*HISTORY):
        sql(statements)

    assert first_bad() == chain_verification.BadEntry(named, reason)


def test_a_book_that_was_removed_with_all_its_history_is_missed_by_the_seal() -> None:
    tables = ("wallets_creditlot", "ledger_book", *HISTORY)
    with guards_off(*tables):
        sql("SET LOCAL session_replication_role = replica")
        for table in tables:
            if table != "ledger_seal":
                sql(f"DELETE FROM {table}")
        sql("SET LOCAL session_replication_role = origin")

    assert first_bad() == chain_verification.BadEntry("sandbox seal 1", NO_HEADS)


def test_an_edit_with_a_hash_to_match_breaks_the_entry_after_it(book: Book) -> None:
    """As by somebody who knows how the chain is made."""
    third = Entry.objects.get(sequence=3)
    forgery = {"actor": third.document["actor"]}
    forged = hash_chain.entry_hash(
        hash_chain.Content(
            livemode=False,
            book=book.key,
            id=third.id,
            sequence=3,
            event=third.event,
            occurred_at=third.occurred_at,
            recorded_at=third.recorded_at,
            accounting_date=third.accounting_date,
            document=forgery,
            lines=[
                PostingLine(p.debit_id, p.credit_id, p.amount, p.currency, p.lot)
                for p in third.postings.order_by("position")
            ],
            movements=queries.movement_lines(third.book_id, 2, 3)[3],
        ),
        third.prev_hash,
    )

    with guards_off("ledger_entry"):
        sql(
            f"UPDATE ledger_entry SET document = '{json.dumps(forgery)}', hash = '{forged}'"
            " WHERE sequence = 3"
        )

    assert first_bad() == chain_verification.BadEntry("cust_1#4", UNLINKED)


def test_an_account_that_left_the_chart_is_named_and_still_summed() -> None:
    """The first entry posts to it already: 83.33 for 100 of cash, of which 30 burn."""
    with guards_off("ledger_account"):
        sql("DELETE FROM ledger_account WHERE code = '2100'")

    assert first_bad() == chain_verification.BadEntry(
        "cust_1#1", "account 2100 is not in the chart"
    )
    rows = {row.account: row for row in trial_balance(livemode=False)}
    assert rows["2100"].name == "(not in the chart)"
    assert (rows["2100"].debit, rows["2100"].credit) == (Decimal(25), Decimal("83.333333333333"))


def test_a_lot_that_was_raised_is_named() -> None:
    cash = CreditLot.objects.filter(kind="CASH")
    cash.update(remaining=F("remaining") + 1)

    reason = "remaining is 71.000000000000, its movements say 70.000000000000"
    assert first_bad() == chain_verification.BadEntry(f"lot {cash.get().pk}", reason)
