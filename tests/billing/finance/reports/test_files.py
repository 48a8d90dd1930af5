"""One report in four forms: the same rows, the same hash, no float."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from django.core.management import CommandError, call_command

from aforo.errors import Invalid
from billing.finance import reports
from billing.finance.reports import running
from ledger.models import Entry
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Header,
    Report,
    amount_column,
    text_column,
)
from ledger.reports.writing import Tally, write_csv, write_xlsx, xlsx
from tests import factories
from tests.billing.finance.reports.conftest import scope

pytestmark = pytest.mark.django_db
RUN_AT = datetime(2026, 3, 1, tzinfo=UTC)


def written(name: str, form: str, run_at: datetime = RUN_AT) -> tuple[bytes, Header]:
    file, header = running.spooled(
        make=reports.find(name).make, scope=scope(), form=form, run_at=run_at
    )
    with file:
        return file.read(), header


@pytest.mark.parametrize("name", reports.NAMES)
def test_every_report_is_the_same_in_every_form(quarter: None, name: str) -> None:
    as_csv, header = written(name, "csv")
    as_json, _ = written(name, "json")
    as_xlsx, _ = written(name, "xlsx")

    lines = list(csv.DictReader(io.StringIO(as_csv.decode())))
    answer = json.loads(as_json)
    assert len(lines) == len(answer["data"]) == header.rows
    assert answer["header"]["sha256"] == header.sha256
    for line, row in zip(lines, answer["data"], strict=True):
        assert line == {k: "" if v is None else str(v) for k, v in row.items() if k != "links"}
    book = openpyxl.load_workbook(io.BytesIO(as_xlsx))
    assert book.sheetnames == ["Report", "Header"]
    sheet = book["Report"]
    assert sheet.max_row == header.rows + 1
    facts = {row[0].value: row[1].value for row in book["Header"].iter_rows()}
    assert facts["sha256"] == header.sha256
    assert facts["mode"] == "sandbox"


def test_a_report_run_again_is_the_same_file(quarter: None) -> None:
    for form in running.WRITERS:
        assert written("contract-liability", form) == written("contract-liability", form)
    later = written("contract-liability", "csv", datetime(2026, 4, 1, tzinfo=UTC))
    assert later[1].sha256 == written("contract-liability", "csv")[1].sha256


def test_the_hash_is_of_the_csv(quarter: None) -> None:
    content, header = written("trial-balance", "csv")

    assert hashlib.sha256(content).hexdigest() == header.sha256


def _odd(rows: list[dict[str, Any]]) -> Report:
    columns = [
        text_column("note", "Note"),
        text_column("currency", "Currency"),
        amount_column("amount", "Amount"),
        Column("count", "Count", ColumnKind.COUNT),
    ]
    return Report("odd", "Odd", scope(), columns, rows)


def test_amounts_are_exact_in_the_workbook_and_text_where_a_number_would_not_be() -> None:
    """15 digits are what a spreadsheet keeps; 83.333333333333 has 14, the other 17."""
    rows = [
        {"note": "a", "currency": "USD", "amount": Decimal("83.333333333333"), "count": 2},
        {"note": "b", "currency": "USD", "amount": Decimal("12345.123456789012"), "count": 0},
        {"note": "c", "currency": "JPY", "amount": Decimal(-7), "count": 0},
    ]
    file = io.BytesIO()
    write_xlsx(_odd(rows), file, run_at=RUN_AT)

    with ZipFile(file) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<v>83.333333333333</v>" in sheet
    assert "<v>-7</v>" in sheet
    assert "<t>12345.123456789012</t>" in sheet


def test_no_amount_passes_through_a_float() -> None:
    """To 16 digits the float nearest to 657.809384024969 is 657.8093840249689."""
    amounts = ["657.809384024969", "7655791794854.89", "999999999999.999", "-0.000000000012"]
    rows = [
        {"note": "", "currency": "USD", "amount": Decimal(text), "count": 1} for text in amounts
    ]
    file = io.BytesIO()
    write_xlsx(_odd(rows), file, run_at=RUN_AT)

    with ZipFile(file) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    written = [Decimal(text) for text in re.findall(r"<v>([^<]+)</v>", sheet)]
    assert written[::2] == [Decimal(text) for text in amounts]


def test_more_rows_than_a_sheet_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows and the titles fit into three."""
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    rows = [{"note": "a", "currency": "USD", "amount": Decimal(1), "count": 1}] * 3
    assert write_xlsx(_odd(rows[:2]), io.BytesIO(), run_at=RUN_AT).rows == 2

    with pytest.raises(Invalid):
        write_xlsx(_odd(rows), io.BytesIO(), run_at=RUN_AT)


def test_what_a_customer_wrote_never_becomes_a_formula_or_broken_xml() -> None:
    notes = ['=cmd|"x"!A1', "+1", "@a", "-1", 'a,"b"\nc', "<&>\x07"]
    rows = [{"note": note, "currency": "", "amount": None, "count": 1} for note in notes]
    as_csv, as_xlsx = io.BytesIO(), io.BytesIO()
    write_csv(_odd(rows), as_csv, run_at=RUN_AT)
    write_xlsx(_odd(rows), as_xlsx, run_at=RUN_AT)

    lines = list(csv.reader(io.StringIO(as_csv.getvalue().decode(), newline="")))[1:]
    assert [line[0] for line in lines] == [
        "'=cmd|\"x\"!A1", "'+1", "'@a", "'-1", "a,\"b\"\nc", "<&>\x07",
    ]  # fmt: skip
    sheet = openpyxl.load_workbook(as_xlsx)["Report"]
    assert [row[0].value for row in sheet.iter_rows(min_row=2)][-2:] == ['a,"b"\nc', "<&>"]


def test_control_totals_are_by_currency(quarter: None) -> None:
    rows = [
        {"note": "a", "currency": "USD", "amount": Decimal("0.1"), "count": 1},
        {"note": "b", "currency": "USD", "amount": Decimal("0.2"), "count": 1},
        {"note": "c", "currency": "EUR", "amount": Decimal(5), "count": 1},
    ]
    tally = Tally(_odd(rows))
    list(tally.cells())
    header = tally.header(run_at=RUN_AT)

    assert header.totals == {"USD": {"amount": Decimal("0.3")}, "EUR": {"amount": Decimal(5)}}
    covered = Entry.objects.filter(book__livemode=False, accounting_date__lte=date(2026, 1, 31))
    assert (header.rows, header.covered.entries) == (3, covered.count())


class TestCommand:
    def run(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("report", *arguments, "--mode", "sandbox", stdout=out, stderr=io.StringIO())
        return out.getvalue()

    def test_a_table_with_its_header(self, quarter: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        shown = self.run("contract-liability", "--period", "2026-01")

        assert "66.666666666666" in shown
        assert "to: 2026-01-31" in shown
        assert "Without figures: Fees billed" in shown

    def test_a_file_with_its_header_beside_it(self, quarter: None, tmp_path: Path) -> None:
        out = tmp_path / "tb.csv"
        self.run("trial-balance", "--period", "2026-01", "--format", "csv", "--out", str(out))

        facts = json.loads((tmp_path / "tb.csv.json").read_text())
        assert out.read_text().splitlines()[1] == (
            "1010,Processor clearing,USD,debit,0.00,140.00,0.00,140.00,140.00,0.00"
        )
        assert facts["totals"]["USD"]["debit"] == facts["totals"]["USD"]["credit"]
        assert (facts["rows"], facts["from"], facts["to"]) == (8, "2026-01-01", "2026-01-31")

    def test_one_customer_has_a_range_of_sequences(self, quarter: None, tmp_path: Path) -> None:
        out = tmp_path / "tb.xlsx"
        arguments = ("--period", "2026-01", "--customer", "ann", "--format", "xlsx")
        self.run("trial-balance", *arguments, "--out", str(out))

        facts = json.loads((tmp_path / "tb.xlsx.json").read_text())
        assert (facts["first_sequence"], facts["last_sequence"], facts["entries"]) == (1, 3, 3)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("nonsense",), "There is no report nonsense"),
            (("trial-balance", "--period", "soon"), "YYYY-MM"),
            (("trial-balance", "--customer", "nobody"), "There is no customer nobody"),
            (("trial-balance", "--format", "xlsx"), "--out FILE"),
            (("trial-balance", "--format", "csv", "--out", "/nowhere/tb.csv"), "No such file"),
        ],
    )
    def test_a_failure_is_one_clear_line(
        self, db: None, arguments: tuple[str, ...], says: str
    ) -> None:
        before = factories.everything()
        with pytest.raises(CommandError, match=says):
            self.run(*arguments)

        assert factories.everything() == before

    def test_without_a_name_it_lists_them(self, db: None) -> None:
        listed = self.run()

        assert [line.split()[0] for line in listed.splitlines()] == list(reports.NAMES)
