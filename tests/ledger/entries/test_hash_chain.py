"""The canonical text of an entry: every part counts, and only what can be stored is hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.errors import InvariantBroken
from ledger.entries.hash_chain import Content, MovementLine, canonical_text, entry_hash
from ledger.posting_rules import PostingLine

LOT = UUID("018f0000-0000-7000-8000-000000000001")
ENTRY = UUID("018f0000-0000-7000-8000-000000000002")
AT = datetime(2026, 3, 15, 12, tzinfo=UTC)

CONTENT = Content(
    livemode=True,
    book="cust_8923",
    id=ENTRY,
    sequence=7,
    event="DEBIT",
    occurred_at=AT,
    recorded_at=AT + timedelta(microseconds=1),
    accounting_date=date(2026, 3, 15),
    document={"reason": "café", "allocations": [{"kind": "CASH"}]},
    lines=[
        PostingLine("2100", "4000", Decimal("5.00"), "USD", LOT),
        PostingLine("1010", "2300", Decimal(1), "USD"),
    ],
    movements=[
        MovementLine(LOT, "BURN", Decimal(5), Decimal("5.0"), Decimal("9E+1"), Decimal("0.00"))
    ],
)

TEXT = (
    '{"accounting_date":"2026-03-15","book":"cust_8923",'
    '"document":{"allocations":[{"kind":"CASH"}],"reason":"café"},"event":"DEBIT",'
    '"id":"018f0000-0000-7000-8000-000000000002","livemode":true,'
    '"movements":[["018f0000-0000-7000-8000-000000000001","BURN","5","5","90","0"]],'
    '"occurred_at":"2026-03-15T12:00:00.000000+00:00",'
    '"postings":[["2100","4000","5","USD","018f0000-0000-7000-8000-000000000001"],'
    '["1010","2300","1","USD",""]],"prev_hash":"before",'
    '"recorded_at":"2026-03-15T12:00:00.000001+00:00","sequence":7}'
)


def test_the_text_is_the_one_that_is_written_down() -> None:
    """A proof kept outside must hold for ever, so the form never changes."""
    assert canonical_text(CONTENT, "before").decode() == TEXT
    assert entry_hash(CONTENT, "before") == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"livemode": False},
        {"book": "cust_8924"},
        {"id": LOT},
        {"sequence": 8},
        {"event": "CAPTURE"},
        {"occurred_at": AT + timedelta(microseconds=1)},
        {"recorded_at": AT},
        {"accounting_date": date(2026, 3, 16)},
        {"document": {"reason": "cafe", "allocations": [{"kind": "CASH"}]}},
        {"lines": CONTENT.lines[:1]},
        {"lines": CONTENT.lines[::-1]},
        {"lines": [replace(CONTENT.lines[0], amount=Decimal("5.000000000001")), CONTENT.lines[1]]},
        {"lines": [replace(CONTENT.lines[0], currency="EUR"), CONTENT.lines[1]]},
        {"lines": [replace(CONTENT.lines[0], lot=None), CONTENT.lines[1]]},
        {"movements": []},
        {"movements": [replace(CONTENT.movements[0], carrying=Decimal(4))]},
        {"movements": [replace(CONTENT.movements[0], held_after=Decimal(1))]},
    ],
    ids=",".join,
)
def test_every_part_counts(change: dict[str, Any]) -> None:
    assert entry_hash(replace(CONTENT, **change), "before") != entry_hash(CONTENT, "before")


def test_the_entry_before_counts() -> None:
    assert entry_hash(CONTENT, "before") != entry_hash(CONTENT, "")


def test_spelling_does_not_count() -> None:
    same = replace(
        CONTENT,
        occurred_at=AT.astimezone(timezone(timedelta(hours=5, minutes=30))),
        document={"allocations": ({"kind": "CASH"},), "reason": "café"},
        lines=[replace(CONTENT.lines[0], amount=Decimal("5.000")), CONTENT.lines[1]],
    )

    assert canonical_text(same, "before").decode() == TEXT


@pytest.mark.parametrize("value", [1, Decimal(1), None, True, ["a", 1], {"a": {"b": None}}])
def test_a_document_of_anything_but_strings_is_refused(value: object) -> None:
    with pytest.raises(InvariantBroken, match="strings only"):
        canonical_text(replace(CONTENT, document={"value": value}), "")


def test_a_number_that_the_database_would_round_is_refused() -> None:
    thirteen = Decimal("0.0000000000001")

    with pytest.raises(InvariantBroken, match="more decimals"):
        canonical_text(replace(CONTENT, lines=[PostingLine("2100", "4000", thirteen, "USD")]), "")
    moved = replace(CONTENT.movements[0], carrying=thirteen)
    with pytest.raises(InvariantBroken, match="more decimals"):
        canonical_text(replace(CONTENT, movements=[moved]), "")


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text(), max_size=3), max_size=5))
def test_anybody_can_write_the_text_again(document: dict[str, object]) -> None:
    """A proof must not hang on one library: the standard one writes the same bytes."""
    text = canonical_text(replace(CONTENT, document=document), "before").decode()

    content = json.loads(text)

    assert content["document"] == document
    assert text == json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
