"""Issued documents: kept whole with their hash, refused any change, and proved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from rest_framework.test import APIClient

from billing.customers import customers
from billing.finance import verification
from billing.invoicing import documents, numbering
from billing.models import Document, Invoice, IssuedDocument, Settlement
from ledger.entries.chain_verification import BadEntry
from ledger.models import Book, Entry
from tests import factories
from tests.factories import FEBRUARY, START, advance, meter, subscribed
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def book() -> Book:
    """6,000 tokens at .002 in January are 12.00: 3 promo, 4 cash, 5.00 on the first invoice."""
    made = subscribed()
    customers.update_customer(
        livemode=False,
        customer_id="cust_1",
        changes={"name": "Old GmbH", "country": "DE", "tax_id": "DE129273398"},
    )
    factories.grant("cust_1", "3", "PROMO")
    factories.top_up("cust_1", "4")
    advance(made, START + DAY)
    meter(6_000, START + DAY)
    with override_settings(ENTITY_NAME="Seller Inc."):
        advance(made, FEBRUARY)
    return made


def said(kept: IssuedDocument) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(kept.body)
    return content


def test_an_invoice_is_kept_as_it_was_issued(book: Book) -> None:
    invoice = Invoice.objects.get()
    kept = IssuedDocument.objects.get()
    customers.update_customer(
        livemode=False, customer_id="cust_1", changes={"name": "New GmbH", "country": "FR"}
    )

    assert (kept.document, kept.number, kept.subject) == ("INVOICE", invoice.number, invoice.pk)
    assert kept.sha256 == hashlib.sha256(kept.body.encode()).hexdigest()
    content = said(kept)
    assert content["seller"]["name"] == "Seller Inc."
    assert content["customer"]["name"] == "Old GmbH"
    assert (content["customer"]["country"], content["customer"]["tax_id"]) == ("DE", "DE129273398")
    assert content["number"] == "TEST-000001"
    assert content["period"] == {
        "starts_at": "2026-01-01T00:00:00+00:00",
        "ends_at": "2026-02-01T00:00:00+00:00",
    }
    (line,) = content["lines"]
    assert (line["kind"], line["quantity"], line["unit_price"], line["amount"]) == (
        "USAGE", "6000", "0.002", "12",
    )  # fmt: skip
    assert line["period"] == content["period"]
    assert [(each["kind"], each["amount"]) for each in content["payers"]] == [
        ("PROMO", "3"), ("CASH", "4"), ("INVOICE", "5"),
    ]  # fmt: skip
    names = [each["name"] for each in content["payers"]]
    assert names == ["Granted credits of 2026-01-01", "Purchased credits of 2026-01-01", ""]
    assert (content["totals"]["total"], content["totals"]["amount_due"]) == ("12", "5")


def test_its_hash_is_in_the_entry_that_issued_it(book: Book) -> None:
    entry = Entry.objects.get(book=book, event="INVOICE")

    assert entry.document["sha256"] == IssuedDocument.objects.get().sha256
    proof = verification.verify()
    assert (proof.ok, proof.documents) == (True, 2)


def prepaid() -> Settlement:
    """20 cash; 6,000 tokens at .002 are 12.00."""
    made = subscribed("PREPAID")
    factories.top_up("cust_1", "20")
    advance(made, START + DAY)
    meter(6_000, START + DAY)
    advance(made, FEBRUARY)
    numbering.catch_up(book_id=made.pk, now=FEBRUARY)
    return Settlement.objects.get(cycle=0)


def test_a_prepaid_settlement_is_a_statement() -> None:
    settled = prepaid()
    kept = IssuedDocument.objects.get(subject=settled.pk)

    assert (kept.document, kept.number) == (Document.STATEMENT, settled.statement_number)
    content = said(kept)
    assert [(each["kind"], each["amount"]) for each in content["lines"]] == [("USAGE", "12")]
    assert [(each["kind"], each["amount"]) for each in content["payers"]] == [("CASH", "12")]
    assert content["totals"]["arrears"] == "0"
    assert verification.verify().ok


CHANGES = [
    "UPDATE billing_invoice SET number = 'TEST-000009'",
    "UPDATE billing_invoice SET total = 13, amount_due = 6",
    "UPDATE billing_invoice SET due_at = due_at + interval '1 day'",
    "UPDATE billing_invoice SET currency = 'EUR'",
    "UPDATE billing_invoice SET content = '{}'",
    "UPDATE billing_invoice SET content = NULL",
    "UPDATE billing_invoice SET status = 'DRAFT', number = NULL",
    "DELETE FROM billing_invoice",
    "UPDATE billing_invoiceline SET amount = 1",
    "DELETE FROM billing_invoiceline",
    (
        "INSERT INTO billing_invoiceline (invoice_id, position, kind, charge, description, amount,"
        " steps) SELECT id, 9, 'USAGE', '', 'x', 0, '[]' FROM billing_invoice"
    ),
    "UPDATE billing_issueddocument SET number = 'x'",
    "DELETE FROM billing_issueddocument",
    'UPDATE billing_settlement SET totals = totals || \'{"tax": "1"}\'',
    "UPDATE billing_settlement SET stages = '[]' WHERE status = 'SETTLED'",
    "UPDATE billing_settlement SET status = 'SEALED', settled_at = NULL",
    "UPDATE billing_invoiceseries SET last_number = 0",
    "UPDATE billing_invoiceseries SET last_number = last_number + 2",
    "UPDATE billing_invoiceseries SET prefix = 'A-'",
    "DELETE FROM billing_invoiceseries",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_database_refuses_any_change(book: Book, statement: str) -> None:
    before = factories.everything()

    refused = "is issued|append-only|keeps its facts|is kept|set once|counts up by one"
    with pytest.raises(Exception, match=refused), transaction.atomic():
        sql(statement)

    assert factories.everything() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_settlement SET statement_number = 'TEST-STM-000009'",
        "UPDATE billing_settlement SET statement_number = NULL",
        "UPDATE billing_settlement SET content = NULL",
        "DELETE FROM billing_settlement",
    ],
)
def test_the_database_refuses_any_change_of_a_statement(statement: str) -> None:
    prepaid()

    with pytest.raises(Exception, match=r"keeps its facts|is kept|set once"), transaction.atomic():
        sql(statement)


def test_the_database_refuses_bytes_of_another_hash(book: Book) -> None:
    with pytest.raises(Exception, match="billing_issueddocument_sha256"), transaction.atomic():
        IssuedDocument.objects.create(
            book=book,
            livemode=False,
            document="INVOICE",
            number="TEST-000002",
            subject=book_id(),
            body="{}",
            sha256=documents.digest("{ }"),
            issued_at=FEBRUARY,
        )


def book_id() -> Any:
    return Settlement.objects.values_list("pk", flat=True)[0]


def changed(statement: str, *tables: str) -> Callable[[], None]:
    def change() -> None:
        with guards_off(*tables):
            sql(statement)

    return change


@pytest.mark.parametrize(
    ("change", "named", "reason"),
    [
        (
            changed("UPDATE billing_invoiceline SET amount = 13", "billing_invoiceline"),
            "invoice TEST-000001",
            "its lines are not those of its document",
        ),
        (
            changed("UPDATE billing_invoice SET tax = 1", "billing_invoice"),
            "invoice TEST-000001",
            "its tax is 1.000000000000, its document says 0",
        ),
        (
            changed(
                "UPDATE billing_mail SET document_id = NULL; DELETE FROM billing_issueddocument",
                "billing_issueddocument",
            ),
            "invoice TEST-000001",
            "its document is missing",
        ),
        (
            changed(
                "UPDATE billing_issueddocument SET body = replace(body, 'Old', 'Odd'), sha256 ="
                " encode(sha256(convert_to(replace(body, 'Old', 'Odd'), 'UTF8')), 'hex')",
                "billing_issueddocument",
            ),
            "invoice TEST-000001",
            "its document is not the one that its entry names",
        ),
        (
            changed("UPDATE billing_invoiceseries SET last_number = 2", "billing_invoiceseries"),
            "invoice TEST-000002",
            "no document has this number",
        ),
        (
            changed("UPDATE billing_invoiceseries SET last_number = 0", "billing_invoiceseries"),
            "invoice TEST-000001",
            "its series has not assigned it",
        ),
    ],
)
def test_what_an_owner_of_the_tables_changes_is_named(
    book: Book, change: Callable[[], None], named: str, reason: str
) -> None:
    change()

    assert verification.verify().first_bad == BadEntry(named, reason)


def test_what_an_earlier_version_issued_is_frozen_by_the_sweep(book: Book) -> None:
    """As old processes leave it that still serve while the new version is rolled out."""
    with guards_off("billing_invoice", "billing_issueddocument"):
        sql("UPDATE billing_mail SET document_id = NULL; DELETE FROM billing_issueddocument")
        sql("UPDATE billing_invoice SET content = NULL")
    assert numbering.unnumbered_books(now=FEBRUARY) == [book.pk]

    assert numbering.catch_up(book_id=book.pk, now=FEBRUARY) == 1
    assert numbering.catch_up(book_id=book.pk, now=FEBRUARY) == 0

    content = said(IssuedDocument.objects.get())
    assert [(each["kind"], each["amount"]) for each in content["payers"]] == [
        ("CREDITS", "7"), ("INVOICE", "5"),
    ]  # fmt: skip
    assert [each["amount"] for each in content["lines"]] == ["12"]
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_the_address_is_on_the_document_line_by_line(api: APIClient) -> None:
    made = subscribed()
    address = "Torstraße 12\n10119 Berlin"
    answer = api.patch("/v1/customers/cust_1", {"address": address})
    assert (answer.status_code, answer.json()["address"]) == (200, address)
    refused = api.patch("/v1/customers/cust_1", {"address": "a\tb"})
    assert (refused.status_code, refused.json()["code"]) == (422, "control_characters")
    meter(6_000, START)
    advance(made, FEBRUARY)

    assert said(IssuedDocument.objects.get())["customer"]["address"] == address
