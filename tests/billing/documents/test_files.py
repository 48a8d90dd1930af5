"""Issued documents as pages and PDF files: the same bytes for every reader."""

from __future__ import annotations

import hashlib
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from billing.customers import customers
from billing.invoicing import document_pages
from billing.models import DocumentFile, Invoice, IssuedDocument
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, START, advance, meter, subscribed
from tests.ledger.seals.tampering import sql

pytestmark = pytest.mark.django_db

NUMBER = "TEST-000001"


@pytest.fixture
def book() -> Book:
    """1,500,000 tokens at .002 are 3,000.00: 4 promo, 2,996.00 on the invoice."""
    made = subscribed()
    factories.grant("cust_1", "4", "PROMO")
    customers.update_customer(
        livemode=False, customer_id="cust_1", changes={"name": "<b>Bob & Co</b>", "country": "ES"}
    )
    advance(made, START + timedelta(days=1))
    meter(1_500_000, START + timedelta(days=1))
    advance(made, FEBRUARY)
    return made


def test_an_invoice_is_a_page_for_people(api: APIClient, book: Book) -> None:
    answer = api.get(f"/v1/invoices/{NUMBER}.html")

    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert answer["Aforo-Document-SHA256"] == IssuedDocument.objects.get().sha256
    page = answer.content.decode()
    for said in (
        NUMBER,
        "&lt;b&gt;Bob &amp; Co&lt;/b&gt;",
        "Spain",
        "1 January 2026 \N{EN DASH} 31 January 2026",
        "1,500,000",
        "3,000.00",
        "Granted credits of 2026-01-01",
        "&minus;4.00",
        "USD 2,996.00",
        "10. Settle",
    ):
        assert said in page, said
    assert "<b>Bob" not in page


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_every_reader_has_the_same_bytes(
    api: APIClient, book: Book, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = api.get(f"/v1/invoices/{NUMBER}.{form}").content
    monkeypatch.setattr(document_pages, "TEMPLATE", "documents/another.html")
    customers.update_customer(livemode=False, customer_id="cust_1", changes={"name": "New"})

    again = api.get(f"/v1/invoices/{Invoice.objects.get().pk}.{form}")

    assert again.content == first
    kept = DocumentFile.objects.get(format=form.upper())
    assert kept.sha256 == hashlib.sha256(first).hexdigest()
    assert first.startswith(b"%PDF-" if form == "pdf" else b"<!doctype html>")


def test_without_pango_there_is_no_pdf(
    api: APIClient, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)

    answer = api.get(f"/v1/invoices/{NUMBER}.pdf")

    assert (answer.status_code, answer.json()["code"]) == (503, "pdf_unavailable")
    assert not DocumentFile.objects.filter(format="PDF").exists()


def test_a_draft_has_no_document(api: APIClient) -> None:
    draft = Invoice.objects.create(
        livemode=False,
        customer=factories.customer().customer,
        currency="USD",
        total=0,
        starts_at=START,
        ends_at=START,
        content={},
    )

    for form in ("html", "pdf"):
        answer = api.get(f"/v1/invoices/{draft.pk}.{form}")
        assert (answer.status_code, answer.json()["code"]) == (409, "invoice_in_draft")
    assert not DocumentFile.objects.exists()


def test_the_other_mode_has_no_such_document(live_api: APIClient, book: Book) -> None:
    assert live_api.get(f"/v1/invoices/{NUMBER}.html").json()["code"] == "unknown_invoice"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE billing_documentfile SET content = 'x'", "DELETE FROM billing_documentfile"],
)
def test_a_file_is_never_changed(api: APIClient, book: Book, statement: str) -> None:
    api.get(f"/v1/invoices/{NUMBER}.html")

    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        sql(statement)


def test_the_back_office_shows_the_same_page(
    admin_client: Client, api: APIClient, book: Book
) -> None:
    invoice = Invoice.objects.get()
    listed = admin_client.get(reverse("admin:billing_invoice_change", args=[invoice.pk])).text
    address = reverse("document_file", args=[invoice.pk, "html"])

    assert address in listed
    assert admin_client.get(address).content == api.get(f"/v1/invoices/{NUMBER}.html").content


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1234567.5", "USD", "1,234,567.50"),
        ("1234567", "JPY", "1,234,567"),
        ("1234.5", "KWD", "1,234.500"),
        ("-0.5", "EUR", "\N{MINUS SIGN}0.50"),
        ("0.0025", "GBP", "0.0025"),
        ("0", "EUR", "0.00"),
        ("-1234.5", "CREDITS", "\N{MINUS SIGN}1,234.5"),
    ],
)
def test_amounts_have_the_places_of_their_currency(amount: str, currency: str, text: str) -> None:
    assert document_pages.shown(Decimal(amount), currency) == text
