"""The register of corrections by hand: who asked, who approved, why, and what was moved."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from ledger.models import Reason
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)
from ledger.reports.totals import sums

# What is posted belongs to the month of its entry, the rest to the one it was proposed in.
_REGISTER = """
    SELECT a.id, coalesce(own.key, ''), a.reason, a.evidence, maker.username, a.proposed_at,
        coalesce(approver.username, ''), a.approved_at, coalesce(rejecter.username, ''),
        a.rejected_at, a.occurred_at, e.id, e.accounting_date, line.debit_id, line.credit_id,
        line.amount, line.currency
    FROM ledger_manualadjustment a
    JOIN ledger_adjustmentline line ON line.adjustment_id = a.id
    JOIN auth_user maker ON maker.id = a.proposed_by_id
    LEFT JOIN auth_user approver ON approver.id = a.approved_by_id
    LEFT JOIN auth_user rejecter ON rejecter.id = a.rejected_by_id
    LEFT JOIN ledger_book own ON own.id = a.book_id
    LEFT JOIN ledger_entry e ON e.id = a.entry_id
    CROSS JOIN LATERAL (
        SELECT coalesce(e.accounting_date, (a.proposed_at AT TIME ZONE %(zone)s)::date) AS day
    ) AS dated
    WHERE a.livemode = %(livemode)s AND dated.day >= %(starts_on)s AND dated.day < %(ends_on)s
        AND (%(currency)s::text IS NULL OR line.currency = %(currency)s)
        AND (%(customer_id)s::text IS NULL OR own.key = %(customer_id)s)
        AND (%(recorded_until)s::timestamptz IS NULL OR a.proposed_at <= %(recorded_until)s)
    ORDER BY dated.day, a.proposed_at, a.id, line.position
"""


def report(scope: ReportScope) -> Report:
    """Report every line of every correction of the span, posted, waiting or rejected."""
    return Report(
        name="manual-adjustments",
        title="Manual adjustments, register",
        scope=scope,
        columns=[
            text_column("adjustment", "Adjustment"),
            text_column("status", "Status"),
            text_column("customer_id", "Customer"),
            text_column("reason", "Reason"),
            text_column("evidence", "Evidence"),
            text_column("proposed_by", "Proposed by"),
            Column("proposed_at", "Proposed", ColumnKind.MOMENT),
            text_column("approved_by", "Approved by"),
            Column("approved_at", "Approved", ColumnKind.MOMENT),
            text_column("rejected_by", "Rejected by"),
            Column("rejected_at", "Rejected", ColumnKind.MOMENT),
            Column("occurred_at", "Takes effect", ColumnKind.MOMENT),
            Column("accounting_date", "Posted on", ColumnKind.DATE),
            text_column("debit", "Debit"),
            text_column("credit", "Credit"),
            text_column("currency", "Currency"),
            amount_column("amount", "Amount", _drill),
            text_column("entry", "Entry"),
        ],
        rows=_rows(scope),
        notes=["Every correction that is posted has two different people."],
    )


def _drill(row: Row) -> dict[str, str] | None:
    if not row["entry"]:
        return None
    pair = {"debit": str(row["debit"]), "credit": str(row["credit"])}
    return {"entry": str(row["entry"]), **pair}


def _rows(scope: ReportScope) -> Iterator[Row]:
    for found in sums.stream(_REGISTER, scope, {"zone": settings.ENTITY_TIMEZONE}):
        (key, customer, reason, evidence, maker, proposed_at, approver, approved_at, rejecter,
         rejected_at, occurred_at, entry, day, debit, credit, amount, currency) = found  # fmt: skip
        yield {
            "adjustment": str(key),
            "status": "POSTED" if entry else "REJECTED" if rejecter else "PROPOSED",
            "customer_id": customer,
            "reason": Reason(reason).label,
            "evidence": evidence,
            "proposed_by": maker,
            "proposed_at": proposed_at,
            "approved_by": approver,
            "approved_at": approved_at,
            "rejected_by": rejecter,
            "rejected_at": rejected_at,
            "occurred_at": occurred_at,
            "accounting_date": day,
            "debit": debit,
            "credit": credit,
            "currency": currency,
            "amount": amount,
            "entry": str(entry or ""),
        }
