"""Everything that customers owe, by age: open invoices with what is set aside for them, arrears and
debts that the next credits pay, claims of lost disputes, and, apart, what is unbilled.

Arrears are rebuilt from entries, which never change, so that a past day always reads the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from aforo.money import ZERO
from billing.finance import allowance, open_invoices
from billing.finance.open_invoices import AGES, age_of
from ledger.controls import provisions
from ledger.posting_rules import RECEIVABLE
from ledger.posting_rules.parts import UNBILLED
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Drill,
    Report,
    ReportScope,
    Row,
    Value,
    amount_column,
    text_column,
)
from ledger.reports.totals import sums

_OFF_BOOKS = """
    WITH moved(kind, document, currency, since, entry_id, amount) AS (
        SELECT 'ARREARS', s.id, s.currency, s.ends_at, settled.id,
            (settled.document->>'arrears')::numeric
        FROM billing_settlement s
        JOIN ledger_entry settled ON settled.id = s.entry_id
        WHERE settled.document->>'arrears' <> '0'
        UNION ALL
        SELECT 'ARREARS', s.id, s.currency, s.ends_at, a.entry_id, a.arrears
        FROM billing_settlementadjustment a
        JOIN billing_settlement s ON s.id = a.settlement_id
        UNION ALL
        SELECT 'ARREARS', s.id, s.currency, s.ends_at, less.id,
            -coalesce(less.document->>'arrears_paid', less.document->>'arrears_forgiven')::numeric
        FROM ledger_entry less
        JOIN billing_settlement s ON s.id = (less.document->>'settlement')::uuid
        WHERE less.event IN ('SETTLEMENT', 'ADJUSTMENT')
            AND less.document ?| ARRAY['arrears_paid', 'arrears_forgiven']
        UNION ALL
        SELECT 'DEBT', d.id, w.currency, d.occurred_at, d.entry_id, d.debt
        FROM wallets_debit d
        JOIN wallets_wallet w ON w.id = d.wallet_id
        WHERE d.debt > 0
        UNION ALL
        SELECT 'DEBT', d.id, w.currency, d.occurred_at, less.id,
            -(less.document->>'debt')::numeric
        FROM wallets_debit d
        JOIN wallets_wallet w ON w.id = d.wallet_id
        JOIN ledger_entry less ON less.book_id = w.book_id AND less.event = 'REVERSAL'
            AND less.document->>'debit' = d.id::text AND less.document ? 'debt'
        WHERE d.debt > 0
        UNION ALL
        SELECT 'CLAIM', c.id, c.currency, c.created_at, lost.id, c.amount
        FROM billing_claim c
        JOIN ledger_entry lost ON lost.book_id = c.book_id AND lost.event = 'DISPUTE'
            AND lost.document->>'top_up' = c.top_up_id::text AND lost.document->>'state' = 'lost'
        UNION ALL
        SELECT CASE WHEN c.debit_id IS NULL THEN 'CLAIM' ELSE 'DEBT' END,
            coalesce(c.debit_id, c.id), c.currency, coalesce(d.occurred_at, c.created_at), less.id,
            -(less.document->>'paid')::numeric
        FROM billing_claim c
        LEFT JOIN wallets_debit d ON d.id = c.debit_id
        JOIN ledger_entry less ON less.book_id = c.book_id AND less.event = 'SETTLEMENT'
            AND less.document->>'claim' = c.id::text
    )
    SELECT b.key, moved.kind, moved.document::text, moved.currency, moved.since, sum(moved.amount)
    FROM moved
    JOIN ledger_entry e ON e.id = moved.entry_id
    JOIN ledger_book b ON b.id = e.book_id
    WHERE {scope}
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(moved.amount) <> 0
    ORDER BY 1, 2, 5, 3
"""
_UNBILLED = """
    SELECT b.key, p.currency, -sum(side.amount)
    FROM {postings} {sides}
    WHERE {scope} AND side.account = %(unbilled)s
    GROUP BY 1, 2 HAVING sum(side.amount) <> 0
    ORDER BY 1, 2
"""
_COLUMNS = {"ARREARS": "arrears", "DEBT": "arrears", "CLAIM": "claims"}


def report(scope: ReportScope) -> Report:
    """Return what each customer owes at the end of the span, in the bucket of its days overdue."""

    def drill(row: Row) -> Drill:
        found = {
            **scope.until_end,
            "account": RECEIVABLE if row["kind"] == "INVOICE" else UNBILLED,
            "customer_id": str(row["customer_id"]),
            "currency": str(row["currency"]),
        }
        return found | {"invoice": str(row["document"])} if row["kind"] == "INVOICE" else found

    return Report(
        name="receivables",
        title="Receivables, arrears and claims by age",
        scope=scope,
        columns=[
            text_column("customer_id", "Customer"),
            text_column("kind", "Kind"),
            text_column("document", "Document"),
            Column("since", "Since", ColumnKind.MOMENT),
            Column("due_at", "Due", ColumnKind.MOMENT),
            text_column("currency", "Currency"),
            amount_column("invoiced", "Invoiced (1100)", drill),
            amount_column("arrears", "Arrears (not posted)"),
            amount_column("claims", "Claims (lost, 4940)"),
            *(amount_column(name, title) for name, title in AGES.items()),
            amount_column("allowance", "To be set aside (1150)"),
            amount_column("unbilled", "Unbilled (1200)", drill),
        ],
        rows=_rows(scope),
        notes=[
            "Invoiced, arrears and claims together are the buckets; unbilled stands apart.",
            "Arrears are posted once credits pay them; of claims the loss is, as it is lost.",
        ],
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    yield from _invoices(scope)
    as_of = scope.ends_on - timedelta(days=1)
    for customer, kind, document, currency, since, owed in sums.stream(
        _OFF_BOOKS, scope, currency="moved.currency"
    ):
        yield {
            **_empty(customer, kind, currency),
            "document": document,
            "since": since,
            "due_at": since,
            _COLUMNS[kind]: owed,
            age_of(since, as_of): owed,
        }
    for customer, currency, amount in sums.stream(_UNBILLED, scope, {"unbilled": UNBILLED}):
        yield {**_empty(customer, "UNBILLED", currency), "unbilled": amount}


def _invoices(scope: ReportScope) -> Iterator[Row]:
    matrices = provisions.in_force(livemode=scope.livemode, on=scope.ends_on - timedelta(days=1))
    for each in open_invoices.read(scope):
        yield {
            **_empty(each.customer, "INVOICE", each.currency),
            "document": each.number,
            "since": each.issued_at,
            "due_at": each.due_at,
            "invoiced": each.owed,
            "allowance": allowance.of_invoice(each, matrices),
            each.age: each.owed,
        }


def _empty(customer: str, kind: str, currency: str) -> dict[str, Value]:
    amounts = ("invoiced", "arrears", "claims", *AGES, "allowance", "unbilled")
    return {
        **dict.fromkeys(amounts, ZERO),
        "customer_id": customer,
        "kind": kind,
        "document": "",
        "since": None,
        "due_at": None,
        "currency": currency,
    }
