"""Files for other programs, read as those programs say that they read them.

Each check is written from what the vendor or the law publishes (columns, dates, signs, grouping,
limits), not from the code that writes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

PLAIN = re.compile(r"\d{1,10}(\.\d{1,3})?")
SIGNED = re.compile(r"-?\d{1,10}(\.\d{1,3})?")
FRENCH = re.compile(r"-?\d{1,12}(,\d{1,3})?")
Row = dict[str, str]


def _read(text: str, columns: str, separator: str = ",") -> list[Row]:
    assert text.endswith("\r\n")
    header, *lines = csv.reader(io.StringIO(text), delimiter=separator)
    assert header == columns.split(), header
    assert all(len(line) == len(header) for line in lines)
    return [dict(zip(header, line, strict=True)) for line in lines]


def _check_date(text: str, form: str) -> None:
    assert f"{datetime.strptime(text, form).replace(tzinfo=UTC):{form}}" == text


def _one_side(row: Row, debit: str, credit: str) -> Decimal:
    """Return the amount of a line that is on one side only, debits above zero."""
    assert bool(row[debit]) != bool(row[credit]), row
    amount = row[debit] or row[credit]
    assert PLAIN.fullmatch(amount), row
    return Decimal(amount) if row[debit] else -Decimal(amount)


def _balances(rows: list[Row], by: Callable[[Row], str], amount: Callable[[Row], Decimal]) -> None:
    for name, lines in groupby(rows, key=by):
        found = list(lines)
        assert len(found) >= 2, name
        assert sum(map(amount, found)) == 0, name


def quickbooks(text: str) -> list[Row]:
    """Check a file for QuickBooks Online: dates MM/DD/YYYY, ids of at most 21 characters, accounts
    by name, a name on receivables.
    """
    rows = _read(
        text,
        "JournalNo JournalDate AccountName Debits Credits Description Name Currency Location Class",
    )
    _balances(rows, lambda row: row["JournalNo"], lambda row: _one_side(row, "Debits", "Credits"))
    for row in rows:
        _check_date(row["JournalDate"], "%m/%d/%Y")
        assert row["AccountName"]
        assert len(row["JournalNo"]) <= 21
        assert re.fullmatch("[A-Z]{3}", row["Currency"])
        assert "receivable" not in row["Description"] or row["Name"], row
    return rows


def xero(text: str) -> list[Row]:
    """Check a file of Xero's manual journals: dd/mm/yyyy, one signed amount in the organisation's
    currency, 300 lines, no bank account and no receivables.
    """
    columns = (
        "*Narration *Date Description *AccountCode *TaxRate *Amount TrackingName1 TrackingOption1 "
        "TrackingName2 TrackingOption2"
    )
    rows = _read(text, columns)
    assert len(rows) <= 300
    _balances(
        rows, lambda row: f"{row['*Narration']} {row['*Date']}", lambda row: Decimal(row["*Amount"])
    )
    for row in rows:
        _check_date(row["*Date"], "%d/%m/%Y")
        assert SIGNED.fullmatch(row["*Amount"])
        assert row["*AccountCode"]
        assert row["*TaxRate"]
        assert row["Description"] not in {"Cash", "Bank", "Accounts receivable"}
    return rows


def netsuite(text: str) -> list[Row]:
    """Check a file for NetSuite: the body on every line, an exchange rate above zero, one journal
    an external id.
    """
    header, *lines = csv.reader(io.StringIO(text))
    assert header == [
        "External ID", "Date", "Posting Period", "Subsidiary", "Currency", "Exchange Rate", "Memo",
        "Reversal Date", "Account", "Debit", "Credit", "Line Memo", "Name", "Department", "Class",
        "Location",
    ]  # fmt: skip
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    _balances(rows, lambda row: row["External ID"], lambda row: _one_side(row, "Debit", "Credit"))
    for _, journal in groupby(rows, key=lambda row: row["External ID"]):
        assert len({tuple(row[name] for name in header[:8]) for row in journal}) == 1
    for row in rows:
        _check_date(row["Date"], "%m/%d/%Y")
        _check_date(row["Posting Period"], "%b %Y")
        assert Decimal(row["Exchange Rate"]) > 0
    return rows


def intacct(text: str) -> list[Row]:
    """Check a file for Sage Intacct: the header on the first line of a journal alone, lines counted
    from one, 30 characters of description, a reference that no other journal has, a currency, and a
    rate with its day and kind or none of the three.
    """
    columns = (
        "JOURNAL DATE DESCRIPTION REFERENCE_NO LINE_NO ACCT_NO LOCATION_ID DEPT_ID MEMO DEBIT "
        "CREDIT CURRENCY EXCH_RATE_DATE EXCH_RATE_TYPE_ID EXCHANGE_RATE"
    )
    rows = _read(text, columns)
    references: list[str] = []
    for row in rows:
        is_first = row["LINE_NO"] == "1"
        for name in ("JOURNAL", "DATE", "DESCRIPTION", "REFERENCE_NO"):
            assert bool(row[name]) == is_first, row
        if is_first:
            _check_date(row["DATE"], "%m/%d/%Y")
            assert len(row["DESCRIPTION"]) <= 30
            references.append(row["REFERENCE_NO"])
        row["REFERENCE_NO"] = references[-1]
        assert row["CURRENCY"]
        assert bool(row["EXCHANGE_RATE"]) == bool(row["EXCH_RATE_DATE"])
    assert len(references) == len(set(references))
    for _, journal in groupby(rows, key=lambda row: row["REFERENCE_NO"]):
        numbers = [int(row["LINE_NO"]) for row in journal]
        assert numbers == [*range(1, len(numbers) + 1)]
    _balances(rows, lambda row: row["REFERENCE_NO"], lambda row: _one_side(row, "DEBIT", "CREDIT"))
    return rows


def fec(text: str) -> list[Row]:
    """Check a French FEC (article A47 A-1 of the Livre des procédures fiscales): 18 fields, tabs,
    dates YYYYMMDD, decimal commas, numbering without a break in order of validation, each entry
    balanced, an amount in a foreign currency with its name or neither.
    """
    columns = (
        "JournalCode JournalLib EcritureNum EcritureDate CompteNum CompteLib CompAuxNum CompAuxLib "
        "PieceRef PieceDate EcritureLib Debit Credit EcritureLet DateLet ValidDate Montantdevise "
        "Idevise"
    )
    rows = _read(text, columns, "\t")
    numbers = [int(row["EcritureNum"]) for row in rows]
    assert sorted(set(numbers)) == [*range(1, max(numbers) + 1)]
    assert numbers == sorted(numbers)
    for row in rows:
        for name in ("EcritureDate", "PieceDate", "ValidDate"):
            _check_date(row[name], "%Y%m%d")
        assert FRENCH.fullmatch(row["Debit"])
        assert FRENCH.fullmatch(row["Credit"])
        assert bool(row["Montantdevise"]) == bool(row["Idevise"])
        assert all(row[name] for name in ("JournalCode", "JournalLib", "CompteLib", "PieceRef"))
        assert re.fullmatch(r"\d{3}.*", row["CompteNum"])
        assert bool(row["CompAuxNum"]) == bool(row["CompAuxLib"])
        assert not row["CompteNum"].startswith("411") or row["CompAuxNum"]
    _balances(rows, lambda row: row["EcritureNum"], french)
    return rows


def french(row: Row) -> Decimal:
    """Return the amount of a line, debits above zero."""
    return Decimal(row["Debit"].replace(",", ".")) - Decimal(row["Credit"].replace(",", "."))


CHECKERS = {
    "QUICKBOOKS": quickbooks,
    "XERO": xero,
    "NETSUITE": netsuite,
    "INTACCT": intacct,
    "FEC": fec,
}
