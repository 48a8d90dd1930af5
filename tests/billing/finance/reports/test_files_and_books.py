"""The reconciliation of exported files with the books (docs/decisions.md#d602)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ledger.models import Account, ExportBatch, ExportFormat
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.finance.reports.test_exports import export, lines
from tests.ledger.seals.tampering import guards_off

pytestmark = pytest.mark.django_db
D = Decimal


class TestFilesAndBooks:
    """What the reconciliation says of files is what they say.

    January, by pair: 1010 / 2100 123.333333333333, in the file 123.33; 1010 / 2110 16.666666666667,
    16.67; 2110 / 4010 the same; 2100 / 4000 41.666666666667, 41.67; 2100 / 4200 15.
    """

    def found(self, form: str, period: str = "2026-01") -> dict[str, dict[str, Any]]:
        return {
            row["subject"].split()[0]: row
            for row in rows("reconciliation", period)
            if row["one"] == f"exported, {ExportFormat(form).label}"
        }

    def test_a_rounded_file_differs_by_what_is_named(self, mapped: None) -> None:
        export("QUICKBOOKS")

        found = self.found("QUICKBOOKS")

        assert {
            account: (row["expected"], row["difference"], row["rounding"], row["status"])
            for account, row in found.items()
        } == {
            "1010": (D(140), D(0), D(0), "agrees"),
            "2100": (D("-66.66"), D("0.006666666666"), D("0.006666666666"), "rounded"),
            "2110": (D(0), D(0), D(0), "agrees"),
            "2130": (D(0), D(0), D(0), "agrees"),
            "4000": (D("-46.67"), D("-0.003333333333"), D("-0.003333333333"), "rounded"),
            "4010": (D("-16.67"), D("-0.003333333333"), D("-0.003333333333"), "rounded"),
            "4200": (D(-15), D(0), D(0), "agrees"),
            "4930": (D(5), D(0), D(0), "agrees"),
        }

    @pytest.mark.parametrize("month", [1, 2])
    def test_it_is_read_off_the_file(self, mapped: None, month: int) -> None:
        batches_made = [export("QUICKBOOKS", each) for each in range(1, month + 1)]
        said: dict[str, Decimal] = {}
        names = {f"Credits:{a.name}": a.code for a in Account.objects.all()}
        for line in lines(batches_made[-1]):
            code = names[line["AccountName"]]
            amount = D(line["Debits"] or 0) - D(line["Credits"] or 0)
            said[code] = said.get(code, D(0)) + amount

        found = self.found("QUICKBOOKS", f"2026-{month:02}")

        assert {account: row["expected"] for account, row in found.items()} == said
        assert {row["status"] for row in found.values()} <= {"agrees", "rounded"}

    def test_what_is_booked_elsewhere_stands_net(self, mapped: None) -> None:
        export("NETSUITE", clearing="1999")

        found = self.found("NETSUITE")

        assert "1010" not in found
        net = found["Receivables"]
        assert (net["expected"], net["found"], net["status"]) == (140, 140, "agrees")

    def test_a_file_that_says_something_else_differs(self, mapped: None) -> None:
        batch = export("QUICKBOOKS")
        assert batch.written is not None
        with guards_off("ledger_exportbatch"):
            ExportBatch.objects.filter(pk=batch.pk).update(
                written=batch.written | {"4200|USD|credit": "14.99"}
            )

        row = self.found("QUICKBOOKS")["4200"]

        assert (row["difference"], row["rounding"], row["status"]) == (D("0.01"), 0, "differs")

    def test_what_was_posted_since_is_not_exported_yet(self, mapped: None) -> None:
        export("QUICKBOOKS", 2)
        factories.debit("ann", "3")

        found = self.found("QUICKBOOKS", "2026-02")

        assert {a for a, row in found.items() if row["status"] == "not exported yet"} == {
            "2100", "4000",
        }  # fmt: skip
