"""Open invoices charged through the gateway: at issue and with each reminder, never twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.errors import Invalid
from billing.customers import customers
from billing.finance import verification
from billing.invoicing import charges, customer_credit, invoices, payments, write_offs
from billing.jobs import due_work
from billing.models import Customer, Invoice, InvoiceCharge, InvoicePayment, Mail
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, advance, posted
from tests.ledger.seals.tampering import sql
from wallets.top_ups.gateway import GatewayCharge, GatewayOutcome, GatewayUnreachable

pytestmark = pytest.mark.django_db

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
DUE = FEBRUARY + 30 * DAY
FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "100"}}


def charged(method: str, collection: str = "CHARGE_AUTOMATICALLY") -> Book:
    """Return a customer, charged by this method, whose invoice of January, of 100, is issued."""
    factories.offering(billing_mode="HYBRID", charges=[FEE])
    book = factories.clocked_customer(collection_method=collection, payment_method=method)
    factories.subscription()
    advance(book, FEBRUARY)
    return book


def first() -> Invoice:
    return Invoice.objects.order_by("issued_at")[0]


def attempts() -> list[tuple[int, str, int]]:
    """Return the charges of January's invoice, each with the days since it was issued."""
    found = InvoiceCharge.objects.filter(invoice=first()).order_by("attempt")
    return [(each.attempt, each.status, (each.created_at - FEBRUARY).days) for each in found]


def change(**changes: Any) -> None:
    customers.update_customer(livemode=False, customer_id="cust_1", changes=changes)


def test_an_invoice_is_charged_as_it_is_issued() -> None:
    charged("test_ok")

    invoice, payment = first(), InvoicePayment.objects.get()
    assert (invoice.status, invoice.paid) == ("PAID", 100)
    assert (payment.amount, payment.applied, payment.paid_by) == (100, 100, "PROCESSOR")
    charge = InvoiceCharge.objects.get()
    assert (charge.attempt, charge.status, charge.amount) == (1, "SUCCEEDED", 100)
    assert (charge.payment, charge.pk) == (payment, payment.pk)
    assert (posted("1010"), posted("1100")) == (100, 0)
    assert verification.verify().ok


def test_the_mail_of_its_invoice_asks_for_nothing() -> None:
    factories.offering(billing_mode="HYBRID", charges=[FEE])
    book = factories.clocked_customer(
        email="a@b.example", collection_method="CHARGE_AUTOMATICALLY", payment_method="test_ok"
    )
    factories.subscription()

    advance(book, FEBRUARY)

    assert "100.00 USD is charged to your payment method" in Mail.objects.get().text


@pytest.mark.usefixtures("dunned")
def test_a_declined_charge_is_repeated_with_each_reminder() -> None:
    book = charged("test_declined")
    assert attempts() == [(1, "DECLINED", 0)]

    advance(book, DUE + 20 * DAY)

    assert attempts() == [
        (1, "DECLINED", 0), (2, "DECLINED", 30), (3, "DECLINED", 33), (4, "DECLINED", 37),
    ]  # fmt: skip
    assert first().status == "OPEN"
    assert not InvoicePayment.objects.exists()


@pytest.mark.usefixtures("dunned")
def test_another_method_pays_with_the_next_reminder() -> None:
    book = charged("test_declined")
    change(payment_method="test_ok")

    advance(book, DUE + 20 * DAY)

    assert attempts() == [(1, "DECLINED", 0), (2, "SUCCEEDED", 30)]
    assert first().status == "PAID"


def test_a_delayed_charge_is_asked_about_until_it_is_answered() -> None:
    book = charged("test_delayed")
    assert (attempts(), first().status) == ([(1, "PENDING", 0)], "OPEN")

    advance(book, FEBRUARY + MINUTE)

    assert (attempts(), first().status) == ([(1, "SUCCEEDED", 0)], "PAID")


def pay(invoice: Invoice) -> None:
    payments.pay(
        livemode=False, invoice=str(invoice.pk), amount=Decimal(100), reference="wire", key="wire"
    )


def write_off(invoice: Invoice) -> None:
    write_offs.write_off(livemode=False, invoice=str(invoice.pk), reason="Gone", key="off")


def test_what_is_charged_though_it_was_paid_meanwhile_is_owed_to_the_customer() -> None:
    book = charged("test_delayed")
    pay(first())

    advance(book, FEBRUARY + MINUTE)

    assert (first().status, first().paid) == ("PAID", 100)
    assert [each.applied for each in InvoicePayment.objects.order_by("received_at")] == [100, 0]
    assert customer_credit.totals(book) == {"USD": Decimal(100)}
    assert (posted("1000"), posted("1010"), posted("2220")) == (100, 100, -100)
    assert verification.verify().ok


def test_what_is_charged_though_it_was_written_off_recovers_it() -> None:
    book = charged("test_delayed")
    write_off(first())

    advance(book, FEBRUARY + MINUTE)

    assert (first().status, first().recovered) == ("PAID", 100)
    assert verification.verify().ok


def test_a_charge_is_concluded_once_whoever_asks() -> None:
    book = charged("test_delayed")
    charge = InvoiceCharge.objects.get()
    factories.set_clock(book, FEBRUARY + MINUTE)

    assert charges._conclude(charge, is_paid=True)
    assert not charges._conclude(charge, is_paid=False)
    assert charges.collect(book_id=book.pk) == 0

    assert InvoicePayment.objects.count() == 1
    assert attempts() == [(1, "SUCCEEDED", 0)]


def test_who_pays_its_invoices_is_not_charged() -> None:
    charged("test_ok", "SEND_INVOICE")

    assert first().status == "OPEN"
    assert not InvoiceCharge.objects.exists()


class Gateway:
    """A live gateway that gives no answer at first."""

    def __init__(self) -> None:
        self.asked: list[GatewayCharge] = []

    def knows(self, method: str) -> bool:
        return method == "card"

    def charge(self, charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        self.asked.append(charge)
        if len(self.asked) == 1:
            raise GatewayUnreachable
        return GatewayOutcome.SUCCEEDED


def test_a_live_charge_without_an_answer_is_asked_about_again_under_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway()
    for module in ("billing.invoicing.charges", "billing.customers.customers"):
        monkeypatch.setattr(f"{module}.gateway_of", lambda *, livemode: gateway)
    factories.offering(billing_mode="HYBRID", charges=[FEE], livemode=True)
    factories.customer(
        livemode=True, collection_method="CHARGE_AUTOMATICALLY", payment_method="card"
    )
    factories.subscription(livemode=True, starts_at=timezone.now() - 32 * DAY)

    def sweep(later: timedelta) -> InvoiceCharge:
        assert not due_work.sweep(now=timezone.now() + later, clock=timezone.now).failures
        return InvoiceCharge.objects.get()

    unanswered = sweep(timedelta(0))
    waiting = sweep(timedelta(0))
    answered = sweep(2 * MINUTE)
    sweep(2 * DAY)

    assert (unanswered.status, unanswered.asked, waiting.asked) == ("PENDING", 1, 1)
    assert answered.status == "SUCCEEDED"
    assert [each.id for each in gateway.asked] == [answered.pk] * 2
    assert (gateway.asked[0].amount, gateway.asked[0].method) == (100, "card")
    assert first().status == "PAID"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"collection_method": "CHARGE_AUTOMATICALLY"}, "required"),
        ({"payment_method": "visa"}, "unknown_payment_method"),
    ],
)
def test_a_method_that_nobody_charges_is_refused(given: dict[str, str], code: str) -> None:
    factories.customer()

    with pytest.raises(Invalid) as refused:
        change(**given)

    assert refused.value.code == code
    kept = Customer.objects.get()
    assert (kept.collection_method, kept.payment_method) == ("SEND_INVOICE", "")


def test_charges_are_kept_and_one_waits_at_a_time() -> None:
    charged("test_delayed")
    charge = InvoiceCharge.objects.get()

    with pytest.raises(IntegrityError, match="one_pending"), transaction.atomic():
        InvoiceCharge.objects.create(
            invoice=charge.invoice, attempt=2, amount=1, currency="USD", method="test_ok",
            created_at=FEBRUARY,
        )  # fmt: skip
    for statement in (
        "UPDATE billing_invoicecharge SET amount = 1",
        "DELETE FROM billing_invoicecharge",
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            sql(statement)


def test_charges_are_listed(api: APIClient) -> None:
    charged("test_declined")

    (listed,) = api.get("/v1/charges?customer_id=cust_1&status=DECLINED").json()["data"]

    assert (listed["invoice"], listed["amount"], listed["attempt"]) == (first().number, "100", 1)
    assert api.get("/v1/charges?status=SUCCEEDED").json()["data"] == []
    assert invoices.get_invoice(livemode=False, reference=listed["invoice"]).status == "OPEN"
