"""What the books say, summed from postings; only the accounting date decides the period.

Each report is a file with one function `report(scope) -> Report`; `writing` turns any of them into
CSV, XLSX, JSON or a table.
"""

from ledger.reports.totals.trial_balance import AccountBalance, trial_balance

__all__ = ["AccountBalance", "trial_balance"]
