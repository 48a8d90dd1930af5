"""The sums that reports are folded from: one statement, one pass over the postings.

Months that are closed are not added up again: their postings cannot change any more, and the pack
of their close says what they were. `manage.py verify_ledger` compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import OuterRef, Subquery

from ledger.models import ClosePack, PeriodStatus
from ledger.reports.report_table import Covered, ReportScope

CHUNK = 2_000

# The parts that replace these words in braces in a statement.
PARTS = {
    "{postings}": """
        ledger_posting p
        JOIN ledger_entry e ON e.id = p.entry_id
        JOIN ledger_book b ON b.id = e.book_id
    """,
    # Both sides of a posting, as seen from the account: a credit adds, a debit subtracts.
    "{sides}": """
        CROSS JOIN LATERAL (VALUES
            (p.credit_id, p.debit_id, p.amount), (p.debit_id, p.credit_id, -p.amount)
        ) AS side(account, other, amount)
    """,
}

# What closed months answer for is not read again.
# The span's end stands here once more, so that the planner sees how little is left between.
_UNFROZEN = """
    (e.accounting_date < %(frozen_from)s
        OR e.accounting_date >= %(frozen_until)s AND e.accounting_date < %(ends_on)s)
"""
_MOVED = """
    SELECT event, debit, credit, currency, sum(before), sum(inside), sum(postings)::bigint
    FROM (
        SELECT e.event, p.debit_id, p.credit_id, p.currency,
            coalesce(sum(p.amount) FILTER (WHERE e.accounting_date < %(starts_on)s), 0),
            coalesce(sum(p.amount) FILTER (WHERE e.accounting_date >= %(starts_on)s), 0),
            count(*) FILTER (WHERE e.accounting_date >= %(starts_on)s)
        FROM {postings} WHERE {scope} AND {unfrozen}
        GROUP BY e.event, p.debit_id, p.credit_id, p.currency
        UNION ALL
        SELECT s.event, s.debit, s.credit, s.currency,
            CASE WHEN month.starts_on < %(starts_on)s THEN s.amount ELSE 0 END,
            CASE WHEN month.starts_on >= %(starts_on)s THEN s.amount ELSE 0 END,
            CASE WHEN month.starts_on >= %(starts_on)s THEN s.postings ELSE 0 END
        FROM ledger_closesum s
        JOIN ledger_closepack pack ON pack.id = s.pack_id
        JOIN ledger_accountingperiod month ON month.id = pack.period_id
        WHERE s.pack_id = ANY(%(packs)s) AND s.currency = coalesce(%(currency)s, s.currency)
    ) AS parts(event, debit, credit, currency, before, inside, postings)
    GROUP BY event, debit, credit, currency
    ORDER BY debit, credit, currency, event
""".replace("{unfrozen}", _UNFROZEN)
_COVERED = """
    SELECT sum(entries)::bigint, min(first), max(last), min(lowest), max(highest)
    FROM (
        SELECT count(*), min(e.recorded_at), max(e.recorded_at), min(e.sequence), max(e.sequence)
        FROM ledger_entry e JOIN ledger_book b ON b.id = e.book_id
        WHERE {entries} AND {unfrozen}
        UNION ALL
        SELECT entries, first_recorded_at, last_recorded_at, NULL, NULL
        FROM ledger_closepack WHERE id = ANY(%(packs)s)
    ) AS parts(entries, first, last, lowest, highest)
""".replace("{unfrozen}", _UNFROZEN)


@dataclass(frozen=True, slots=True)
class Frozen:
    """The closed months, in a row, that a scope need not read the postings of, by their packs."""

    starts_on: date = date.max
    ends_on: date = date.max
    packs: tuple[int, ...] = ()


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


def conditions(scope: ReportScope) -> str:
    """Return the conditions on entries `e` and books `b` that a scope asks for."""
    found = ["b.livemode = %(livemode)s", "e.accounting_date < %(ends_on)s"]
    if scope.customer_id is not None:
        found.append("b.key = %(customer_id)s")
    if scope.recorded_until is not None:
        found.append("e.recorded_at <= %(recorded_until)s")
    return " AND ".join(found)


def parameters(scope: ReportScope, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the parameters of a scope's conditions, and of what else a statement asks."""
    return {
        "livemode": scope.livemode,
        "starts_on": scope.starts_on,
        "ends_on": scope.ends_on,
        "customer_id": scope.customer_id,
        "recorded_until": scope.recorded_until,
        "currency": scope.currency,
        **(extra or {}),
    }


def statement(template: str, scope: ReportScope, *, currency: str) -> str:
    """Return a statement with a scope's conditions; `currency` is the column that holds its
    currency.
    """
    where = conditions(scope)
    if scope.currency is not None:
        where += f" AND {currency} = %(currency)s"
    for word, part in PARTS.items():
        template = template.replace(word, part)
    return template.replace("{scope}", where)


def fetch(
    template: str,
    scope: ReportScope,
    extra: Mapping[str, Any] | None = None,
    *,
    currency: str = "p.currency",
) -> list[tuple[Any, ...]]:
    """Run a statement that returns few rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement(template, scope, currency=currency), parameters(scope, extra))
        return list(cursor.fetchall())


def stream(
    template: str,
    scope: ReportScope,
    extra: Mapping[str, Any] | None = None,
    *,
    currency: str = "p.currency",
) -> Iterator[tuple[Any, ...]]:
    """Run a statement of any number of rows, in bounded memory.

    The caller's transaction has to last as long as the rows are read.
    """
    with connection.cursor() as cursor:
        # A cursor is planned for its first tenth of rows unless told that all will be read.
        cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement(template, scope, currency=currency), parameters(scope, extra))
        while rows := cursor.fetchmany(CHUNK):
            yield from rows


def frozen(scope: ReportScope) -> Frozen:
    """Find the closed months that lie wholly on one side of a scope's start, and before its end.

    They are of all customers, and of what was recorded up to their close; a scope that asks for
    less is answered from the postings, and so is everything from the first reopened month on.
    """
    if scope.customer_id is not None:
        return Frozen()
    found = Frozen()
    last_packs = ClosePack.objects.filter(period=OuterRef("period")).order_by("-number")
    packs = ClosePack.objects.filter(
        period__livemode=scope.livemode, pk=Subquery(last_packs.values("pk")[:1])
    )
    for pack in packs.select_related("period").order_by("period__starts_on"):
        month = pack.period
        follows = not found.packs or month.starts_on == found.ends_on
        if not (follows and month.status == PeriodStatus.CLOSED and _answers(pack, scope)):
            break
        start = found.starts_on if found.packs else month.starts_on
        found = Frozen(start, month.ends_on, (*found.packs, pack.pk))
    return found


def _answers(pack: ClosePack, scope: ReportScope) -> bool:
    """Return whether a scope sees all that a pack froze, as part of its opening or of its span."""
    month, until = pack.period, scope.recorded_until
    is_split = month.starts_on < scope.starts_on < month.ends_on
    is_known = until is None or pack.last_recorded_at is None or pack.last_recorded_at <= until
    return month.ends_on <= scope.ends_on and not is_split and is_known


def moved_statement(scope: ReportScope) -> tuple[str, dict[str, Any]]:
    """Return the statement behind `moved`, with its parameters."""
    return statement(_MOVED, scope, currency="p.currency"), parameters(scope, _unfrozen(scope))


def moved(scope: ReportScope) -> Sequence[Moved]:
    """Sum all postings of a scope by event, accounts and currency."""
    with connection.cursor() as cursor:
        cursor.execute(*moved_statement(scope))
        return [Moved(*row) for row in cursor.fetchall()]


def covered(scope: ReportScope) -> Covered:
    """Return which entries a scope sees; sequences only where they are of one book."""
    asked = parameters(scope, _unfrozen(scope))
    with connection.cursor() as cursor:
        cursor.execute(_COVERED.replace("{entries}", conditions(scope)), asked)
        count, first, last, lowest, highest = cursor.fetchall()[0]
    if scope.customer_id is None:
        return Covered(count, first, last)
    return Covered(count, first, last, lowest, highest)


def _unfrozen(scope: ReportScope) -> dict[str, Any]:
    closed = frozen(scope)
    return {
        "frozen_from": closed.starts_on,
        "frozen_until": closed.ends_on,
        "packs": list(closed.packs),
    }
