"""Tax rates: by country, region and product class, from an instant to another, several on one
document.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.errors import Invalid
from billing.finance import verification
from billing.invoicing import tax_rates
from billing.models import Customer, Invoice, Settlement, TaxRate
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.invoicing.taxing import fee, in_force, move, quebec, rate
from tests.factories import FEBRUARY, MARCH, START, advance

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def tax_report() -> list[tuple[Any, ...]]:
    names = ("tax_code", "jurisdiction", "base", "charged")
    return [tuple(row[name] for name in names) for row in rows("tax", "2026-02")]


class TestCodes:
    """Codes are kept in one form, and wrong ones named."""

    @pytest.mark.parametrize("written", ["qc", "QC", " Qc ", "ca-qc", "CA-QC"])
    def test_a_region_is_the_same_however_it_is_written(self, api: APIClient, written: str) -> None:
        sent = {"name": "QST", "country": "ca", "region": written, "percent": "9.975"}
        made = api.post("/v1/tax-rates", sent, format="json").json()
        who = {"id": "a", "name": "A", "country": "ca", "region": written}
        customer = api.post("/v1/customers", who, format="json").json()

        assert [made[name] for name in ("country", "region")] == ["CA", "QC"]
        assert [customer[name] for name in ("country", "region")] == ["CA", "QC"]
        assert in_force(timezone.now()) == ("QST", "9.975")

    @pytest.mark.parametrize(("wrong", "named"), [("UK", "GB"), ("uk", "GB"), ("EL", "GR")])
    def test_another_code_in_use_is_refused_with_the_right_one(
        self, api: APIClient, wrong: str, named: str
    ) -> None:
        for address, sent in (
            ("tax-rates", {"name": "VAT", "percent": "20"}),
            ("customers", {"id": "a", "name": "A"}),
        ):
            answer = api.post(f"/v1/{address}", {**sent, "country": wrong}, format="json")
            assert answer.status_code == 422
            (fault,) = answer.json()["errors"]
            assert (fault["pointer"], fault["code"]) == ("/country", "invalid")
            assert named in fault["detail"]
        assert not TaxRate.objects.exists()
        assert not Customer.objects.exists()

    @pytest.mark.parametrize("wrong", ["ESP", "E", "E1", "É1"])
    def test_what_is_no_two_letters_is_refused(self, wrong: str) -> None:
        with pytest.raises(Invalid):
            rate("VAT", "20", wrong)
        rate("PVM", "18", "XK")

    def test_the_rate_of_a_country_adds_to_none(self) -> None:
        with pytest.raises(Invalid) as refused:
            rate("GST", "5", adds_to_country=True)

        assert [fault.pointer for fault in refused.value.errors] == ["/region"]
        assert not TaxRate.objects.exists()

    def test_spellings_of_a_region_have_one_rate_from_a_moment(self) -> None:
        rate("QST", "9.975", region="qc")
        with pytest.raises(tax_rates.RateExists):
            rate("QST", "10", region="QC")


class TestSeveral:
    """GST 5 % and QST 9.975 %: one document, each rounded once."""

    @pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
    def test_an_invoice_of_100_has_5_and_998(self, mode: str) -> None:
        quebec()
        book = factories.subscribed(mode, charges=[fee("100")])
        move(book, "CA", "QC")

        advance(book, FEBRUARY)

        invoice = Invoice.objects.get()
        lines = [(line.description, line.amount) for line in invoice.lines.filter(kind="TAX")]
        assert lines == [("GST, 5 % of 100", 5), ("QST, 9.975 % of 100", D("9.98"))]
        assert (invoice.subtotal, invoice.tax, invoice.amount_due) == (100, D("14.98"), D("114.98"))
        totals: Any = Settlement.objects.get().totals
        shown = [(part["name"], part["net"], part["tax"]) for part in totals["taxes"]]
        assert shown == [("GST", "100", "5"), ("QST", "100", "9.98")]
        assert totals["tax_rate"]["percent"] == "14.975"
        assert -factories.posted("2300") == D("14.98")
        assert tax_report() == [
            ("GST", "CA", 100, 5),
            ("QST", "CA-QC", 100, D("9.98")),
        ]
        assert verification.verify().ok

    def test_elsewhere_in_the_country_there_is_only_the_first(self) -> None:
        quebec()
        book = factories.subscribed("HYBRID", charges=[fee("100")])
        move(book, "CA", "AB")

        advance(book, FEBRUARY)

        assert Invoice.objects.get().amount_due == 105

    def test_a_region_that_does_not_add_replaces(self) -> None:
        quebec()
        rate("HST", "13", region="ON")
        book = factories.clocked_customer()
        move(book, "CA", "on")

        assert in_force(START) == ("HST", "13")

    def test_credits_of_114_975_hold_both(self) -> None:
        """A direct debit is not rounded: 100, 5 and 9.975."""
        quebec()
        book = factories.clocked_customer()
        move(book, "CA", "QC")
        factories.set_clock(book, FEBRUARY)
        factories.top_up("cust_1", "120")

        factories.debit("cust_1", "114.975")

        assert -factories.posted("2300") == D("14.975")
        assert -factories.posted("4000") == 100
        assert tax_report() == [("GST", "CA", 100, 5), ("QST", "CA-QC", 100, D("9.975"))]
        assert verification.verify().ok

    def test_overage_of_a_debit_holds_both(self) -> None:
        """114.98 beyond the credits: 5.00 and 9.98 (9.9754) inside, net 100.00."""
        quebec()
        book = factories.subscribed("HYBRID", charges=[fee("0")])
        move(book, "CA", "QC")
        factories.debit("cust_1", "114.98")

        advance(book, FEBRUARY)

        invoice = Invoice.objects.get()
        lines = {line.kind: line.amount for line in invoice.lines.all()}
        assert (invoice.amount_due, invoice.tax) == (D("114.98"), D("14.98"))
        assert lines["OVERAGE"] == 100
        assert verification.verify().ok

    def test_a_part_that_changes_is_rounded_on_its_own(self) -> None:
        """Fee 50 for January in arrears, 50 for February in advance, QST 10 % from February on: GST
        5.00 of 100, QST 4.99 of 50 (4.9875) and 5.00 of 50.
        """
        quebec()
        rate("QST", "10", region="QC", adds_to_country=True, valid_from=FEBRUARY)
        ahead = {**fee("50"), "code": "ahead", "timing": "ADVANCE"}
        book = factories.subscribed("HYBRID", charges=[fee("50"), ahead])
        move(book, "CA", "QC")

        advance(book, FEBRUARY)

        totals: Any = Settlement.objects.get(kind="CYCLE").totals
        shown = [(part["name"], part["net"], part["tax"]) for part in totals["taxes"]]
        assert shown == [("GST", "100", "5"), ("QST", "50", "4.99"), ("QST", "50", "5")]
        assert verification.verify().ok


class TestClasses:
    def test_a_rate_of_a_class_goes_before_that_of_all(self) -> None:
        rate("VAT", "20", "EE")
        rate("VAT on books", "9", "EE", product_class="EBOOK")
        book = factories.subscribed(
            "HYBRID", country="EE", charges=[fee("100")], spec={"tax_class": "ebook"}
        )

        advance(book, FEBRUARY)

        invoice = Invoice.objects.get()
        assert (invoice.tax, invoice.amount_due) == (9, 109)
        assert in_force(START) == ("VAT", "20")
        assert in_force(START, "other") == ("VAT", "20")
        assert verification.verify().ok


class TestEnds:
    def test_a_rate_ends_at_an_instant_for_documents_and_debits(self) -> None:
        made = rate("VAT", "20", "EE")
        book = factories.clocked_customer(country="EE")
        factories.top_up("cust_1", "240")

        tax_rates.end_tax_rate(livemode=False, rate_id=made.pk, now=START, valid_until=START + DAY)

        assert in_force(START + DAY - MOMENT) == ("VAT", "20")
        assert in_force(START + DAY) is None
        factories.debit("cust_1", "120", "before")
        factories.set_clock(book, START + DAY)
        factories.debit("cust_1", "120", "after")
        assert -factories.posted("2300") == 20
        assert verification.verify().ok

    def test_when_a_regions_rate_ends_its_countrys_is_there_again(self) -> None:
        rate("GST", "5")
        made = rate("HST", "15", region="NS", valid_from=START + DAY)
        tax_rates.end_tax_rate(
            livemode=False, rate_id=made.pk, now=START, valid_until=START + 2 * DAY
        )
        move(factories.clocked_customer(), "CA", "NS")

        found = [in_force(START + day * DAY) for day in range(3)]

        assert found == [("GST", "5"), ("HST", "15"), ("GST", "5")]

    def test_one_that_was_ended_where_it_begins_never_was(self) -> None:
        made = rate("VAT", "20", "EE")
        tax_rates.end_tax_rate(livemode=False, rate_id=made.pk, now=START, valid_until=START)
        rate("VAT", "22", "EE")
        factories.clocked_customer(country="EE")

        assert in_force(START) == ("VAT", "22")

    def test_a_live_rate_ends_now_at_the_earliest(self, live_api: APIClient) -> None:
        sent = {"name": "VAT", "country": "EE", "percent": "20", "valid_from": START.isoformat()}
        made = live_api.post("/v1/tax-rates", sent, format="json").json()["id"]
        end = f"/v1/tax-rates/{made}/end"

        early = live_api.post(end, {"valid_until": MARCH.isoformat()}, format="json")
        assert (early.status_code, early.json()["code"]) == (422, "in_the_past")
        before = live_api.post(end, {"valid_until": "2025-01-01T00:00:00Z"}, format="json")
        assert (before.status_code, before.json()["code"]) == (422, "before_start")
        assert live_api.get(f"/v1/tax-rates/{made}").json()["valid_until"] is None

        ended = live_api.post(end, {}, format="json")
        assert ended.status_code == 200
        assert live_api.get(f"/v1/tax-rates/{made}").json() == ended.json()
        again = live_api.post(end, {}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "tax_rate_ended")

    def test_a_rate_of_the_other_mode_is_not_there(self, api: APIClient) -> None:
        made = rate("VAT", "20", "EE", livemode=True)

        assert api.get(f"/v1/tax-rates/{made.pk}").json()["code"] == "unknown_tax_rate"
        assert api.post(f"/v1/tax-rates/{made.pk}/end", {}, format="json").status_code == 404
        assert TaxRate.objects.get().valid_until is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_taxrate SET percent = 19",
        "UPDATE billing_taxrate SET valid_from = valid_from + interval '1 day'",
        "UPDATE billing_taxrate SET country = 'LV', valid_until = now()",
        "UPDATE billing_taxrate SET valid_until = now() - interval '1 day'",
        "DELETE FROM billing_taxrate",
    ],
)
def test_the_database_keeps_a_rate(statement: str) -> None:
    rate("VAT", "20", "EE", livemode=True)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert TaxRate.objects.get().percent == 20


def test_the_database_lets_what_has_ended_be() -> None:
    made = rate("VAT", "20", "EE", livemode=True, valid_from=START)
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_taxrate DISABLE TRIGGER billing_taxrate_ended")
        cursor.execute("UPDATE billing_taxrate SET valid_until = %s", [now - DAY])
        cursor.execute("ALTER TABLE billing_taxrate ENABLE ALWAYS TRIGGER billing_taxrate_ended")

    with pytest.raises(IntegrityError), transaction.atomic():
        TaxRate.objects.filter(pk=made.pk).update(valid_until=None)
