"""A key of one customer reads the customer's objects by their ids, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from billing.models import Invoice, Settlement, Subscription
from ledger.models import Entry
from tests import factories
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db

READ = (
    "subscriptions/{subscription}", "subscriptions/{subscription}/moves",
    "settlements/{settlement}", "invoices/{invoice}", "invoices/{number}",
    "invoices/{number}.html", "settlements/{settlement}.html",
)  # fmt: skip
# What a company does with its customers' objects is not the customer's to do.
REFUSED = (
    "subscriptions/{subscription}/cancel", "subscriptions/{subscription}/pause",
    "settlements/{settlement}/adjust", "invoices/{number}/pay", "invoices/{number}/void",
    "invoices/{number}/write-off", "invoices/{number}/apply-credit",
)  # fmt: skip


@pytest.fixture
def objects() -> dict[str, dict[str, object]]:
    """Two customers, each with a settled month of 500 tokens, which cost 1, and its invoice."""
    factories.offering(billing_mode="POSTPAID")
    found: dict[str, dict[str, object]] = {}
    for key in ("mine", "other"):
        book = factories.clocked_customer(key)
        factories.subscription(key)
        factories.meter(500, START, key=key)
        factories.advance(book, FEBRUARY + timedelta(hours=1))
        invoice = Invoice.objects.get(customer__book=book)
        found[key] = {
            "subscription": Subscription.objects.get(customer__book=book).pk,
            "settlement": Settlement.objects.get(book=book).pk,
            "invoice": invoice.pk,
            "number": invoice.number,
        }
    return found


def key_of(customer_id: str) -> APIClient:
    client = APIClient()
    _, secret = create_api_key(livemode=False, name=customer_id, customer_id=customer_id)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


@pytest.mark.parametrize("template", READ)
def test_ones_own_is_read_and_the_others_does_not_exist(
    objects: dict[str, dict[str, object]], template: str
) -> None:
    answers = {
        (who, whose): key_of(who).get("/v1/" + template.format(**objects[whose])).status_code
        for who in objects
        for whose in objects
    }

    assert answers == {
        ("mine", "mine"): 200, ("mine", "other"): 404,
        ("other", "mine"): 404, ("other", "other"): 200,
    }  # fmt: skip


@pytest.mark.parametrize("template", REFUSED)
def test_nothing_is_done_by_id(objects: dict[str, dict[str, object]], template: str) -> None:
    before = Entry.objects.count()
    mine = key_of("mine")

    for whose in ("mine", "other"):
        body = {"customer_id": "mine", "idempotency_key": "k", "amount": "1", "reason": "x"}
        answer = mine.post("/v1/" + template.format(**objects[whose]), body)
        assert (answer.status_code, answer.json()["code"]) == (403, "key_of_one_customer")

    assert Entry.objects.count() == before
    assert Subscription.objects.filter(status="ACTIVE").count() == 2


def test_what_does_not_exist(objects: dict[str, dict[str, object]]) -> None:
    nothing = dict.fromkeys(objects["mine"], UUID(int=7))

    for template in READ:
        assert key_of("mine").get("/v1/" + template.format(**nothing)).status_code == 404
