"""The generic file: every line of the journal, exact, with the books' own account codes."""

from __future__ import annotations

from decimal import Decimal

from aforo import money
from aforo.money import ZERO
from ledger.exports import storage
from ledger.exports.formats import ExportTarget
from ledger.models import ExportBatch
from ledger.reports.details.journal import GENERIC, LotsOf, generic_columns, generic_rows
from ledger.reports.report_table import ReportScope
from ledger.reports.writing.tally import cell

TARGET = ExportTarget(GENERIC, lambda journal, company: [])


def write(batch: ExportBatch, *, scope: ReportScope, of_batch: str, lots_of: LotsOf) -> None:
    """Write the lines of a batch's entries, in the order of recording, in bounded memory."""
    columns = generic_columns()
    file = storage.File(batch)
    file.cut()
    file.write(storage.line(GENERIC))
    totals: dict[str, dict[str, Decimal]] = {}
    for row in generic_rows(scope, lots_of=lots_of, joined=of_batch, extra={"batch": batch.pk}):
        file.write(storage.line([cell(row, column) for column in columns]))
        batch.rows += 1
        sides = totals.setdefault(str(row["currency"]), {"debit": ZERO, "credit": ZERO})
        for side in sides:
            value = row[side]
            if isinstance(value, Decimal):
                sides[side] += value
        if row["line_no"] == 1:
            batch.journals += 1
    file.close()
    batch.totals = {
        currency: {side: money.amount_text(amount, currency) for side, amount in sides.items()}
        for currency, sides in sorted(totals.items())
    }
