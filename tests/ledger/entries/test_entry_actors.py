"""Every entry names who made it, inside its hash; what lists filter by cannot differ from that."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from aforo import actors
from aforo.actors import Actor, ActorKind
from aforo.errors import InvariantBroken
from billing.finance import verification
from ledger.entries import books, entries
from ledger.entries.chain_verification import BadEntry
from ledger.models import Book, Entry
from ledger.posting_rules import PostingLine
from tests import factories
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
KEY = Actor(ActorKind.API_KEY, "7")
CHANGED = "its content was changed: it does not match its hash"


def draft(book: Book, **document: object) -> entries.EntryDraft:
    lines = [PostingLine("1010", "2100", Decimal(5), "USD")]
    return entries.EntryDraft(book, "TOP_UP", NOON, {"key": "k", **document}, lines)


@pytest.fixture
def book() -> Book:
    return books.open_book(livemode=False, key="b")


def test_nothing_is_drafted_or_written_while_nobody_acts(book: Book) -> None:
    before = factories.everything()

    with actors.acting(None), pytest.raises(InvariantBroken, match="Nobody acts here"):
        entries.append([draft(book)])

    assert factories.everything() == before


def test_the_database_takes_no_entry_without_an_actor(book: Book) -> None:
    for actor in ({}, {"kind": "JOB"}, {"kind": "JOB", "id": ""}, {"kind": "CAT", "id": "tom"}):
        with pytest.raises(IntegrityError, match="ledger_entry_actor"), transaction.atomic():
            Entry.objects.create(
                book=book,
                sequence=1,
                event="TOP_UP",
                occurred_at=NOON,
                recorded_at=NOON,
                accounting_date=NOON.date(),
                document={"actor": actor} if actor else {},
                hash="",
            )
    assert Entry.objects.count() == 0


def test_an_entry_names_who_acted_as_it_was_drafted(book: Book) -> None:
    with actors.acting(KEY):
        of_key = draft(book)
    of_job = draft(book)

    entries.append([of_key, of_job])

    first, second = Entry.objects.order_by("sequence")
    assert first.document == {"key": "k", "actor": {"kind": "API_KEY", "id": "7"}}
    assert (first.actor_kind, first.actor_id) == ("API_KEY", "7")
    assert (second.actor_kind, second.actor_id) == ("JOB", "tests")
    assert (first.reason, first.attributes) == (None, None)
    assert of_key.document == {"key": "k"}
    assert verification.verify().ok


def test_reason_and_attributes_can_be_filtered_by(book: Book) -> None:
    entries.append([draft(book), draft(book, reason="Outage", attributes={"team": "red"})])

    found = Entry.objects.get(reason="Outage")

    assert found.sequence == 2
    assert found.attributes == {"team": "red"}
    assert Entry.objects.get(attributes__contains={"team": "red"}) == found
    assert verification.verify().ok


def test_attributes_are_text(book: Book) -> None:
    with pytest.raises(InvariantBroken, match="strings only"):
        entries.append([draft(book, attributes={"team": 7})])

    assert Entry.objects.count() == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("actor,kind", '"STAFF"'),
        ("actor,id", '"8"'),
        ("reason", '"Weather"'),
        ("attributes,team", '"blue"'),
        ("attributes,user", '"ann"'),
    ],
)
def test_what_is_tampered_with_is_named(book: Book, path: str, value: str) -> None:
    with actors.acting(KEY):
        entries.append([draft(book), draft(book, reason="Outage", attributes={"team": "red"})])
    assert verification.verify().ok

    with guards_off("ledger_entry"):
        sql(
            f"UPDATE ledger_entry SET document = jsonb_set(document, '{{{path}}}', '{value}')"
            " WHERE sequence = 2"
        )

    assert verification.verify().first_bad == BadEntry("b#2", CHANGED)


@pytest.mark.parametrize("removed", ["reason", "attributes"])
def test_what_is_removed_is_named(book: Book, removed: str) -> None:
    entries.append([draft(book, reason="Outage", attributes={"team": "red"})])

    with guards_off("ledger_entry"):
        sql(f"UPDATE ledger_entry SET document = document - '{removed}'")

    assert verification.verify().first_bad == BadEntry("b#1", CHANGED)


@pytest.mark.parametrize("column", ["actor_kind", "actor_id", "reason", "attributes"])
def test_a_copy_cannot_be_written_by_anybody(book: Book, column: str) -> None:
    """The database computes it from the document, which the hash covers."""
    entries.append([draft(book, reason="Outage")])
    value = "'{}'" if column == "attributes" else "'x'"

    with (
        guards_off("ledger_entry"),
        pytest.raises(DatabaseError, match=f'"{column}" can only be updated to DEFAULT'),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE ledger_entry SET {column} = {value}")

    assert verification.verify().ok
