"""Receipts of exports: kept once, repeated freely, contradicted never."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from aforo.errors import Invalid
from ledger.exports import batches, receipts
from ledger.exports.receipts import Receipt, ReceiptDiffers
from ledger.models import ExportBatch, ExportReceipt
from tests.billing.finance.reports.test_exports import content, export, lines

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mapped")]
NOW = datetime(2026, 3, 3, 9, tzinfo=UTC)
# The days of January on which something was posted, in NetSuite's first batch.
BOUGHT, SPENT, LAPSED = (f"AFT-202601{day}-USD-1" for day in ("02", "10", "20"))


def record(batch: ExportBatch, *given: tuple[str, str]) -> int:
    return receipts.record(batch, [Receipt(*each) for each in given], now=NOW, by="fin")


def kept() -> list[tuple[str, str]]:
    found = ExportReceipt.objects.order_by("journal")
    return list(found.values_list("journal", "target_id"))


def test_each_journal_and_the_import_have_their_id_there() -> None:
    batch = export("NETSUITE")

    assert batch.journal_ids == [BOUGHT, SPENT, LAPSED]
    assert record(batch, (BOUGHT, "9001"), (SPENT, "9002")) == 2
    assert record(batch, ("", "JOB-7"), (LAPSED, "9003")) == 2
    assert kept() == [("", "JOB-7"), (BOUGHT, "9001"), (SPENT, "9002"), (LAPSED, "9003")]
    assert set(ExportReceipt.objects.values_list("recorded_at", "recorded_by")) == {(NOW, "fin")}


def test_repeating_changes_nothing_and_neither_do_the_files() -> None:
    batch = export("NETSUITE")
    before, beside = content(batch), batches.sidecar(batch)
    record(batch, (BOUGHT, "9001"))

    assert record(batch, (BOUGHT, "9001"), (SPENT, "9002"), (SPENT, "9002")) == 1

    assert kept() == [(BOUGHT, "9001"), (SPENT, "9002")]
    assert (content(batch), batches.sidecar(batch)) == (before, beside)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([(SPENT, "9002"), (BOUGHT, "9009")], f"{BOUGHT} is 9001 there already, not 9009"),
        ([("", "JOB-8")], "#1 is JOB-7 there already, not JOB-8"),
        ([(SPENT, "9001")], f"9001 is {BOUGHT} already, it cannot be {SPENT} too"),
        ([(SPENT, "5"), (LAPSED, "5")], f"5 is {SPENT} already"),
        ([(SPENT, "5"), (SPENT, "6")], f"{SPENT} is 5 there already, not 6"),
    ],
)
def test_a_contradiction_is_refused_with_all_that_came_along(
    given: list[tuple[str, str]], says: str
) -> None:
    batch = export("NETSUITE")
    record(batch, ("", "JOB-7"), (BOUGHT, "9001"))
    before = kept()

    with pytest.raises(ReceiptDiffers, match=says):
        record(batch, *given)

    assert kept() == before


def test_what_is_not_in_the_batch_is_refused() -> None:
    batch = export("NETSUITE")
    other = export("NETSUITE", 2)

    for stranger in (other.journal_ids[0], "x"):
        with pytest.raises(Invalid, match="holds no journal"):
            record(batch, (BOUGHT, "9001"), (stranger, "9002"))

    assert kept() == []


def test_journals_of_the_generic_file_are_entries() -> None:
    january, february = export("GENERIC"), export("GENERIC", 2)
    entry, other = lines(january)[0]["journal_id"], lines(february)[0]["journal_id"]

    assert record(january, (entry, "77")) == 1
    for stranger in (other, "x"):
        with pytest.raises(Invalid, match="holds no journal"):
            record(january, (stranger, "78"))

    assert kept() == [(entry, "77")]


def test_the_same_id_of_another_format_is_another() -> None:
    for form in ("NETSUITE", "INTACCT"):
        batch = export(form)
        assert record(batch, (batch.journal_ids[0], "1")) == 1


def test_the_database_holds_it_too() -> None:
    batch = export("NETSUITE")
    record(batch, (BOUGHT, "9001"))
    before = kept()

    for statement in (
        "UPDATE ledger_exportreceipt SET target_id = '9002'",
        "DELETE FROM ledger_exportreceipt",
    ):
        with (
            pytest.raises(IntegrityError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    for journal, target_id in ((BOUGHT, "9002"), (SPENT, "9001"), (SPENT, "")):
        with pytest.raises(IntegrityError, match="ledger_exportreceipt_"), transaction.atomic():
            ExportReceipt.objects.create(
                batch=batch,
                journal=journal,
                target_id=target_id,
                livemode=batch.livemode,
                format=batch.format,
                recorded_at=NOW,
                recorded_by="fin",
            )

    assert kept() == before


class TestCommand:
    def run(self, *arguments: object, batch: int = 1) -> None:
        call_command(
            "record_receipts", "--format", "netsuite", "--mode", "sandbox", "--batch", str(batch),
            *map(str, arguments),
        )  # fmt: skip

    def test_a_file_of_them(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        export("NETSUITE")
        file = tmp_path / "ids.csv"
        file.write_text(
            f"\ufeffjournal_id,target_id\r\n{BOUGHT},9001\r\n\r\n{SPENT}, 9002 \r\n",
            encoding="utf-8",
        )

        self.run(file)
        self.run(file)
        self.run("--id", "JOB-7")

        assert kept() == [("", "JOB-7"), (BOUGHT, "9001"), (SPENT, "9002")]
        assert capsys.readouterr().out.splitlines() == [
            "NetSuite 2026-01 #1: 2 new, 0 known",
            "NetSuite 2026-01 #1: 0 new, 2 known",
            "NetSuite 2026-01 #1: 1 new, 0 known",
        ]

    @pytest.mark.parametrize(
        ("written", "says"),
        [
            (f"{BOUGHT},9001,x", "Line 1: A journal's id and theirs"),
            (f"{BOUGHT},9001\n{SPENT},", "Line 2: Their id has"),
            (f"{BOUGHT},{'9' * 201}", "Line 1: Their id has"),
            ("journal_id,target_id\n", "There is no receipt in it"),
            ("x,1", "holds no journal x"),
        ],
    )
    def test_a_bad_file_is_one_clear_line(self, tmp_path: Path, written: str, says: str) -> None:
        export("NETSUITE")
        file = tmp_path / "ids.csv"
        file.write_text(written)

        with pytest.raises(CommandError, match=says):
            self.run(file)

        assert kept() == []

    def test_no_such_batch_and_no_such_file(self, tmp_path: Path) -> None:
        export("NETSUITE")

        with pytest.raises(CommandError, match="no batch 2"):
            self.run("--id", "1", batch=2)
        with pytest.raises(CommandError, match="No such file"):
            self.run(tmp_path / "no.csv")

        assert kept() == []


class TestPage:
    def post(self, client: Client, batch: ExportBatch, given: str) -> Any:
        url = reverse("export_receipts", args=[batch.pk])
        return client.post(url, {"lines": given}, follow=True)

    def test_finance_writes_them_back(self, admin_client: Client) -> None:
        batch = export("NETSUITE")

        page = self.post(admin_client, batch, f"{BOUGHT},9001\n{SPENT},9002")
        again = self.post(admin_client, batch, f"{BOUGHT},9005")

        assert b"2 new." in page.content
        assert b"9001 there already, not 9005" in again.content
        assert b"Line 1" in self.post(admin_client, batch, f"{BOUGHT},,").content
        assert kept() == [(BOUGHT, "9001"), (SPENT, "9002")]
        assert ExportReceipt.objects.first().recorded_by == "admin"  # type: ignore[union-attr]
        assert b"2 ids" in admin_client.get(reverse("exports")).content

    def test_only_who_may(self, client: Client, django_user_model: Any) -> None:
        batch = export("NETSUITE")
        django_user_model.objects.create_user("clerk", password="x", is_staff=True)
        client.login(username="clerk", password="x")

        assert self.post(client, batch, f"{BOUGHT},9001").status_code == 403
        assert kept() == []
