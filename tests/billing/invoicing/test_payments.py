"""Invoices paid in full, in part and too much; credits on account come when they are paid."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.invoicing import payments
from billing.jobs import test_clocks
from billing.models import Invoice, InvoicePayment
from ledger.models import Posting
from pricing.models import OnAccount, TopUpRule
from tests import factories
from wallets.models import CreditLot, TopUp

pytestmark = pytest.mark.django_db

TOP_UPS = "/v1/wallets/top-ups"


@pytest.fixture
def book() -> Any:
    return factories.customer(livemode=True)


def on_account(live_api: APIClient, **changes: Any) -> dict[str, Any]:
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    answer = live_api.post(TOP_UPS, body | changes)
    assert answer.status_code == 201, answer.content
    read: dict[str, Any] = answer.json()
    return read


def pay(live_api: APIClient, invoice: str, amount: str, key: str = "p") -> Any:
    return live_api.post(
        f"/v1/invoices/{invoice}/pay",
        {"amount": amount, "reference": "wire 4711", "idempotency_key": key},
    )


def balance(account: str) -> Decimal:
    """Debits less credits."""
    debited = Posting.objects.filter(debit=account).aggregate(s=Sum("amount"))["s"] or 0
    credited = Posting.objects.filter(credit=account).aggregate(s=Sum("amount"))["s"] or 0
    return Decimal(debited) - Decimal(credited)


def test_credits_on_account_are_held_back_until_the_invoice_is_paid(
    live_api: APIClient, book: Any
) -> None:
    made = on_account(live_api, bonus={"amount": "20"})

    assert (made["status"], made["lots"], made["entry"]) == ("PENDING", [], None)
    invoice = live_api.get(f"/v1/invoices/{made['invoice']}").json()
    assert (invoice["status"], invoice["total"], invoice["amount_due"]) == ("OPEN", "100", "100")
    assert invoice["top_up"] == made["id"]
    assert [(line["kind"], line["amount"]) for line in invoice["lines"]] == [("CREDITS", "100")]
    assert (CreditLot.objects.count(), Posting.objects.count()) == (0, 0)

    part = pay(live_api, made["invoice"], "40")

    assert (part.status_code, part.json()["status"], part.json()["paid"]) == (200, "OPEN", "40")
    assert CreditLot.objects.count() == 0
    assert (balance("1000"), balance("2220"), balance("1100")) == (40, -40, 0)

    rest = pay(live_api, made["invoice"], "60", "q")

    assert rest.json()["status"] == "PAID"
    assert TopUp.objects.get().status == "SUCCEEDED"
    assert factories.available(book) == 120
    assert (balance("1000"), balance("2220"), balance("1100")) == (100, 0, 0)
    assert balance("2100") == Decimal("-83.333333333333")
    assert balance("2110") == Decimal("-16.666666666667")
    assert verification.verify().ok
    types = set(OutboxEvent.objects.values_list("type", flat=True))
    assert types == {"invoice.finalized", "invoice.paid", "wallet.topped_up"}


def test_credits_at_once_are_a_receivable_and_refundable_only_when_paid(
    live_api: APIClient, book: Any
) -> None:
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    made = on_account(live_api)
    refund = {
        "customer_id": "cust_1",
        "amount": "10",
        "currency": "USD",
        "reason": "unused",
        "idempotency_key": "r",
    }

    assert (made["status"], factories.available(book)) == ("SUCCEEDED", 100)
    assert (balance("1100"), balance("2100")) == (100, -100)
    assert live_api.post("/v1/wallets/refunds", refund).status_code == 402

    pay(live_api, made["invoice"], "100")

    assert (balance("1100"), balance("1000"), balance("2220")) == (0, 100, 0)
    assert factories.available(book) == 100
    assert live_api.post("/v1/wallets/refunds", refund).status_code == 201
    assert verification.verify().ok


def test_what_is_paid_too_much_is_unapplied(live_api: APIClient, book: Any) -> None:
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    made = on_account(live_api)

    answer = pay(live_api, made["invoice"], "130").json()

    assert (answer["applied"], answer["unapplied"], answer["status"]) == ("100", "30", "PAID")
    assert (balance("1000"), balance("1100"), balance("2220")) == (130, 0, -30)
    assert InvoicePayment.objects.get().applied == 100


def test_too_much_for_held_back_credits_leaves_only_the_surplus_unapplied(
    live_api: APIClient, book: Any
) -> None:
    made = on_account(live_api)

    pay(live_api, made["invoice"], "130")

    assert (balance("1000"), balance("2220"), balance("2100")) == (130, -30, -100)
    assert verification.verify().ok


def test_a_payment_is_replayed_and_a_paid_invoice_takes_no_other(
    live_api: APIClient, book: Any
) -> None:
    made = on_account(live_api)
    first = pay(live_api, made["invoice"], "100")
    before = factories.everything()

    again = pay(live_api, made["invoice"], "100.00")
    other = pay(live_api, made["invoice"], "100", "another")
    changed = pay(live_api, made["invoice"], "99")

    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["code"]) == (409, "invoice_not_open")
    assert (changed.status_code, changed.json()["code"]) == (422, "key_reused")
    assert factories.everything() == before
    assert InvoicePayment.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": "0"}, 422, "not_positive"),
        ({"amount": "0.001"}, 422, "not_payable"),
        ({"amount": "x"}, 422, "invalid_number"),
        ({"reference": ""}, 422, "blank"),
        ({"idempotency_key": None}, 422, "idempotency_key_required"),
        ({"fee": "1"}, 422, "unknown_field"),
    ],
)
def test_a_bad_payment_changes_nothing(
    live_api: APIClient, book: Any, body: dict[str, Any], status: int, code: str
) -> None:
    made = on_account(live_api)
    before = factories.everything()
    full = {"amount": "1", "reference": "wire", "idempotency_key": "p"} | body

    answer = live_api.post(
        f"/v1/invoices/{made['invoice']}/pay", {k: v for k, v in full.items() if v is not None}
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert factories.everything() == before
    assert Invoice.objects.get().paid == 0


def test_an_unknown_invoice_cannot_be_paid(live_api: APIClient, book: Any) -> None:
    assert pay(live_api, "INV-999999", "1").status_code == 404


def test_an_invoice_needs_whole_cents(live_api: APIClient, book: Any) -> None:
    body = {"customer_id": "cust_1", "amount": "1.005", "currency": "USD", "idempotency_key": "t"}

    answer = live_api.post(TOP_UPS, body)

    assert (answer.status_code, answer.json()["code"]) == (422, "not_payable")
    assert (TopUp.objects.count(), Invoice.objects.count()) == (0, 0)


def test_a_settlements_invoice_is_paid_too() -> None:
    """12.00 of usage in HYBRID: receivable 12, paid 5 and then 7."""
    factories.offering()
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.meter(6_000, factories.START, "e")
    assert book.test_clock is not None
    test_clocks.advance(clock_id=book.test_clock.pk, livemode=False, to=factories.FEBRUARY)
    invoice = Invoice.objects.get()
    assert invoice.amount_due == 12

    for amount, key in (("5", "a"), ("7", "b")):
        payments.pay(
            livemode=False,
            invoice=str(invoice.pk),
            amount=Decimal(amount),
            reference="wire",
            key=key,
        )

    invoice.refresh_from_db()
    assert (invoice.status, invoice.paid) == ("PAID", 12)
    assert (balance("1000"), balance("1100")) == (12, 0)
