"""Single postings as the rows of a report: whose, what, when, and between which accounts.

People know an entry by its customer and sequence; its id is in the files, and behind the amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.reports.report_table import Column, ColumnKind, Row, amount_column, text_column


def posting_columns(*more: Column) -> list[Column]:
    """Return the columns of a posting, `more` after its event."""
    return [
        Column("entry", "Entry", ColumnKind.TEXT, in_files_only=True),
        text_column("customer_id", "Customer"),
        Column("sequence", "Entry no.", ColumnKind.COUNT),
        text_column("event", "Event"),
        *more,
        Column("occurred_at", "Happened", ColumnKind.MOMENT),
        Column("recorded_at", "Recorded", ColumnKind.MOMENT),
        Column("accounting_date", "Posted on", ColumnKind.DATE),
        text_column("debit", "Debit"),
        text_column("credit", "Credit"),
        text_column("currency", "Currency"),
        amount_column("amount", "Amount", _drill),
    ]


def posting_row(found: Sequence[Any], **more: str) -> Row:
    """Return what was read as a row: id, customer, sequence, event, the three times, accounts,
    amount and currency.
    """
    names = (
        "entry", "customer_id", "sequence", "event", "occurred_at", "recorded_at",
        "accounting_date", "debit", "credit", "amount", "currency",
    )  # fmt: skip
    row: Row = dict(zip(names, found, strict=True))
    return {**row, "entry": str(row["entry"]), **more}


def _drill(row: Row) -> dict[str, str]:
    """Return the filter of the posting, or of its whole entry where it names no accounts."""
    pair = {side: str(row[side]) for side in ("debit", "credit") if row[side]}
    return {"entry": str(row["entry"]), **pair}
