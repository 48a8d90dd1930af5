"""Credit notes from the page of an invoice: of an amount, or of lines that are ticked."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import CreditNote, Invoice
from tests import factories
from tests.factories import FEBRUARY, START, advance

pytestmark = pytest.mark.django_db


@pytest.fixture
def address() -> str:
    """The address that issues a note of an open invoice over 500.00: 250,000 tokens at .002."""
    book = factories.subscribed("POSTPAID")
    advance(book, START + timedelta(days=1))
    factories.meter("250000", START + timedelta(days=1), "january")
    advance(book, FEBRUARY)
    invoice = Invoice.objects.get()
    assert invoice.amount_due == 500
    return reverse("admin:billing_invoice_credit_note", args=[invoice.pk])


def asked(client: Client, address: str, **body: object) -> int:
    """Send the form as a browser does, with what its page holds."""
    page = client.get(address).content.decode()
    key = re.search(r'name="key" value="([^"]+)"', page)
    assert key is not None
    return client.post(address, {"key": key[1], "reason": "outage"} | body).status_code


def test_lines_are_ticked_and_none_is_before(admin_client: Client, address: str) -> None:
    page = admin_client.get(address).content.decode()
    boxes = re.findall(r'<input type="checkbox" name="lines" value="(\d+)"([^>]*)', page)
    assert len(boxes) == Invoice.objects.get().lines.count() == 1
    assert not any(re.search(r" checked(?!:)", rest) for _, rest in boxes)

    assert asked(admin_client, address, lines=[boxes[0][0]]) == 302

    assert CreditNote.objects.get().amount == Decimal(500)


def test_an_amount_alone(admin_client: Client, address: str) -> None:
    assert asked(admin_client, address, amount="120.50") == 302
    assert CreditNote.objects.get().amount == Decimal("120.50")


@pytest.mark.parametrize(
    "body",
    [{"amount": "1", "lines": ["0"]}, {"amount": "500.01"}, {"lines": ["9"]}, {"reason": ""}],
)
def test_what_cannot_be_noted_is_asked_again(
    admin_client: Client, address: str, body: dict[str, object]
) -> None:
    before = factories.everything()
    assert asked(admin_client, address, **body) == 200
    assert factories.everything() == before
