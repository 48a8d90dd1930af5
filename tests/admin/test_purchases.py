"""The back office's actions on payments: ask the gateway, switch refills off, record payments."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from aforo.sandbox.models import TestClock
from billing.finance import verification
from billing.models import Invoice, InvoicePayment
from tests import factories
from wallets.models import AutoRefill, TopUp
from wallets.top_ups import refill, sales

pytestmark = pytest.mark.django_db


def act(staff: Client, model: str, action: str, pk: object) -> str:
    url = reverse(f"admin:{model}_changelist")
    page = staff.post(url, {"action": action, "_selected_action": [pk]}, follow=True)
    assert page.status_code == 200
    return page.content.decode()


def test_the_gateway_is_asked_about_an_open_payment(admin_client: Client) -> None:
    book = factories.clocked_customer()
    sales.top_up(
        livemode=False,
        customer_id="cust_1",
        key="t",
        amount=Decimal(10),
        currency="USD",
        payment=sales.TopUpPayment("test_delayed"),
    )
    top_up = TopUp.objects.get()

    assert "0 payments answered." in act(
        admin_client, "wallets_topup", "ask_the_gateway", top_up.pk
    )
    TestClock.objects.update(now=factories.START + timedelta(minutes=1))
    page = act(admin_client, "wallets_topup", "ask_the_gateway", top_up.pk)

    assert "1 payments answered." in page
    assert factories.available(book) == 10
    detail = admin_client.get(reverse("admin:wallets_topup_change", args=[top_up.pk]))
    assert b"Top Up" in detail.content


def test_a_refill_is_switched_off(admin_client: Client) -> None:
    book = factories.customer()
    rule = refill.set_auto_refill(
        livemode=False,
        customer_id="cust_1",
        currency="USD",
        threshold=Decimal(20),
        amount=Decimal(50),
        enabled=True,
    )

    act(admin_client, "wallets_autorefill", "switch_off", rule.pk)

    assert AutoRefill.objects.get().switched_off_at is not None
    assert refill.refill_if_low([book.pk]) == 0


def test_a_payment_in_full_is_recorded_once(admin_client: Client) -> None:
    book = factories.customer(livemode=True)
    sales.top_up(livemode=True, customer_id="cust_1", key="t", amount=Decimal(100), currency="USD")
    invoice = Invoice.objects.get()

    first = act(admin_client, "billing_invoice", "record_payment", invoice.pk)
    second = act(admin_client, "billing_invoice", "record_payment", invoice.pk)

    assert "INV-000001: 100.00 recorded." in first
    assert "is PAID" in second
    assert InvoicePayment.objects.get().reference == "Back office: admin"
    assert factories.available(book) == 100
    assert verification.verify().ok
