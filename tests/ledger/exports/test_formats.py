"""Each target's file, line by line, as its importer wants it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ledger.exports.formats import TARGETS, MappedJournal
from ledger.exports.formats.target import MappedLine

D = Decimal
ZERO = D(0)


def journal(currency: str = "USD") -> MappedJournal:
    return MappedJournal(
        id=f"AF-20260131-{currency}-3",
        number=17,
        day=date(2026, 1, 31),
        currency=currency,
        made_on=date(2026, 2, 2),
        lines=(
            MappedLine("1100", "120", "Debtors:Credits", "Accounts receivable", D("120.00"), ZERO),
            MappedLine("2300", "220", "VAT", "Sales tax", ZERO, D("20.00")),
            MappedLine("4020", "400", "Sales:Usage", "Usage revenue: overage", ZERO, D("100.00")),
        ),
    )


def written(name: str, currency: str = "USD") -> list[str]:
    target = TARGETS[name]
    return [target.separator.join(cells) for cells in target.write(journal(currency))]


def test_quickbooks() -> None:
    assert TARGETS["QUICKBOOKS"].separator.join(TARGETS["QUICKBOOKS"].columns) == (
        "JournalNo,JournalDate,AccountName,Debits,Credits,Description,Name,Currency,Location,Class"
    )
    assert written("QUICKBOOKS") == [
        (
            "AF-20260131-USD-3,01/31/2026,Debtors:Credits,120.00,,Accounts receivable,"
            "Prepaid credit customers,USD,,"
        ),
        "AF-20260131-USD-3,01/31/2026,VAT,,20.00,Sales tax,,USD,,",
        "AF-20260131-USD-3,01/31/2026,Sales:Usage,,100.00,Usage revenue: overage,,USD,,",
    ]


def test_xero_has_one_signed_amount_that_sums_to_zero() -> None:
    assert ",".join(TARGETS["XERO"].columns) == (
        "*Narration,*Date,Description,*AccountCode,*TaxRate,*Amount,TrackingName1,TrackingOption1,"
        "TrackingName2,TrackingOption2"
    )
    assert written("XERO")[:2] == [
        (
            "AF-20260131-USD-3 Prepaid credits 2026-01-31 USD,31/01/2026,Accounts receivable,120,"
            "Tax Exempt,120.00,,,,"
        ),
        (
            "AF-20260131-USD-3 Prepaid credits 2026-01-31 USD,31/01/2026,Sales tax,220,Tax Exempt,"
            "-20.00,,,,"
        ),
    ]
    assert sum(D(cells[5]) for cells in TARGETS["XERO"].write(journal())) == 0


def test_netsuite() -> None:
    assert ",".join(TARGETS["NETSUITE"].columns) == (
        "External ID,Date,Posting Period,Subsidiary,Currency,Exchange Rate,Memo,Reversal Date,"
        "Account,Debit,Credit,Line Memo,Name,Department,Class,Location"
    )
    assert written("NETSUITE")[0] == (
        "AF-20260131-USD-3,01/31/2026,Jan 2026,,USD,,Prepaid credits 2026-01-31 USD,,"
        "120 Debtors:Credits,120.00,,Accounts receivable,,,,"
    )


def test_intacct_heads_a_journal_once() -> None:
    assert ",".join(TARGETS["INTACCT"].columns) == (
        "JOURNAL,DATE,DESCRIPTION,LINE_NO,ACCT_NO,LOCATION_ID,DEPT_ID,MEMO,DEBIT,CREDIT"
    )
    assert written("INTACCT")[:2] == [
        "GJ,01/31/2026,AF-20260131-USD-3,1,120,,,Accounts receivable USD,120.00,",
        ",,,2,220,,,Sales tax USD,,20.00",
    ]


def test_fec_has_eighteen_fields_tabs_and_decimal_commas() -> None:
    assert "\t".join(TARGETS["FEC"].columns).replace("\t", " ") == (
        "JournalCode JournalLib EcritureNum EcritureDate CompteNum CompteLib CompAuxNum CompAuxLib"
        " PieceRef PieceDate EcritureLib Debit Credit EcritureLet DateLet ValidDate Montantdevise"
        " Idevise"
    )
    assert written("FEC", "EUR")[1] == (
        "CR\tCrédits prépayés\t17\t20260131\t220\tVAT\t\t\tAF-20260131-EUR-3\t20260131\tSales tax"
        "\t0,00\t20,00\t\t\t20260202\t\t"
    )
    assert written("FEC")[1].endswith("\t0,00\t20,00\t\t\t20260202\t-20,00\tUSD")


@pytest.mark.parametrize("name", TARGETS)
def test_every_line_has_every_column(name: str) -> None:
    target = TARGETS[name]

    assert {len(cells) for cells in target.write(journal("JPY"))} == {len(target.columns)}
