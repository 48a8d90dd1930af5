"""Files that other programs import: checked as they read them, with currencies and whole years."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ledger import exchange_rates
from ledger.exchange_rates import DayRate, MissingRates
from ledger.exports import batches, financial_year
from ledger.exports.batches import NothingToExport
from ledger.exports.naming import NeedsClearing
from ledger.models import ExchangeRate, ExportBatch
from tests import factories
from tests.billing.finance.reports.test_exports import IMPORTS, content, export, pictured
from tests.ledger.exports.checkers import CHECKERS, french, netsuite, xero
from wallets.reports import lots
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db
D = Decimal
IN_FEBRUARY = date(2026, 2, 5)


def in_euros() -> None:
    """Sell ann credits for 10 euros on 5 February, where the quarter stands."""
    sales.top_up(livemode=False, customer_id="ann", key="e", amount=D(10), currency="EUR")


@pytest.mark.parametrize("form", [*IMPORTS, "FEC"])
def test_a_file_is_as_its_importer_reads_it(mapped: None, form: str) -> None:
    assert CHECKERS[form](content(export(form)))


@pytest.mark.parametrize("form", [*IMPORTS, "FEC"])
def test_and_so_it_is_in_two_currencies(mapped: None, form: str) -> None:
    in_euros()
    exchange_rates.record([DayRate("EUR", IN_FEBRUARY, D("1.085"))], source="ECB")

    assert CHECKERS[form](content(export(form, 2)))


def test_amounts_in_euros_have_the_rate_of_their_day(mapped: None) -> None:
    in_euros()
    exchange_rates.record([DayRate("EUR", date(2026, 2, 2), D("1.085"))], source="ECB")

    sold = [row for row in netsuite(content(export("NETSUITE", 2))) if row["Currency"] == "EUR"]
    assert [(row["Debit"], row["Credit"], row["Exchange Rate"]) for row in sold] == [
        ("10.00", "", "1.085"), ("", "10.00", "1.085"),
    ]  # fmt: skip
    translated = [row for row in xero(content(export("XERO", 2))) if "EUR" in row["*Narration"]]
    assert [row["*Amount"] for row in translated] == ["10.85", "-10.85"]


@pytest.mark.parametrize("day", [None, date(2026, 1, 29), date(2026, 2, 6)])
def test_without_a_rate_within_a_week_nothing_is_translated(mapped: None, day: date | None) -> None:
    in_euros()
    if day is not None:
        exchange_rates.record([DayRate("EUR", day, D("1.085"))], source="ECB")
    before = pictured()

    for form in ("XERO", "NETSUITE", "INTACCT", "FEC"):
        with pytest.raises(MissingRates, match="EUR on 2026-02-05"), transaction.atomic():
            export(form, 2)

    assert pictured() == before
    assert export("QUICKBOOKS", 2).rows > 0


def test_xero_takes_no_bank_lines_and_says_what_to_do(mapped: None) -> None:
    factories.customer("live", livemode=True)
    sales.top_up(
        livemode=True, customer_id="live", key="w", amount=D(10), currency="USD",
        payment=sales.TopUpPayment(method="wire"),
    )  # fmt: skip
    today = timezone.now().date()
    wanted = batches.ExportRequest(True, "XERO", today.replace(day=1), today + timedelta(days=2))

    with pytest.raises(NeedsClearing, match="1000"), transaction.atomic():
        batches.export(wanted, now=timezone.now(), by="fin", lots_of=lots.facts_of)

    assert ExportBatch.objects.count() == 0
    made = batches.export(
        replace(wanted, clearing="1999"), now=timezone.now(), by="fin", lots_of=lots.facts_of
    )
    assert [row["*AccountCode"] for row in xero(content(made))] == ["92100", "1999"]


class TestFrenchYear:
    def test_it_has_the_whole_year_and_the_name_of_its_end(
        self, mapped: None, settings: LazySettings
    ) -> None:
        settings.ENTITY_REGISTRATION = "123456789"
        batch = export("FEC")

        found = CHECKERS["FEC"](content(batch))
        assert [name for name, _ in batches.files(batch)] == ["123456789FEC20261231.txt"]
        assert batch.starts_on == date(2026, 1, 1)
        assert {row["EcritureDate"] for row in found} == {
            "20260102", "20260110", "20260120", "20260205",
        }  # fmt: skip
        assert {row["JournalCode"] for row in found} == {"CR"}

    def test_it_opens_with_the_year_before(self, quarter: None, settings: LazySettings) -> None:
        """January, as a year that ends with it: 140 at the processor, 66.66 of cash credits left
        (123.33 - 41.67 - 15.00), and 73.34 earned (46.67 + 16.67 + 15.00 - 5.00 of goodwill).
        """
        settings.FINANCIAL_YEAR_STARTS = 2
        found = CHECKERS["FEC"](content(export("FEC", 2)))

        opening = [row for row in found if row["JournalCode"] == "AN"]
        assert {row["EcritureNum"] for row in opening} == {"1"}
        assert {row["EcritureDate"] for row in opening} == {"20260201"}
        assert sorted((row["CompteNum"], french(row)) for row in opening) == [
            ("110000", D("-73.34")), ("419100", D("-66.66")), ("511000", D("140.00")),
        ]  # fmt: skip
        assert {row["EcritureDate"] for row in found} == {"20260201", "20260205"}
        assert financial_year.of(date(2026, 1, 31)) == (date(2025, 2, 1), date(2026, 2, 1))

    def test_the_same_books_make_the_same_bytes(self, quarter: None) -> None:
        first = export("FEC")
        with pytest.raises(NothingToExport), transaction.atomic():
            export("FEC", 2)
        factories.debit("ann", "3")
        second = export("FEC", 2)

        assert ExportBatch.objects.filter(format="FEC").count() == 2
        assert (first.number, second.number) == (1, 2)
        assert second.entries == first.entries + 1
        # Only the day on which something came has other lines.
        before, after = (set(content(batch).splitlines()) for batch in (first, second))
        assert all("\t20260205\t" in line for line in before ^ after)


class TestRates:
    def test_they_are_recorded_once_from_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "rates.csv"
        file.write_text("day,currency,rate\n2026-02-05,EUR,1.085\n2026-02-05,gbp,1.27\n")

        call_command("import_rates", str(file), source="ECB")
        call_command("import_rates", str(file), source="ECB")

        assert list(ExchangeRate.objects.order_by("currency").values_list("currency", "rate")) == [
            ("EUR", D("1.085")), ("GBP", D("1.27")),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "line",
        [
            "2026-02-05,EUR,1.09",
            "2026-02-05,XXX,1",
            "2026-02-05,USD,1",
            "2026-02-06,EUR,0",
            "2026-02-06,EUR,-1",
            "2026-02-06,EUR,0.0000000000001",
            "today,EUR,1",
            "2026-02-06,EUR,much",
        ],
    )
    def test_a_bad_line_records_nothing(self, tmp_path: Path, line: str) -> None:
        exchange_rates.record([DayRate("EUR", IN_FEBRUARY, D("1.085"))], source="ECB")
        file = tmp_path / "rates.csv"
        file.write_text(f"day,currency,rate\n2026-02-07,EUR,1.1\n{line}\n")

        with pytest.raises(CommandError):
            call_command("import_rates", str(file), source="ECB")

        assert ExchangeRate.objects.count() == 1

    def test_they_never_change(self) -> None:
        exchange_rates.record([DayRate("EUR", IN_FEBRUARY, D("1.085"))], source="ECB")

        with pytest.raises(IntegrityError, match="keeps its facts"), transaction.atomic():
            ExchangeRate.objects.update(rate=D(1))
        with pytest.raises(IntegrityError, match="is kept"), transaction.atomic():
            ExchangeRate.objects.all().delete()

        assert ExchangeRate.objects.get().rate == D("1.085")

    def test_they_are_recorded_in_the_back_office(self, admin_client: Client) -> None:
        add = reverse("admin:ledger_exchangerate_add")
        posted = {"currency": "eur", "day": "2026-02-05", "rate": "1.085", "source": "ECB"}

        assert b"is worth one" in admin_client.post(add, {**posted, "currency": "USD"}).content
        assert admin_client.post(add, posted).status_code == 302
        again = admin_client.post(add, {**posted, "rate": "1.09"}, follow=True)

        assert b"already exists" in again.content
        assert ExchangeRate.objects.get().rate == D("1.085")
