"""The journal itself: every posting in full, and its sums by account and month.

The detail has the columns of the generic CSV (docs/accounting.md#files); a posting is two lines,
its debit and its credit, so every line has one amount and the lines of an entry balance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings

from aforo.periods import month_of
from ledger import account_mapping
from ledger.models import LedgerEvent
from ledger.posting_rules import TAX_PAYABLE
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Report,
    ReportScope,
    Row,
    Value,
    amount_column,
    text_column,
)
from ledger.reports.totals import sums
from ledger.reports.totals.trial_balance import account_of, chart


@dataclass(frozen=True, slots=True)
class LotFacts:
    """What the wallets know of a lot that an entry moved."""

    wallet: str
    kind: str
    units: Decimal
    metric: str


# The facts of entries and lots, which the wallets keep.
LotsOf = Callable[[Collection[UUID]], Mapping[tuple[UUID, UUID], LotFacts]]

GENERIC = (
    "entity", "period", "journal_id", "external_id", "line_no", "posted_at", "effective_date",
    "event_type", "event_id", "account_code", "account_name", "gl_account", "debit", "credit",
    "currency", "fx_rate", "debit_functional", "credit_functional", "functional_currency",
    "customer_id", "wallet_id", "lot_id", "credit_type", "units", "contract_id", "invoice_id",
    "product", "tax_code", "jurisdiction", "dimension_1", "memo", "source", "created_by",
    "approved_by", "reverses_journal_id", "reversed_by", "ledger_seq", "entry_hash", "prev_hash",
)  # fmt: skip
_AMOUNTS = {"debit", "credit", "debit_functional", "credit_functional"}
_KINDS = {
    "line_no": ColumnKind.COUNT,
    "ledger_seq": ColumnKind.COUNT,
    "units": ColumnKind.QUANTITY,
    "posted_at": ColumnKind.MOMENT,
    "effective_date": ColumnKind.DATE,
}
# The columns for people; the rest is for machines, and in the files.
_FOR_THE_EYE = {
    "effective_date", "customer_id", "ledger_seq", "event_type", "account_code", "account_name",
    "debit", "credit", "currency", "credit_type", "units", "product", "invoice_id", "tax_code",
    "created_by", "approved_by",
}  # fmt: skip
_BY_HAND = {
    LedgerEvent.MANUAL.value,
    LedgerEvent.ADJUSTMENT.value,
    LedgerEvent.OPENING_BALANCE.value,
}

LINES = """
    SELECT e.id, e.event, e.sequence, e.recorded_at, e.accounting_date, e.document,
        e.actor_kind || ':' || e.actor_id, e.hash, e.prev_hash, b.key,
        p.position, p.debit_id, p.credit_id, p.amount, p.currency, p.lot
    FROM {postings} {joined}
    WHERE {scope} AND e.accounting_date >= %(starts_on)s
    ORDER BY e.recorded_at, e.id, p.position
"""
_REVERSALS = """
    SELECT e.document->>'reverses', string_agg(e.id::text, ' ' ORDER BY e.sequence)
    FROM ledger_entry e JOIN ledger_book b ON b.id = e.book_id
    WHERE {scope} AND e.document ? 'reverses' AND e.document->>'reverses' = ANY(%(entries)s)
    GROUP BY 1
"""


def detail(scope: ReportScope, *, lots_of: LotsOf) -> Report:
    """Report every posting of the span, as two lines, in the order of recording."""
    return Report(
        name="journal-detail",
        title="Journal, every line",
        scope=scope,
        columns=generic_columns(),
        rows=generic_rows(scope, lots_of=lots_of),
        notes=["A posting is two lines: its debit and its credit. Amounts are exact."],
    )


def generic_columns() -> list[Column]:
    """Return the columns of the generic CSV."""
    return [
        Column(
            name,
            name.replace("_", " ").capitalize(),
            ColumnKind.AMOUNT if name in _AMOUNTS else _kind(name),
            total=name in _AMOUNTS,
            drill=_to_entry if name in {"debit", "credit"} else None,
            in_files_only=name not in _FOR_THE_EYE,
        )
        for name in GENERIC
    ]


def _to_entry(row: Row) -> dict[str, str]:
    return {"entry": str(row["journal_id"])}


def _kind(name: str) -> ColumnKind:
    return _KINDS.get(name, ColumnKind.TEXT)


@dataclass(frozen=True, slots=True)
class _Posting:
    """A posting with its entry, as it was read."""

    entry: UUID
    event: str
    sequence: int
    recorded_at: datetime
    accounting_date: date
    document: Mapping[str, object]
    actor: str
    hash: str
    prev_hash: str
    customer: str
    position: int
    debit: str
    credit: str
    amount: Decimal
    currency: str
    lot: UUID | None


def generic_rows(
    scope: ReportScope,
    *,
    lots_of: LotsOf,
    joined: str = "",
    extra: dict[str, Any] | None = None,
) -> Iterator[Row]:
    """Read the lines of the generic CSV; `joined` narrows the entries further, for the exports."""
    rules = account_mapping.read()
    template = LINES.replace("{joined}", joined)
    stream = (_Posting(*_parsed(row)) for row in sums.stream(template, scope, extra))
    for batch in _batched(stream):
        entries = {posting.entry for posting in batch}
        facts, reversals = lots_of(entries), _reversals(entries, scope)
        for _, postings in groupby(batch, key=lambda posting: posting.entry):
            yield from _entry_lines(list(postings), facts, reversals, rules)


def _parsed(row: tuple[Any, ...]) -> list[Any]:
    """Parse the document, which a plain cursor returns as text."""
    return [*row[:5], json.loads(row[5]), *row[6:]]


def _reversals(entries: Collection[UUID], scope: ReportScope) -> dict[str, str]:
    """Return which of a scope's entries reverse others, by the reversed one's id."""
    asked = {"entries": [str(entry) for entry in entries]}
    return dict(sums.fetch(_REVERSALS, replace(scope, currency=None), asked))


def _batched(stream: Iterator[_Posting]) -> Iterator[list[_Posting]]:
    """Split a stream into chunks, never inside an entry."""
    batch: list[_Posting] = []
    for posting in stream:
        if len(batch) >= sums.CHUNK and posting.entry != batch[-1].entry:
            yield batch
            batch = []
        batch.append(posting)
    if batch:
        yield batch


def _entry_lines(
    postings: Sequence[_Posting],
    facts: Mapping[tuple[UUID, UUID], LotFacts],
    reversals: Mapping[str, str],
    rules: account_mapping.Mapping,
) -> Iterator[Row]:
    number = 0
    for posting in postings:
        common = _common(posting, facts)
        common["reversed_by"] = reversals.get(str(posting.entry), "")
        for account, debit, credit in (
            (posting.debit, posting.amount, None),
            (posting.credit, None, posting.amount),
        ):
            number += 1
            gl = rules.find(account=account, currency=posting.currency, day=posting.accounting_date)
            yield {
                **common,
                "external_id": f"{posting.customer}-{posting.sequence}-{number}",
                "line_no": number,
                "account_code": account,
                "account_name": rules.own(account).name,
                "gl_account": "" if gl is None else gl.code,
                "debit": debit,
                "credit": credit,
                **_functional(posting.currency, debit, credit),
            }


def _functional(currency: str, debit: Decimal | None, credit: Decimal | None) -> dict[str, Value]:
    """Return the same amounts as the entity's own where they are in its currency, else nothing: the
    books translate no currency into another.
    """
    if currency != settings.ENTITY_CURRENCY:
        return {"debit_functional": None, "credit_functional": None}
    return {
        "fx_rate": "1",
        "debit_functional": debit,
        "credit_functional": credit,
        "functional_currency": currency,
    }


def _common(posting: _Posting, facts: Mapping[tuple[UUID, UUID], LotFacts]) -> dict[str, Value]:
    """Return what both lines of a posting share; what the books do not keep stays empty."""
    said = {name: str(value) for name, value in posting.document.items() if value is not None}
    lot = None if posting.lot is None else facts.get((posting.entry, posting.lot))
    metric = "" if lot is None else lot.metric
    taxed = TAX_PAYABLE in {posting.debit, posting.credit}
    return {
        **dict.fromkeys(GENERIC, ""),
        "entity": settings.ENTITY_NAME,
        "period": f"{posting.accounting_date:%Y-%m}",
        "journal_id": str(posting.entry),
        "posted_at": posting.recorded_at,
        "effective_date": posting.accounting_date,
        "event_type": posting.event,
        "event_id": said.get("key") or said.get("settlement") or said.get("debit", ""),
        "currency": posting.currency,
        "customer_id": posting.customer,
        "wallet_id": "" if lot is None else lot.wallet,
        "lot_id": "" if posting.lot is None else str(posting.lot),
        "credit_type": "" if lot is None else lot.kind,
        "units": None if lot is None else lot.units,
        "contract_id": said.get("subscription", ""),
        "invoice_id": said.get("invoice", ""),
        "product": said.get("metric") or metric or said.get("product", ""),
        "tax_code": said.get("tax_code", "") if taxed else "",
        "jurisdiction": said.get("jurisdiction", "") if taxed else "",
        "memo": said.get("reason") or str(LedgerEvent(posting.event).label),
        "source": "manual" if posting.event in _BY_HAND else "system",
        "created_by": said.get("proposed_by") or posting.actor,
        "approved_by": said.get("approved_by", ""),
        "reverses_journal_id": said.get("reverses", ""),
        "ledger_seq": posting.sequence,
        "entry_hash": posting.hash,
        "prev_hash": posting.prev_hash,
    }


_SUMMARY = """
    SELECT date_trunc('month', e.accounting_date::timestamp)::date, side.account, p.currency,
        coalesce(sum(-side.amount) FILTER (WHERE side.amount < 0), 0),
        coalesce(sum(side.amount) FILTER (WHERE side.amount > 0), 0),
        count(DISTINCT e.id), min(e.recorded_at), max(e.recorded_at)
    FROM {postings} {sides}
    WHERE {scope}
        AND e.accounting_date >= %(starts_on)s
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def summary(scope: ReportScope) -> Report:
    """Report, for each month, account and currency, both sides and how many entries made them."""

    def drill(row: Row) -> dict[str, str]:
        starts_on = date.fromisoformat(f"{row['period']}-01")
        starts_on, ends_on = month_of(starts_on)
        return {
            **scope.span,
            "accounting_from": max(starts_on, scope.starts_on).isoformat(),
            "accounting_to": min(ends_on, scope.ends_on).isoformat(),
            "account": str(row["account"]),
            "currency": str(row["currency"]),
        }

    return Report(
        name="journal-summary",
        title="Journal, by month and account",
        scope=scope,
        columns=[
            text_column("period", "Month"),
            text_column("entity", "Entity"),
            text_column("account", "Account"),
            text_column("name", "Name"),
            text_column("currency", "Currency"),
            amount_column("debit", "Debits", drill),
            amount_column("credit", "Credits", drill),
            Column("entries", "Entries", ColumnKind.COUNT),
            Column("first_recorded_at", "First recorded", ColumnKind.MOMENT),
            Column("last_recorded_at", "Last recorded", ColumnKind.MOMENT),
        ],
        rows=_summary_rows(scope),
    )


def _summary_rows(scope: ReportScope) -> Iterator[Row]:
    accounts = chart()
    for month, code, currency, debit, credit, entries, first, last in sums.stream(_SUMMARY, scope):
        yield {
            "period": f"{month:%Y-%m}",
            "entity": settings.ENTITY_NAME,
            "account": code,
            "name": account_of(accounts, code).name,
            "currency": currency,
            "debit": debit,
            "credit": credit,
            "entries": entries,
            "first_recorded_at": first,
            "last_recorded_at": last,
        }
