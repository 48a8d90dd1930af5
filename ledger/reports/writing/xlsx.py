"""A report as an Excel workbook: the rows on one sheet, the header on another.

The few parts that a workbook needs are written as they stream, because every amount has to be in
the file digit by digit: libraries write numbers through floats. An amount of up to 15 digits, which
is what a spreadsheet keeps, is a number; a longer one is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import IO, BinaryIO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from ledger.reports.report_table import ColumnKind, Header, Report
from ledger.reports.writing.headers import header_facts
from ledger.reports.writing.tally import Tally

MAX_DIGITS = 15
_NUMBERS = {ColumnKind.AMOUNT, ColumnKind.QUANTITY, ColumnKind.COUNT}
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PLAIN, _AMOUNT, _BOLD = 0, 1, 2

_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
    '+xml"/><Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet2.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="Report" sheetId="1" r:id="rId1"/><sheet name="Header" sheetId="2" r:id="rId2"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/worksheet" Target="worksheets/sheet2.xml"/>'
    f'<Relationship Id="rId3" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><numFmts count="1">'
    '<numFmt numFmtId="164" formatCode="#,##0.00##########"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="3"><xf xfId="0"/><xf numFmtId="164" applyNumberFormat="1" xfId="0"/>'
    '<xf fontId="1" applyFont="1" xfId="0"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>",
}


def write_xlsx(report: Report, file: BinaryIO, *, run_at: datetime) -> Header:
    """Write a report of any size."""
    tally = Tally(report)
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            with _part(archive, name) as part:
                part.write((_XML + content).encode())
        with _part(archive, "xl/worksheets/sheet1.xml") as part:
            _write_sheet(part, _report_rows(report, tally), widths=_widths(report))
        header = tally.header(run_at=run_at)
        with _part(archive, "xl/worksheets/sheet2.xml") as part:
            _write_sheet(part, _header_rows(header), widths=[24, 80])
    return header


def _part(archive: ZipFile, name: str) -> IO[bytes]:
    """Open a part with a fixed time, so that the same rows make the same bytes."""
    info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _write_sheet(part: IO[bytes], rows: Iterable[str], *, widths: list[int]) -> None:
    columns = "".join(
        f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>'
        for n, width in enumerate(widths, start=1)
    )
    pane = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    part.write(
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">{pane}'
        f"</sheetView></sheetViews><cols>{columns}</cols><sheetData>".encode()
    )
    for row in rows:
        part.write(f"<row>{row}</row>".encode())
    part.write(b"</sheetData></worksheet>")


def _report_rows(report: Report, tally: Tally) -> Iterator[str]:
    yield "".join(_text(column.title, _BOLD) for column in report.columns)
    kinds = [column.kind for column in report.columns]
    for _, cells in tally.cells():
        yield "".join(
            _number(cell, kind) if kind in _NUMBERS else _text(cell)
            for cell, kind in zip(cells, kinds, strict=True)
        )


def _header_rows(header: Header) -> Iterator[str]:
    for name, value in header_facts(header).items():
        if isinstance(value, dict):
            for currency, totals in value.items():
                for column, total in totals.items():
                    title = f"total {column} {currency}".rstrip()
                    yield _text(title, _BOLD) + _number(total, ColumnKind.AMOUNT)
        else:
            shown = " ".join(value) if isinstance(value, list) else value
            yield _text(name, _BOLD) + _text("" if shown is None else str(shown))


def _widths(report: Report) -> list[int]:
    return [
        18 if column.kind in _NUMBERS else max(12, len(column.title) + 2)
        for column in report.columns
    ]


def _number(cell: str, kind: ColumnKind) -> str:
    if not cell or len(Decimal(cell).as_tuple().digits) > MAX_DIGITS:
        return _text(cell)
    style = _AMOUNT if kind is ColumnKind.AMOUNT else _PLAIN
    return f'<c s="{style}"><v>{cell}</v></c>'


def _text(cell: str, style: int = _PLAIN) -> str:
    # XML has no way to write other control characters.
    sane = "".join(x for x in cell if (x >= " " or x in "\t\n\r") and x < "\ufffe")
    return f'<c t="inlineStr" s="{style}"><is><t xml:space="preserve">{escape(sane)}</t></is></c>'
