"""The audit trail: who changed which configuration, when, from what to what."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings

from aforo.access.changes import readable
from aforo.access.models import ChangeAction
from ledger.reports.report_table import Column, ColumnKind, Report, ReportScope, Row, text_column
from ledger.reports.totals import sums

# What is of neither mode (roles, accounts, mappings) is of both.
_CHANGES = """
    SELECT c.id, c.changed_at, c.actor_kind, c.actor_id, c.request_id, c.reason, c.customer_id,
        c.table_name, c.row_id, c.label, c.action, c.old, c.new
    FROM access_configurationchange c
    WHERE (c.livemode IS NULL OR c.livemode = %(livemode)s)
        AND c.changed_at >= (%(starts_on)s::timestamp AT TIME ZONE %(zone)s)
        AND c.changed_at < (%(ends_on)s::timestamp AT TIME ZONE %(zone)s)
        AND (%(customer_id)s::text IS NULL OR c.customer_id = %(customer_id)s)
        AND (%(recorded_until)s::timestamptz IS NULL OR c.changed_at <= %(recorded_until)s)
    ORDER BY c.id
"""


def report(scope: ReportScope) -> Report:
    """Report every change of configuration in the span, in the order in which they were made."""
    return Report(
        name="audit-trail",
        title="Audit trail of configuration",
        scope=scope,
        columns=[
            Column("change", "Change", ColumnKind.COUNT),
            Column("changed_at", "Changed", ColumnKind.MOMENT),
            text_column("actor", "Actor"),
            text_column("object", "Object"),
            text_column("label", "Name"),
            text_column("row", "Row"),
            text_column("customer_id", "Customer"),
            text_column("action", "Action"),
            text_column("old", "Old"),
            text_column("new", "New"),
            text_column("reason", "Reason"),
            text_column("request_id", "Request"),
        ],
        rows=_rows(scope),
        notes=[
            "Triggers of the database write it, whoever makes a change and however.",
            "What is secret or personal shows only that it was changed.",
            "What moves credits or money names its actor in the journal.",
        ],
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    names = {
        model._meta.db_table: str(model._meta.verbose_name)
        for model in apps.get_models(include_auto_created=True)
    }
    for found in sums.stream(_CHANGES, scope, {"zone": settings.ENTITY_TIMEZONE}):
        (number, changed_at, kind, actor, request, reason, customer, table, row, label, action,
         old, new) = found  # fmt: skip
        yield {
            "change": number,
            "changed_at": changed_at,
            "actor": f"{kind}:{actor}",
            "object": names.get(table, table),
            "label": label,
            "row": row,
            "customer_id": customer,
            "action": ChangeAction(action).label,
            "old": readable(json.loads(old)),
            "new": readable(json.loads(new)),
            "reason": reason,
            "request_id": request,
        }
