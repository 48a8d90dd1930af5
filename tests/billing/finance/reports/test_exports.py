"""Batches: nothing twice, nothing lost, the same bytes for ever, and the sums of the books."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from ledger import account_mapping
from ledger.account_mapping import UnmappedAccounts
from ledger.exports import batches, formats
from ledger.exports.batches import ExportRequest, NothingToExport
from ledger.models import ExportBatch, ExportFormat, ExportPart, ExportRange, GlMapping
from tests import factories
from tests.billing.finance.reports.conftest import rows
from wallets.reports import lots

pytestmark = pytest.mark.django_db
D = Decimal
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
IMPORTS = [name for name in ExportFormat.values if name not in {"GENERIC", "FEC"}]


def wanted(form: str, month: int = 1, **terms: Any) -> ExportRequest:
    return ExportRequest(
        livemode=False,
        format=form,
        starts_on=date(2026, month, 1),
        ends_on=date(2026, month + 1, 1),
        **terms,
    )


def export(form: str, month: int = 1, **terms: Any) -> ExportBatch:
    return batches.export(wanted(form, month, **terms), now=NOW, by="fin", lots_of=lots.facts_of)


def content(batch: ExportBatch) -> str:
    ((_, pieces),) = batches.files(batch)
    return b"".join(pieces).decode()


def lines(batch: ExportBatch, separator: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(batch)), delimiter=separator))


def pictured() -> tuple[object, ...]:
    return (
        factories.everything(),
        ExportBatch.objects.count(),
        ExportRange.objects.count(),
        ExportPart.objects.count(),
    )


def test_january_in_quickbooks_by_hand(mapped: None) -> None:
    batch = export("QUICKBOOKS")

    assert content(batch).splitlines() == [
        "JournalNo,JournalDate,AccountName,Debits,Credits,Description,Name,Currency,Location,Class",
        *(
            f"AFT-{day}-USD-1,{shown},Credits:{name},{debit},{credit},{name},,USD,,"
            for day, shown, name, debit, credit in [
                ("20260102", "01/02/2026", "Processor clearing", "140.00", ""),
                ("20260102", "01/02/2026", "Contract liability: cash credits", "", "123.33"),
                ("20260102", "01/02/2026", "Contract liability: bonus credits", "", "16.67"),
                ("20260102", "01/02/2026", "Contract liability: goodwill credits", "", "5.00"),
                ("20260102", "01/02/2026", "Goodwill and SLA credits", "5.00", ""),
                ("20260110", "01/10/2026", "Contract liability: cash credits", "41.67", ""),
                ("20260110", "01/10/2026", "Contract liability: bonus credits", "16.67", ""),
                ("20260110", "01/10/2026", "Contract liability: goodwill credits", "5.00", ""),
                ("20260110", "01/10/2026", "Usage revenue: cash credits", "", "46.67"),
                ("20260110", "01/10/2026", "Usage revenue: bonus credits", "", "16.67"),
                ("20260120", "01/20/2026", "Contract liability: cash credits", "15.00", ""),
                ("20260120", "01/20/2026", "Breakage revenue: cash credits", "", "15.00"),
            ]
        ),
    ]
    assert (batch.number, batch.journals, batch.rows) == (1, 3, 12)
    assert batch.totals == {"USD": {"debit": "223.34", "credit": "223.34"}}


@pytest.mark.parametrize("form", ["GENERIC", *IMPORTS])
def test_an_entry_is_never_exported_twice(mapped: None, form: str) -> None:
    first = export(form)
    with pytest.raises(NothingToExport):
        export(form)
    february = export(form, 2)

    assert (first.number, february.number) == (1, 2)
    taken = [
        (each.book_id, sequence)
        for each in ExportRange.objects.filter(batch__in=[first, february])
        for sequence in range(each.after + 1, each.through + 1)
        if each.starts_on == date(2026, 1, 1)
    ]
    assert len(taken) == len(set(taken)) > 0
    assert content(first) != content(february)


def test_what_is_posted_later_in_the_month_comes_in_the_next_batch(mapped: None) -> None:
    first = export("GENERIC", 2)
    factories.debit("ann", "3")
    second = export("GENERIC", 2)

    assert [(x["event_type"], x["debit"], x["credit"]) for x in lines(second)] == [
        ("DEBIT", "3.00", ""), ("DEBIT", "", "3.00"),
    ]  # fmt: skip
    both = lines(first) + lines(second)
    assert len({x["external_id"] for x in both}) == len(both)


@pytest.mark.parametrize("form", IMPORTS)
def test_an_unmapped_account_blocks_the_export(mapped: None, form: str) -> None:
    GlMapping.objects.filter(account="4200").delete()
    before = pictured()

    with pytest.raises(UnmappedAccounts) as refused, transaction.atomic():
        export(form)

    assert [error.pointer for error in refused.value.errors] == ["/mapping/4200/USD"]
    assert pictured() == before


def test_generic_goes_without_a_mapping(quarter: None) -> None:
    assert {x["gl_account"] for x in lines(export("GENERIC"))} == {""}


@pytest.mark.parametrize("month", [1, 2])
def test_detail_is_summary_is_trial_balance(mapped: None, month: int) -> None:
    """Exact in the detail, within half a cent in the summary (docs/accounting.md#i10)."""
    period = f"2026-{month:02}"
    movement = {
        (row["account"], side): row[side]
        for row in rows("trial-balance", period)
        for side in ("debit", "credit")
        if row[side]
    }
    detail: dict[tuple[str, str], Decimal] = {}
    for line in lines(export("GENERIC", month)):
        side = "debit" if line["debit"] else "credit"
        key = (line["account_code"], side)
        detail[key] = detail.get(key, D(0)) + D(line[side])
    if month == 2:
        export("NETSUITE", 1)
    batch = export("NETSUITE", month)
    summary: dict[tuple[str, str], Decimal] = {}
    for line in lines(batch):
        side = "debit" if line["Debit"] else "credit"
        key = (line["Account"][1:5], side)
        summary[key] = summary.get(key, D(0)) + D(line[side.title()])

    assert detail == movement
    assert {key.rpartition("|")[0]: 1 for key in batch.booked}.keys() == {
        f"{account}|USD" for account, _ in movement
    }
    assert {(k[0], k[1]): D(v) for k, v in booked(batch).items() if D(v)} == movement
    assert summary.keys() == movement.keys()
    assert all(abs(summary[key] - movement[key]) < D("0.01") for key in movement)


def booked(batch: ExportBatch) -> dict[tuple[str, str], str]:
    return {(key.split("|")[0], key.split("|")[2]): value for key, value in batch.booked.items()}


def test_receivables_and_cash_can_be_left_out(mapped: None) -> None:
    found = lines(export("NETSUITE", clearing="1999"))

    assert [(x["Account"], x["Debit"]) for x in found if x["Date"] == "01/02/2026"][-1] == (
        "1999 1999", "140.00",
    )  # fmt: skip
    assert not any(x["Account"].startswith("91010") for x in found)
    assert sum(D(x["Debit"] or 0) - D(x["Credit"] or 0) for x in found) == 0


def test_a_long_month_is_several_files_for_xero(
    mapped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journals of 5, 5 and 2 lines in files of at most 6 lines: one each, never cut inside."""
    monkeypatch.setitem(formats.TARGETS, "XERO", replace(formats.TARGETS["XERO"], lines_per_file=6))
    batch = export("XERO")

    files = {name: b"".join(pieces).decode() for name, pieces in batches.files(batch)}
    assert list(files) == [f"xero-sandbox-2026-01-1-{n}.csv" for n in (1, 2, 3)]
    assert [len(text.splitlines()) for text in files.values()] == [6, 6, 3]
    assert all(text.startswith("*Narration") for text in files.values())


def test_files_and_ranges_can_not_be_changed(mapped: None) -> None:
    batch = export("XERO")
    before = content(batch)

    for statement in (
        "UPDATE ledger_exportpart SET content = ''",
        "DELETE FROM ledger_exportpart",
        "UPDATE ledger_exportrange SET through = 1000",
        "DELETE FROM ledger_exportrange",
    ):
        with (
            pytest.raises(IntegrityError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    taken = ExportRange.objects.filter(batch=batch).order_by("pk")[0]
    taken.pk = None
    with pytest.raises(IntegrityError, match="ledger_exportrange_once"), transaction.atomic():
        taken.save(force_insert=True)

    assert content(batch) == before
    assert hashlib.sha256(before.encode()).hexdigest() == batch.sha256


class TestMapping:
    def rule(self, code: str, currency: str = "", **terms: Any) -> None:
        GlMapping.objects.create(
            account_id="4000", currency=currency, gl_code=code,
            **{"starts_on": date(2026, 1, 1), **terms},
        )  # fmt: skip

    def found(self, currency: str, day: date) -> str | None:
        gl = account_mapping.read().find(account="4000", currency=currency, day=day)
        return None if gl is None else gl.code

    def test_the_currencys_rule_goes_before_the_one_for_all(self) -> None:
        self.rule("all")
        self.rule("eur", "EUR")

        assert self.found("EUR", date(2026, 5, 1)) == "eur"
        assert self.found("USD", date(2026, 5, 1)) == "all"

    def test_rules_begin_and_end(self) -> None:
        self.rule("old", ends_on=date(2026, 3, 1))
        self.rule("new", starts_on=date(2026, 4, 1))

        assert self.found("USD", date(2025, 12, 31)) is None
        assert self.found("USD", date(2026, 2, 28)) == "old"
        assert self.found("USD", date(2026, 3, 1)) is None
        assert self.found("USD", date(2026, 4, 1)) == "new"

    def test_a_changed_rule_is_another_version(self) -> None:
        self.rule("one")
        before = account_mapping.read().version
        GlMapping.objects.update(gl_code="two")

        assert account_mapping.read().version != before


class TestCommand:
    def run(self, form: str, out: Path, *more: str) -> str:
        said = io.StringIO()
        call_command(
            "export_journal", "--format", form, "--period", "2026-01", "--out", str(out),
            "--mode", "sandbox", *more, stdout=said, stderr=io.StringIO(),
        )  # fmt: skip
        return said.getvalue()

    def test_repeating_writes_the_same_bytes(self, mapped: None, tmp_path: Path) -> None:
        first, again = tmp_path / "a.csv", tmp_path / "b.csv"
        self.run("intacct", first)
        self.run("intacct", again)
        self.run("intacct", again, "--batch", "1")

        assert first.read_bytes() == again.read_bytes()
        assert ExportBatch.objects.count() == 1
        facts = json.loads((tmp_path / "a.csv.json").read_text())
        assert facts["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
        assert facts["sequences"] == [
            {"customer_id": "ann", "from": 1, "to": 3}, {"customer_id": "bob", "from": 1, "to": 4},
        ]  # fmt: skip
        assert (facts["rows"], facts["journals"], facts["entries"]) == (12, 3, 7)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--period", "2025-01"), "nothing new to export of 2025-01"),
            (("--period", "January"), "YYYY-MM"),
            (("--batch", "9"), "has no batch 9"),
            (("--clearing", "1"), "file holds every line"),
            (("--out", "/nowhere/x.csv"), "No such file"),
        ],
    )
    def test_a_failure_is_one_clear_line(
        self, quarter: None, tmp_path: Path, arguments: tuple[str, ...], says: str
    ) -> None:
        with pytest.raises(CommandError, match=says):
            self.run("generic", tmp_path / "x.csv", *arguments)

        assert not (tmp_path / "x.csv").exists()


class TestPage:
    URL = "exports"

    def post(self, client: Client, **form: str) -> Any:
        form = {"mode": "sandbox", "format": "XERO", "period": "2026-01", **form}
        return client.post(reverse(self.URL), form, follow=True)

    def test_finance_exports_and_takes_the_file_again(
        self, admin_client: Client, mapped: None
    ) -> None:
        page = self.post(admin_client)
        again = self.post(admin_client)

        (batch,) = ExportBatch.objects.all()
        assert b"7 entries, 12 lines" in page.content
        assert b"nothing new to export" in again.content
        assert batch.created_by == "admin"
        name = "xero-sandbox-2026-01-1.csv"
        file = admin_client.get(reverse("export_file", args=[batch.pk, name]))
        assert b"".join(file.streaming_content) == content(batch).encode()  # type: ignore[attr-defined]
        beside = admin_client.get(reverse("export_file", args=[batch.pk, f"{name}.json"]))
        facts = json.loads(b"".join(beside.streaming_content))  # type: ignore[attr-defined]
        assert facts["sha256"] == batch.sha256
        assert admin_client.get(reverse("export_file", args=[batch.pk, "x"])).status_code == 404

    def test_a_refusal_is_said_on_the_page(self, admin_client: Client, quarter: None) -> None:
        before = pictured()

        assert b"Map these accounts" in self.post(admin_client).content
        assert b"YYYY-MM" in self.post(admin_client, period="x").content
        assert pictured() == before

    def test_only_who_may(self, client: Client, django_user_model: Any, mapped: None) -> None:
        before = pictured()
        django_user_model.objects.create_user("clerk", password="x", is_staff=True)
        client.login(username="clerk", password="x")

        assert client.get(reverse(self.URL)).status_code == 403
        assert client.post(reverse(self.URL), {}).status_code == 403
        assert client.get(reverse("export_file", args=[1, "x"])).status_code == 403
        assert pictured() == before
