"""Each target's file, line by line, as its importer wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from ledger.exports.formats import TARGETS, Company, MappedJournal
from ledger.exports.formats.fec import Balance, write_opening
from ledger.exports.formats.target import MappedLine, translated

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
            MappedLine(
                "1100", "120", "Debtors:Credits", "Accounts receivable", D("120.00"), ZERO, "acme"
            ),
            MappedLine("2300", "220", "VAT", "Sales tax", ZERO, D("20.00")),
            MappedLine("4020", "400", "Sales:Usage", "Usage revenue: overage", ZERO, D("100.00")),
        ),
    )


OWN = Company("USD", subsidiary="Aforo Inc.", location="HQ", rate_type="Daily")


def written(name: str, currency: str = "USD", rate: str = "1") -> list[str]:
    target = TARGETS[name]
    asked = replace(journal(currency), rate=D(rate))
    return [target.separator.join(cells) for cells in target.write(asked, OWN)]


def test_quickbooks() -> None:
    assert TARGETS["QUICKBOOKS"].separator.join(TARGETS["QUICKBOOKS"].columns) == (
        "JournalNo,JournalDate,AccountName,Debits,Credits,Description,Name,Currency,Location,Class"
    )
    assert written("QUICKBOOKS") == [
        ("AF-20260131-USD-3,01/31/2026,Debtors:Credits,120.00,,Accounts receivable,acme,USD,HQ,"),
        "AF-20260131-USD-3,01/31/2026,VAT,,20.00,Sales tax,,USD,HQ,",
        "AF-20260131-USD-3,01/31/2026,Sales:Usage,,100.00,Usage revenue: overage,,USD,HQ,",
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
    assert sum(D(cells[5]) for cells in TARGETS["XERO"].write(journal(), OWN)) == 0


def test_xero_has_no_currency_so_amounts_are_translated_and_the_narration_names_it() -> None:
    """120, 20 and 100 euros at 1.085: 130.20, 21.70 and 108.50."""
    found = TARGETS["XERO"].write(replace(journal("EUR"), rate=D("1.085")), OWN)

    assert [cells[5] for cells in found] == ["130.20", "-21.70", "-108.50"]
    assert {cells[0] for cells in found} == {"AF-20260131-EUR-3 Prepaid credits 2026-01-31 EUR"}


def test_xero_calls_taxes_as_its_organisation_does() -> None:
    found = TARGETS["XERO"].write(journal(), replace(OWN, tax_rate="BAS Excluded"))

    assert {cells[4] for cells in found} == {"BAS Excluded"}


def test_what_rounding_keeps_apart_goes_to_the_largest_line() -> None:
    """33.33, 33.33 and 33.34 at 1.5 are 50.00 (49.995), 50.00 and 50.01: 150.01 against 150.00."""
    lines = [MappedLine("1010", "1", "a", "a", D(100), ZERO)]
    lines += [
        MappedLine(code, code, "a", "a", ZERO, D(amount))
        for code, amount in (("2100", "33.33"), ("2110", "33.33"), ("2120", "33.34"))
    ]
    asked = replace(journal("EUR"), lines=tuple(lines), rate=D("1.5"))

    found = translated(asked, "USD")

    assert [line.debit - line.credit for line in found.lines] == [
        D("150.01"), D("-50.00"), D("-50.00"), D("-50.01"),
    ]  # fmt: skip
    assert translated(found, "USD") is found


def test_netsuite() -> None:
    assert ",".join(TARGETS["NETSUITE"].columns) == (
        "External ID,Date,Posting Period,Subsidiary,Currency,Exchange Rate,Memo,Reversal Date,"
        "Account,Debit,Credit,Line Memo,Name,Department,Class,Location"
    )
    assert written("NETSUITE")[0] == (
        "AF-20260131-USD-3,01/31/2026,Jan 2026,Aforo Inc.,USD,1,Prepaid credits 2026-01-31 USD,,"
        "120 Debtors:Credits,120.00,,Accounts receivable,acme,,,HQ"
    )
    assert ",EUR,1.085," in written("NETSUITE", "EUR", "1.085")[1]


def test_intacct_heads_a_journal_once() -> None:
    assert ",".join(TARGETS["INTACCT"].columns) == (
        "JOURNAL,DATE,DESCRIPTION,REFERENCE_NO,LINE_NO,ACCT_NO,LOCATION_ID,DEPT_ID,MEMO,DEBIT,CREDIT,"
        "CURRENCY,EXCH_RATE_DATE,EXCH_RATE_TYPE_ID,EXCHANGE_RATE"
    )
    assert written("INTACCT")[:2] == [
        (
            "GJ,01/31/2026,Credits 2026-01-31 USD,AF-20260131-USD-3,1,120,HQ,,Accounts receivable,"
            "120.00,,USD,,,"
        ),
        ",,,,2,220,HQ,,Sales tax,,20.00,USD,,,",
    ]
    assert written("INTACCT", "EUR", "1.085")[1] == (
        ",,,,2,220,HQ,,Sales tax,,20.00,EUR,01/31/2026,Daily,1.085"
    )


def test_columns_are_called_as_the_companys_template_does() -> None:
    called = TARGETS["INTACCT"].header(replace(OWN, titles={"ACCT_NO": "GLACCOUNT"}))

    assert called[4:7] == ["LINE_NO", "GLACCOUNT", "LOCATION_ID"]


def test_fec_has_eighteen_fields_tabs_and_decimal_commas() -> None:
    assert "\t".join(TARGETS["FEC"].columns).replace("\t", " ") == (
        "JournalCode JournalLib EcritureNum EcritureDate CompteNum CompteLib CompAuxNum CompAuxLib"
        " PieceRef PieceDate EcritureLib Debit Credit EcritureLet DateLet ValidDate Montantdevise"
        " Idevise"
    )
    assert written("FEC")[:2] == [
        (
            "CR\tCrédits prépayés\t17\t20260131\t120\tDebtors:Credits\tacme\tacme"
            "\tAF-20260131-USD-3\t20260131\tAccounts receivable\t120,00\t0,00\t\t\t20260202\t\t"
        ),
        (
            "CR\tCrédits prépayés\t17\t20260131\t220\tVAT\t\t\tAF-20260131-USD-3\t20260131"
            "\tSales tax\t0,00\t20,00\t\t\t20260202\t\t"
        ),
    ]
    assert written("FEC", "EUR", "1.085")[1].endswith("\t0,00\t21,70\t\t\t20260202\t-20,00\tEUR")


def test_fec_opens_with_what_accounts_stood_at() -> None:
    balance = Balance("411000", "Clients", "Receivable", "acme", D("21.70"), D("20.00"), "EUR")

    (cells,) = write_opening([balance], day=date(2026, 1, 1), company=OWN)

    assert "|".join(cells) == (
        "AN|À nouveaux|1|20260101|411000|Clients|acme|acme|AN-20260101|20260101|Receivable|21,70"
        "|0,00|||20260101|20,00|EUR"
    )


@pytest.mark.parametrize("name", TARGETS)
def test_every_line_has_every_column(name: str) -> None:
    target = TARGETS[name]

    assert {len(cells) for cells in target.write(journal("JPY"), OWN)} == {len(target.columns)}
