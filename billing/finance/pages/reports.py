"""Reports in the back office: the list, and each with its parameters, figures and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from aforo import money
from aforo.adminui.forms import Form, MonthField
from aforo.database.snapshot import snapshot
from aforo.errors import DomainError
from billing.finance import reports
from billing.finance.reports import running
from ledger.models import Book
from ledger.reports import writing
from ledger.reports.report_table import Column, ColumnKind, Header, ReportScope, Row
from ledger.reports.writing import Tally
from ledger.reports.writing.table import kept_columns, missing

SHOWN_ROWS = 300
_NUMBERS = {ColumnKind.AMOUNT, ColumnKind.QUANTITY, ColumnKind.COUNT}
MODES = [("live", "Live"), ("sandbox", "Sandbox")]


class ReportRequest(Form):
    """The parameters of a report."""

    mode = forms.ChoiceField(choices=MODES)
    period = MonthField(required=False, label="Month")
    as_of = forms.DateField(required=False, label="or up to the day")
    currency = forms.CharField(required=False)
    customer_id = forms.CharField(required=False, label="Customer")
    recorded_until = forms.DateTimeField(required=False, label="As recorded until (UTC)")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as it is displayed, exact in its tooltip, with a link to its parts."""

    text: str
    exact: str
    link: str
    right: bool


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm("ledger.view_entry"):
        raise PermissionDenied


def report_list(request: HttpRequest) -> HttpResponse:
    """Render the list of reports."""
    _check(request)
    context = {**admin.site.each_context(request), "title": "Reports", "reports": reports.CATALOGUE}
    return render(request, "reports/list.html", context)


def report_page(request: HttpRequest, name: str) -> HttpResponse | FileResponse:
    """Render a report, or with `format` return it as a file."""
    _check(request)
    try:
        offered = reports.find(name)
    except reports.UnknownReport as error:
        raise Http404(error.detail) from error
    now = timezone.now()
    asked = ReportRequest({"mode": _usual_mode(), **request.GET.dict()})
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": offered.title,
        "offered": offered,
        "asked": asked,
        "query": urlencode({k: v for k, v in request.GET.items() if k != "format"}),
    }
    try:
        if asked.is_valid():
            scope = _scope(asked, now)
            if request.GET.get("format") in running.WRITERS:
                return _download(offered, scope, request.GET["format"], now)
            context |= _shown(offered, scope, now)
    except DomainError as error:
        context["problem"] = error.detail
    return render(request, "reports/report.html", context)


def _usual_mode() -> str:
    """Return the mode that a report begins with: live once the live books are used."""
    used = Book.objects.filter(livemode=True, sequence__gt=0).exists()
    return "live" if used else "sandbox"


def _scope(asked: ReportRequest, now: datetime) -> ReportScope:
    given = asked.cleaned_data
    return reports.scope_of(
        livemode=given["mode"] == "live",
        now=now,
        period=given["period"] or None,
        as_of=given["as_of"],
        recorded_until=given["recorded_until"],
        currency=given["currency"] or None,
        customer_id=given["customer_id"] or None,
    )


def _download(
    offered: reports.ReportEntry, scope: ReportScope, form: str, now: datetime
) -> FileResponse:
    file, header = running.spooled(make=offered.make, scope=scope, form=form, run_at=now)
    return FileResponse(
        file,
        as_attachment=True,
        filename=running.file_name(header, form),
        content_type=running.WRITERS[form][1],
    )


def _shown(offered: reports.ReportEntry, scope: ReportScope, now: datetime) -> dict[str, Any]:
    """Read all of a report for its header; return it with its first rows."""
    with snapshot():
        report = offered.make(scope)
        tally = Tally(report)
        passing = tally.cells()
        shown = list(islice(passing, SHOWN_ROWS))
        for _ in passing:
            pass
        header = tally.header(run_at=now)
    kept = kept_columns(report.columns, [cells for _, cells in shown])
    columns = [report.columns[number] for number in kept]
    empty, in_files_only = missing(report.columns, kept)
    return {
        "columns": [(column.title, column.kind in _NUMBERS) for column in columns],
        "rows": [list(_cells(row, columns, scope)) for row, _ in shown],
        "totals": list(_totals(header, columns)),
        "left_out": empty if shown else [],
        "in_files_only": in_files_only,
        "more": header.rows - len(shown),
        "span": _span(scope),
        "facts": _facts(header),
        "notes": report.notes,
    }


def _cells(row: Row, columns: Sequence[Column], scope: ReportScope) -> Iterator[Cell]:
    currency = str(row.get("currency") or "")
    for column in columns:
        value, link = row.get(column.name), ""
        drill = column.drill(row) if column.drill is not None and value else None
        if drill:
            figure = urlencode({"mode": "live" if scope.livemode else "sandbox", **drill})
            link = f"{reverse('admin:ledger_posting_changelist')}?{urlencode({'figure': figure})}"
        exact = writing.plain(value, column.kind, currency)
        yield Cell(_readable(value, exact, currency), exact, link, column.kind in _NUMBERS)


def _readable(value: object, exact: str, currency: str) -> str:
    """Return a readable figure: rounded to the cent, with thousands separated; zero as a dash."""
    match value:
        case Decimal() if value == 0:
            return "-"
        case Decimal() if currency in money.EXPONENTS:
            return f"{money.round_amount(value, currency):,f}"
        case Decimal():
            return f"{Decimal(money.plain(value)):,f}"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return exact


def _totals(header: Header, columns: Sequence[Column]) -> Iterator[list[Cell]]:
    for currency, sums in sorted(header.totals.items()):
        row = {"currency": currency, **sums}
        cells = [
            Cell(
                _readable(row.get(column.name), "", currency) if column.name in row else "",
                "",
                "",
                column.kind in _NUMBERS,
            )
            for column in columns
        ]
        cells[0] = Cell(f"Total {currency}", "", "", right=False)
        yield cells


def _span(scope: ReportScope) -> str:
    last = scope.ends_on - timedelta(days=1)
    mode = "live" if scope.livemode else "sandbox"
    return f"{scope.starts_on:%-d %B %Y} to {last:%-d %B %Y}, {mode}"


def _facts(header: Header) -> list[tuple[str, object]]:
    facts = writing.header_facts(header)
    names = {
        "entity": "Entity", "mode": "Mode", "from": "From", "to": "To",
        "recorded_until": "As recorded until", "currency": "Currency",
        "customer_id": "Customer", "run_at": "Run at", "entries": "Entries seen",
        "first_recorded_at": "First recorded", "last_recorded_at": "Last recorded",
        "first_sequence": "First sequence", "last_sequence": "Last sequence", "rows": "Rows",
        "sha256": "SHA-256 of the rows",
    }  # fmt: skip
    return [(title, facts[name]) for name, title in names.items() if facts[name] is not None]
