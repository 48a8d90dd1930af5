"""What a customer's tax rests on: VAT numbers that are checked, certificates, and what documents
keep of them.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from aforo import actors
from aforo.access.models import ConfigurationChange
from billing.customers import tax_ids
from billing.customers.customers import update_customer
from billing.finance import verification
from billing.invoicing import tax_exemptions, tax_wording
from billing.models import Customer, Invoice, IssuedDocument, Settlement, TaxExemption, TaxRate
from ledger.models import Book, Entry
from tests import factories
from tests.billing.invoicing.taxing import fee, in_force, quebec, rate
from tests.factories import FEBRUARY, MARCH, START, advance
from wallets.models import Wallet

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
# The examples of python-stdnum.
GERMAN, ESTONIAN, GREEK = "DE136695976", "EE100931558", "EL094259216"


def certify(number: str = "X-1", **terms: Any) -> TaxExemption:
    return tax_exemptions.add_exemption(
        livemode=False, customer_id="cust_1", number=number, now=START, **terms
    )


def totals() -> Any:
    return Settlement.objects.get(kind="CYCLE").totals


class TestNumbers:
    @pytest.mark.parametrize(
        ("written", "country", "kept"),
        [
            (GERMAN, "DE", GERMAN),
            ("de 136 695 976", "de", GERMAN),
            ("136695976", "DE", GERMAN),
            ("094259216", "GR", GREEK),
            (GREEK, "GR", GREEK),
            # Registered in another state than the one it is in.
            (ESTONIAN, "DE", ESTONIAN),
            # Of other countries nothing is known.
            ("12-3456789", "US", "12-3456789"),
            ("", "DE", ""),
        ],
    )
    def test_a_number_is_kept_in_one_form(self, written: str, country: str, kept: str) -> None:
        assert tax_ids.normalised(written, country.upper()) == kept

    @pytest.mark.parametrize(
        ("number", "why"),
        [
            ("DE136695977", "checksum or check digit"),
            ("DE1366959", "invalid length"),
            ("DE13669597X", "invalid format"),
            ("whatever", "invalid"),
        ],
    )
    def test_a_wrong_one_is_refused_with_what_is_wrong(
        self, api: APIClient, number: str, why: str
    ) -> None:
        sent = {"id": "a", "name": "A", "country": "DE", "tax_id": number}
        answer = api.post("/v1/customers", sent, format="json")

        assert answer.status_code == 422
        (fault,) = answer.json()["errors"]
        assert (fault["pointer"], fault["code"]) == ("/tax_id", "invalid_tax_id")
        assert why in fault["detail"]
        assert not Customer.objects.exists()

    def test_a_number_is_checked_against_the_country_it_comes_to(self, api: APIClient) -> None:
        sent = {"id": "a", "name": "A", "country": "US", "tax_id": "12-3456789"}
        made = api.post("/v1/customers", sent, format="json").json()
        assert made["tax_id_checked_at"] is None

        moved = api.patch("/v1/customers/a", {"country": "DE"}, format="json")

        assert (moved.status_code, moved.json()["code"]) == (422, "invalid_tax_id")
        assert Customer.objects.get().country == "US"

    def test_when_it_was_checked_is_kept(self) -> None:
        book = factories.clocked_customer(country="DE", tax_id=GERMAN)
        factories.set_clock(book, FEBRUARY)

        update_customer(livemode=False, customer_id="cust_1", changes={"name": "Other"})
        assert Customer.objects.get().tax_id_checked_at == START
        update_customer(livemode=False, customer_id="cust_1", changes={"tax_id": ESTONIAN})
        assert Customer.objects.get().tax_id_checked_at == FEBRUARY
        update_customer(livemode=False, customer_id="cust_1", changes={"tax_id": ""})
        assert Customer.objects.get().tax_id_checked_at is None


class TestReverseCharge:
    @pytest.mark.parametrize(
        ("seller", "country", "reverses"),
        [("ES", "DE", True), ("DE", "DE", False), ("US", "DE", False), ("", "DE", False),
         ("ES", "US", False)],
    )  # fmt: skip
    def test_it_is_between_two_member_states(
        self, settings: LazySettings, seller: str, country: str, reverses: bool
    ) -> None:
        settings.ENTITY_COUNTRY = seller

        rate("VAT", "19", country)

        assert TaxRate.objects.get().reverse_charge is reverses

    def subscribed(self, settings: LazySettings, **facts: str) -> Book:
        settings.ENTITY_COUNTRY = "ES"
        rate("USt", "19", "DE")
        book = factories.subscribed("HYBRID", country="DE", charges=[fee("787.50")])
        if facts:
            update_customer(livemode=False, customer_id="cust_1", changes=dict(facts))
        return book

    def test_without_a_number_the_rate_of_the_customers_country(
        self, settings: LazySettings
    ) -> None:
        advance(self.subscribed(settings), FEBRUARY)

        invoice = Invoice.objects.get()
        assert (invoice.tax, invoice.amount_due) == (D("149.63"), D("937.13"))
        assert tax_wording.sentences(totals()["taxes"]) == []

    def test_with_a_number_the_customer_owes_it_and_the_document_says_so(
        self, settings: LazySettings
    ) -> None:
        advance(self.subscribed(settings, tax_id="de 136 695 976"), FEBRUARY)

        invoice = Invoice.objects.get()
        assert (invoice.tax, invoice.amount_due) == (0, D("787.50"))
        (shown,) = totals()["taxes"]
        assert shown == {
            "name": "USt, reverse charge", "jurisdiction": "DE", "percent": "0", "net": "787.5",
            "tax": "0",
            "evidence": {"treatment": "REVERSE_CHARGE", "tax_id": GERMAN,
                         "tax_id_checked_at": "2026-01-01T00:00:00Z"},
        }  # fmt: skip
        (sentence,) = tax_wording.sentences(totals()["taxes"])
        assert sentence.startswith("Reverse charge")
        assert sentence.endswith(f"{GERMAN}.")
        assert json.loads(IssuedDocument.objects.get().body)["notes"] == [sentence]
        # The entries, too, name what it rests on.
        document = Entry.objects.get(event="INVOICE").document
        assert document["tax_evidence"] == shown["evidence"]
        assert verification.verify().ok

    def test_what_is_settled_keeps_the_number_of_then(self, settings: LazySettings) -> None:
        book = self.subscribed(settings, tax_id=GERMAN)
        advance(book, FEBRUARY)
        update_customer(livemode=False, customer_id="cust_1", changes={"tax_id": ""})

        advance(book, MARCH)

        first, second = Settlement.objects.filter(kind="CYCLE").order_by("cycle")
        kept: Any = first.totals
        assert kept["tax_rate"]["evidence"]["tax_id"] == GERMAN
        later: Any = second.totals
        assert later["tax"] == "149.63"


class TestExemptions:
    def test_a_certificate_counts_from_an_instant_to_another(self) -> None:
        rate("VAT", "20", "EE")
        book = factories.clocked_customer(country="EE")
        factories.top_up("cust_1", "360")
        certify(valid_from=START + DAY, valid_until=START + 2 * DAY)

        for day in range(3):
            factories.set_clock(book, START + day * DAY)
            factories.debit("cust_1", "120", f"day {day}")

        assert [in_force(START + day * DAY) for day in range(3)] == [
            ("VAT", "20"), ("VAT, exempt", "0"), ("VAT", "20"),
        ]  # fmt: skip
        assert -factories.posted("2300") == 40
        exempt = Entry.objects.filter(event="DEBIT").order_by("sequence")[1]
        assert exempt.document["tax_evidence"] == {"treatment": "EXEMPT", "certificate": "X-1"}
        assert verification.verify().ok

    def test_one_of_a_region_takes_its_part_alone(self) -> None:
        quebec()
        book = factories.subscribed("HYBRID", country="CA", charges=[fee("100")])
        update_customer(livemode=False, customer_id="cust_1", changes={"region": "QC"})
        certify("Q-7", region="qc")

        advance(book, FEBRUARY)

        assert [(part["name"], part["tax"]) for part in totals()["taxes"]] == [
            ("GST", "5"),
            ("QST, exempt", "0"),
        ]
        assert tax_wording.sentences(totals()["taxes"]) == [
            "Exempt from tax in CA-QC: certificate Q-7."
        ]
        assert Invoice.objects.get().amount_due == 105
        assert verification.verify().ok

    def test_wallets_follow_its_end(self) -> None:
        rate("VAT", "20", "EE")
        factories.clocked_customer(country="EE")
        factories.top_up("cust_1", "10")
        made = certify()
        assert [each["percent"] for each in Wallet.objects.get().tax_rates] == ["0"]

        tax_exemptions.end_exemption(
            livemode=False, customer_id="cust_1", exemption_id=made.pk, now=START,
            valid_until=START + DAY,
        )  # fmt: skip

        assert [each["percent"] for each in Wallet.objects.get().tax_rates] == ["0", "20"]

    def test_certificates_over_the_api(self, live_api: APIClient) -> None:
        live_api.post("/v1/customers", {"id": "a", "name": "A", "country": "EE"}, format="json")
        address = "/v1/customers/a/tax-exemptions"
        made = live_api.post(address, {"number": "X-1"}, format="json").json()
        again = live_api.post(address, {"number": "X-1"}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "tax_exemption_exists")
        wrong = live_api.post(address, {"number": "X-2", "country": "UK"}, format="json")
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/country")

        early = {"valid_until": "2199-01-01T00:00:00Z"}
        assert live_api.post(f"{address}/{made['id']}/end", early, format="json").status_code == 200
        past = {"valid_until": START.isoformat()}
        refused = live_api.post(f"{address}/{made['id']}/end", past, format="json")
        assert refused.status_code == 422

        (shown,) = live_api.get(address).json()["data"]
        assert (shown["country"], shown["valid_until"]) == ("EE", "2199-01-01T00:00:00Z")
        nobody = live_api.get("/v1/customers/nobody/tax-exemptions")
        assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_customer")
        other = live_api.post(f"{address}/999999/end", {}, format="json")
        assert (other.status_code, other.json()["code"]) == (404, "unknown_tax_exemption")

    def test_who_added_and_ended_it_is_on_the_audit_trail(self) -> None:
        factories.clocked_customer(country="EE")
        with actors.acting(actors.job("tests")):
            made = certify()
            tax_exemptions.end_exemption(
                livemode=False, customer_id="cust_1", exemption_id=made.pk, now=START
            )

        trail = ConfigurationChange.objects.filter(table_name="billing_taxexemption")
        assert [(each.action, each.actor_id, each.livemode) for each in trail.order_by("pk")] == [
            ("INSERT", "tests", False),
            ("UPDATE", "tests", False),
        ]

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE billing_taxexemption SET number = 'Y'",
            "UPDATE billing_taxexemption SET country = 'LV'",
            "DELETE FROM billing_taxexemption",
        ],
    )
    def test_the_database_keeps_a_certificate(self, statement: str) -> None:
        factories.clocked_customer(country="EE")
        certify()

        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
