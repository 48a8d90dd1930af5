"""Write any report: CSV, XLSX, JSON, or a table for the console.

Each format reads the rows once and returns the header, with the same hash whatever the format.
Files are deterministic: the same rows and run time make the same bytes.
"""

from ledger.reports.writing.csvfile import write_csv
from ledger.reports.writing.headers import header_facts
from ledger.reports.writing.jsonfile import write_json
from ledger.reports.writing.table import print_table
from ledger.reports.writing.tally import Tally, plain
from ledger.reports.writing.xlsx import write_xlsx

__all__ = ["Tally", "header_facts", "plain", "print_table", "write_csv", "write_json", "write_xlsx"]
