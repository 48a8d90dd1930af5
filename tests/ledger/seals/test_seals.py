"""Daily seals: made once a day, chained, kept outside; what they find that no chain can."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing.finance import verification
from billing.jobs import due_work
from ledger.entries import hash_chain
from ledger.models import Book, Entry, Seal, SealedHead
from ledger.posting_rules import PostingLine
from ledger.seals import merkle, seals
from ledger.seals.merkle import Folded, Head
from tests import factories
from tests.ledger.seals.tampering import guards_off, sql
from wallets.lots import queries

MONDAY = datetime(2026, 3, 16, 3, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class TestRoot:
    def test_three_heads_by_hand(self) -> None:
        leaves = [
            sha(b'\x00["a", 1, "x"]'),
            sha(b'\x00["b", 2, "y"]'),
            sha(b'\x00["c", 3, "z"]'),
        ]
        root = sha(b"\x01" + sha(b"\x01" + leaves[0] + leaves[1]) + leaves[2])

        folded = merkle.fold([Head("a", 1, "x"), Head("b", 2, "y"), Head("c", 3, "z")])

        assert folded == Folded(root.hex(), books=3, entries=6)

    def test_no_heads(self) -> None:
        assert merkle.fold([]) == Folded(sha(b"").hex(), 0, 0)

    @given(
        heads=st.lists(
            st.builds(Head, st.text(max_size=3), st.integers(1, 9), st.text(max_size=3)),
            min_size=1,
            max_size=20,
            unique=True,
        ),
        data=st.data(),
    )
    def test_any_change_of_any_head_changes_the_root(
        self, heads: list[Head], data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(0, len(heads) - 1))
        changed = [*heads]
        changed[at] = Head(heads[at].book, heads[at].sequence, heads[at].hash + "!")

        root = merkle.fold(heads).root
        assert merkle.fold(changed).root != root
        assert merkle.fold(heads[:at] + heads[at + 1 :]).root != root
        assert merkle.fold([*heads, heads[at]]).root != root
        if heads[::-1] != heads:
            assert merkle.fold(heads[::-1]).root != root


def copies(settings: LazySettings) -> list[Path]:
    return sorted(Path(settings.SEALS_DIR).glob("*.json"))


@pytest.mark.django_db
class TestSealing:
    def test_a_day_has_one_seal_chained_to_the_last(self, settings: LazySettings) -> None:
        factories.customer("a")
        factories.top_up("a", "100")
        first = seals.seal_if_due(livemode=False, now=MONDAY)
        again = seals.seal_if_due(livemode=False, now=MONDAY + timedelta(hours=20))
        factories.customer("b")
        factories.top_up("b", "100")
        second = seals.seal_if_due(livemode=False, now=TUESDAY)

        assert again is None
        assert first is not None
        assert second is not None
        assert (first.number, first.books, first.entries, first.prev_hash) == (1, 1, 1, "")
        assert (second.number, second.books, second.entries) == (2, 2, 2)
        assert second.prev_hash == first.hash
        # Book a has not moved since Monday, so it is not written again, but it is in the root.
        assert SealedHead.objects.filter(seal=second).count() == 1
        assert (
            second.root
            == merkle.fold(
                Head(b.key, b.sequence, b.head_hash) for b in Book.objects.order_by("pk")
            ).root
        )
        kept = [json.loads(path.read_text()) for path in copies(settings)]
        assert [(k["number"], k["root"]) for k in kept] == [(1, first.root), (2, second.root)]
        assert verification.verify() == verification.Proof(books=2, entries=2, lots=2, seals=2)

    def test_empty_books_are_not_sealed(self, settings: LazySettings) -> None:
        assert seals.seal_if_due(livemode=True, now=MONDAY) is None
        assert copies(settings) == []

    def test_the_sweep_seals_both_modes(self, settings: LazySettings) -> None:
        factories.customer("a")
        factories.top_up("a", "100")
        factories.customer("b", livemode=True)
        factories.top_up("b", "100", livemode=True)

        due_work.sweep(now=MONDAY, clock=lambda: MONDAY)

        assert [path.name for path in copies(settings)] == [
            "live-000001.json",
            "sandbox-000001.json",
        ]

    def test_a_copy_is_never_overwritten(self, settings: LazySettings) -> None:
        factories.customer("a")
        factories.top_up("a", "100")
        seals.seal(livemode=False, now=MONDAY)
        before = copies(settings)[0].read_text()
        with guards_off("ledger_seal", "ledger_sealedhead"):
            sql("DELETE FROM ledger_sealedhead")
            sql("DELETE FROM ledger_seal")

        with pytest.raises(seals.SealMissing):
            seals.seal(livemode=False, now=TUESDAY)

        assert copies(settings)[0].read_text() == before
        assert Seal.objects.count() == 0

    @pytest.mark.parametrize("table", ["ledger_seal", "ledger_sealedhead"])
    @pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
    def test_seals_are_append_only(self, table: str, change: str) -> None:
        factories.customer("a")
        factories.top_up("a", "100")
        seals.seal(livemode=False, now=MONDAY)

        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            sql(change.format(table))

        assert (Seal.objects.count(), SealedHead.objects.count()) == (1, 1)


FORGED: dict[str, object] = {"forged": "yes", "actor": {"kind": "JOB", "id": "tests"}}


def rewrite(book: Book, start: int, *, document: dict[str, object]) -> None:
    """Change an entry and recompute every later hash and the head, as the database's owner can."""
    prev_hash = "" if start == 1 else Entry.objects.get(book=book, sequence=start - 1).hash
    for entry in Entry.objects.filter(book=book, sequence__gte=start).order_by("sequence"):
        if entry.sequence == start:
            entry.document = document
        content = hash_chain.Content(
            livemode=book.livemode,
            book=book.key,
            id=entry.id,
            sequence=entry.sequence,
            event=entry.event,
            occurred_at=entry.occurred_at,
            recorded_at=entry.recorded_at,
            accounting_date=entry.accounting_date,
            document=entry.document,
            lines=[
                PostingLine(p.debit_id, p.credit_id, p.amount, p.currency, p.lot)
                for p in entry.postings.order_by("position")
            ],
            movements=queries.movement_lines(book.pk, start - 1, book.sequence)[entry.sequence],
        )
        entry.prev_hash, entry.hash = prev_hash, hash_chain.entry_hash(content, prev_hash)
        entry.save(update_fields=["document", "prev_hash", "hash"])
        prev_hash = entry.hash
    Book.objects.filter(pk=book.pk).update(head_hash=prev_hash)


def first_bad() -> tuple[str, str]:
    bad = verification.verify().first_bad
    assert bad is not None
    return bad.entry, bad.reason


@pytest.mark.django_db
class TestTampering:
    """What only the seals can find: by somebody who can write every table."""

    @pytest.fixture(autouse=True)
    def book(self) -> Book:
        """Four entries; two are sealed on Monday, three on Tuesday."""
        book = factories.customer()
        factories.top_up("cust_1", "100")
        factories.debit("cust_1", "10", "k0")
        seals.seal(livemode=False, now=MONDAY)
        factories.debit("cust_1", "10", "k1")
        seals.seal(livemode=False, now=TUESDAY)
        factories.debit("cust_1", "10", "k2")
        assert verification.verify().ok
        return Book.objects.get(pk=book.pk)

    def test_a_history_that_was_rewritten_with_all_its_hashes(self, book: Book) -> None:
        with guards_off("ledger_entry"):
            rewrite(book, 3, document=FORGED)

        assert first_bad() == (
            "cust_1#3",
            "entries 3 to 3 were rewritten: seal 2 of 2026-03-17 differs",
        )

    def test_one_that_had_the_sealed_heads_rewritten_too(self, book: Book) -> None:
        with guards_off("ledger_entry", "ledger_sealedhead"):
            rewrite(book, 3, document=FORGED)
            forged = Entry.objects.get(sequence=3).hash
            sql(f"UPDATE ledger_sealedhead SET hash = '{forged}' WHERE sequence = 3")

        entry, reason = first_bad()
        assert (entry, reason) == (
            "sandbox seal 2",
            "the heads that it was made of were changed, removed or added to",
        )

    def test_one_that_had_the_seals_rewritten_too(self, book: Book) -> None:
        """All of the database agrees with itself; only the copy outside does not."""
        with guards_off("ledger_entry", "ledger_sealedhead", "ledger_seal"):
            rewrite(book, 3, document=FORGED)
            forged = Entry.objects.get(sequence=3).hash
            sql(f"UPDATE ledger_sealedhead SET hash = '{forged}' WHERE sequence = 3")
            seal = Seal.objects.get(number=2)
            folded = merkle.fold([Head("cust_1", 3, forged)])
            text = merkle.seal_text(
                livemode=False,
                number=2,
                sealed_at=seal.sealed_at,
                folded=folded,
                prev_hash=seal.prev_hash,
            )
            sql(
                f"UPDATE ledger_seal SET root = '{folded.root}', hash = '{merkle.seal_hash(text)}' "
                "WHERE number = 2"
            )

        entry, reason = first_bad()
        assert entry == "sandbox seal 2"
        assert reason.startswith("it differs from its copy")

    def test_a_tail_that_was_cut_off_with_the_head(self, book: Book) -> None:
        """The books end at 2, as if nothing had happened since; only the seal remembers 3."""
        second = Entry.objects.get(sequence=2)
        with guards_off("ledger_entry", "ledger_posting", "wallets_movement", "wallets_debit"):
            late = "SELECT id FROM ledger_entry WHERE sequence > 2"
            sql(f"DELETE FROM wallets_debit WHERE entry_id IN ({late})")
            sql(f"DELETE FROM wallets_movement WHERE entry_id IN ({late})")
            sql(f"DELETE FROM ledger_posting WHERE entry_id IN ({late})")
            sql("DELETE FROM ledger_entry WHERE sequence > 2")
            Book.objects.filter(pk=book.pk).update(
                sequence=2, head_hash=second.hash, last_recorded_at=second.recorded_at
            )

        assert first_bad() == (
            "cust_1#3",
            "the tail was cut off: seal 2 of 2026-03-17 has entry 3",
        )

    @pytest.mark.parametrize(
        ("number", "named", "reason"),
        [
            (1, "sandbox seal 1", "it is missing from the database"),
            (2, "sandbox seal 2", "it was removed: its copy is here"),
        ],
    )
    def test_a_removed_seal(self, number: int, named: str, reason: str) -> None:
        with guards_off("ledger_seal", "ledger_sealedhead"):
            sql(
                "DELETE FROM ledger_sealedhead WHERE seal_id IN "
                f"(SELECT id FROM ledger_seal WHERE number = {number})"
            )
            sql(f"DELETE FROM ledger_seal WHERE number = {number}")

        assert first_bad() == (named, reason)

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_removed_copy(self, number: int, settings: LazySettings) -> None:
        copies(settings)[number - 1].unlink()

        entry, reason = first_bad()
        assert entry == f"sandbox seal {number}"
        assert reason.startswith("its copy is missing")

    @pytest.mark.parametrize(
        "change", ["entries = 99", "books = 2", "sealed_at = now()", "root = repeat('f', 64)"]
    )
    def test_an_edited_seal(self, change: str) -> None:
        with guards_off("ledger_seal"):
            sql(f"UPDATE ledger_seal SET {change} WHERE number = 1")

        assert first_bad() == (
            "sandbox seal 1",
            "its content was changed: it does not match its hash",
        )

    def test_the_command_names_it_and_fails(self, book: Book) -> None:
        with guards_off("ledger_entry"):
            rewrite(book, 3, document=FORGED)

        with pytest.raises(CommandError, match="cust_1#3: entries 3 to 3 were rewritten"):
            call_command("verify_ledger")
