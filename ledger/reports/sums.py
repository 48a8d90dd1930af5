"""The sums that reports are folded from: one statement, one pass over the postings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from ledger.reports.shape import Covered, Scope

ZERO = Decimal(0)
CHUNK = 2_000

# What statements are put together from, in the place of these words in braces.
PARTS = {
    "{postings}": """
        ledger_posting p
        JOIN ledger_entry e ON e.id = p.entry_id
        JOIN ledger_book b ON b.id = e.book_id
    """,
    # Both sides of a posting, as seen from the account: a credit adds, a debit takes.
    "{sides}": """
        CROSS JOIN LATERAL (VALUES
            (p.credit_id, p.debit_id, p.amount), (p.debit_id, p.credit_id, -p.amount)
        ) AS side(account, other, amount)
    """,
}

MOVED = """
    SELECT e.event, p.debit_id, p.credit_id, p.currency,
        coalesce(sum(p.amount) FILTER (WHERE e.accounting_date < %(starts_on)s), 0),
        coalesce(sum(p.amount) FILTER (WHERE e.accounting_date >= %(starts_on)s), 0),
        count(*) FILTER (WHERE e.accounting_date >= %(starts_on)s)
    FROM {postings} WHERE {scope}
    GROUP BY e.event, p.debit_id, p.credit_id, p.currency
    ORDER BY p.debit_id, p.credit_id, p.currency, e.event
"""
_COVERED = """
    SELECT count(*), min(e.recorded_at), max(e.recorded_at), min(e.sequence), max(e.sequence)
    FROM ledger_entry e JOIN ledger_book b ON b.id = e.book_id
    WHERE {entries}
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one kind of event moved between two accounts, before the span and in it."""

    event: str
    debit: str
    credit: str
    currency: str
    before: Decimal
    inside: Decimal
    postings: int


def conditions(scope: Scope) -> str:
    """Write the conditions on entries `e` and books `b` that a scope asks for."""
    found = ["b.livemode = %(livemode)s", "e.accounting_date < %(ends_on)s"]
    if scope.customer_id is not None:
        found.append("b.key = %(customer_id)s")
    if scope.recorded_until is not None:
        found.append("e.recorded_at <= %(recorded_until)s")
    return " AND ".join(found)


def parameters(scope: Scope, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give the parameters of a scope's conditions, and of what else a statement asks."""
    return {
        "livemode": scope.livemode,
        "starts_on": scope.starts_on,
        "ends_on": scope.ends_on,
        "customer_id": scope.customer_id,
        "recorded_until": scope.recorded_until,
        "currency": scope.currency,
        **(extra or {}),
    }


def statement(template: str, scope: Scope, *, currency: str) -> str:
    """Put a scope into a statement; `currency` is the column that the scope's currency is of."""
    where = conditions(scope)
    if scope.currency is not None:
        where += f" AND {currency} = %(currency)s"
    for word, part in PARTS.items():
        template = template.replace(word, part)
    return template.replace("{scope}", where)


def fetch(
    template: str,
    scope: Scope,
    extra: Mapping[str, Any] | None = None,
    *,
    currency: str = "p.currency",
) -> list[tuple[Any, ...]]:
    """Run a statement that gives few rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement(template, scope, currency=currency), parameters(scope, extra))
        return list(cursor.fetchall())


def stream(
    template: str,
    scope: Scope,
    extra: Mapping[str, Any] | None = None,
    *,
    currency: str = "p.currency",
) -> Iterator[tuple[Any, ...]]:
    """Run a statement of any number of rows, in bounded memory.

    The caller's transaction has to last as long as the rows are read.
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement(template, scope, currency=currency), parameters(scope, extra))
        while rows := cursor.fetchmany(CHUNK):
            yield from rows


def moved(scope: Scope) -> Sequence[Moved]:
    """Sum all postings of a scope by event, accounts and currency."""
    return [Moved(*row) for row in fetch(MOVED, scope)]


def covered(scope: Scope) -> Covered:
    """Say which entries a scope sees; sequences only where they are of one book."""
    with connection.cursor() as cursor:
        cursor.execute(_COVERED.replace("{entries}", conditions(scope)), parameters(scope))
        count, first, last, lowest, highest = cursor.fetchall()[0]
    if scope.customer_id is None:
        return Covered(count, first, last)
    return Covered(count, first, last, lowest, highest)
