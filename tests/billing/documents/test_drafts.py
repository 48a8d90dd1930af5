"""Invoices that stay drafts as long as the plan says, to be looked at, and are finalized then, or
by hand.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from billing.finance import verification
from billing.invoicing import numbering
from billing.models import Invoice, IssuedDocument
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, START, advance, meter, posted, subscribed

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def book() -> Book:
    """6,000 tokens at .002 in January are 12.00; the invoice stays a draft for 48 hours."""
    made = subscribed(spec={"draft_hours": 48})
    advance(made, START + HOUR)
    meter(6_000, START + HOUR)
    advance(made, FEBRUARY)
    return made


def test_a_draft_has_no_number_and_is_not_receivable(api: APIClient, book: Book) -> None:
    (invoice,) = api.get("/v1/invoices").json()["data"]

    assert (invoice["number"], invoice["status"], invoice["amount_due"]) == (None, "DRAFT", "12")
    assert (posted("1200"), posted("1100")) == (12, 0)
    assert not IssuedDocument.objects.exists()
    assert numbering.unnumbered_books(now=FEBRUARY + 999 * HOUR) == []


def test_it_is_finalized_when_its_time_is_over(book: Book) -> None:
    advance(book, FEBRUARY + 47 * HOUR)
    assert Invoice.objects.get().status == "DRAFT"

    advance(book, FEBRUARY + 72 * HOUR)

    invoice = Invoice.objects.get()
    assert (invoice.number, invoice.status) == ("TEST-000001", "OPEN")
    assert invoice.issued_at == FEBRUARY + 48 * HOUR
    assert (posted("1200"), posted("1100")) == (0, 12)
    assert verification.verify().ok


def test_a_live_draft_waits_for_the_sweep(book: Book) -> None:
    Book.objects.update(test_clock=None)
    due = FEBRUARY + 48 * HOUR

    assert numbering.unnumbered_books(now=due - HOUR) == []
    assert numbering.catch_up(book_id=book.pk, now=due - HOUR) == 0
    assert numbering.unnumbered_books(now=due) == [book.pk]
    assert numbering.catch_up(book_id=book.pk, now=due) == 1
    assert Invoice.objects.get().number == "TEST-000001"


def test_it_is_finalized_by_hand_once(api: APIClient, book: Book) -> None:
    draft = Invoice.objects.get()
    path = f"/v1/invoices/{draft.pk}/finalize"

    first = api.post(path, {}, headers={"Idempotency-Key": "f"})
    before = factories.everything()
    again = api.post(path, {}, headers={"Idempotency-Key": "f"})
    other = api.post(path, {})
    unknown = api.post("/v1/invoices/TEST-9/finalize", {})

    assert (first.status_code, first.json()["number"]) == (200, "TEST-000001")
    assert first.json()["status"] == "OPEN"
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["code"]) == (409, "invoice_not_draft")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_invoice")
    assert factories.everything() == before
    advance(book, FEBRUARY + 72 * HOUR)
    assert Invoice.objects.get().issued_at == FEBRUARY


def test_it_is_finalized_in_the_back_office(admin_client: Client, book: Book) -> None:
    act = {"action": "finalize", "_selected_action": [Invoice.objects.get().pk]}

    page = admin_client.post(reverse("admin:billing_invoice_changelist"), act, follow=True)

    assert "TEST-000001 is final." in page.text
    assert Invoice.objects.get().status == "OPEN"
