"""What each day posted from one account to another, on receivables by customer: what files are made
of.
"""

from __future__ import annotations

from ledger.exports.journals import Sums
from ledger.models import ExportBatch
from ledger.posting_rules.parts import RECEIVABLE
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import sums as posted

# Narrows a statement about postings to the entries of a batch.
OF_BATCH = """
    JOIN ledger_exportrange taken ON taken.batch_id = %(batch)s AND taken.book_id = e.book_id
        AND e.sequence > taken.after AND e.sequence <= taken.through
"""
_SUMS = """
    SELECT e.accounting_date, p.currency, p.debit_id, p.credit_id, sum(p.amount),
        CASE WHEN %(receivable)s IN (p.debit_id, p.credit_id) THEN b.key ELSE '' END
    FROM {postings} {batch}
    WHERE {scope} {since}
    GROUP BY 1, 2, 3, 4, 6 ORDER BY 1, 2, 3, 4, 6
"""
_SINCE = "AND e.accounting_date >= %(starts_on)s"


def read(scope: ReportScope, *, batch: ExportBatch | None = None) -> list[Sums]:
    """Read the sums of a batch's entries, or without one of all that was posted before the scope's
    end.
    """
    template = _SUMS.replace("{batch}", "" if batch is None else OF_BATCH)
    template = template.replace("{since}", "" if batch is None else _SINCE)
    more = {"batch": None if batch is None else batch.pk, "receivable": RECEIVABLE}
    return [Sums(*row) for row in posted.fetch(template, scope, more)]
