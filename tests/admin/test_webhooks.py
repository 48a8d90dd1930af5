"""Webhooks in the back office: switched on and off, and sent again, by the services."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from aforo.webhooks import delivery
from aforo.webhooks.models import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from tests.webhooks.receivers import Receiver
from tests.webhooks.sent import Time, endpoint, happen

pytestmark = pytest.mark.django_db


def act(client: Client, model: str, action: str, pk: object) -> str:
    data = {"action": action, ACTION_CHECKBOX_NAME: [str(pk)], "index": "0"}
    return client.post(reverse(f"admin:webhooks_{model}_changelist"), data, follow=True).text


def test_an_endpoint_is_switched_off_and_on(admin_client: Client, other: Receiver) -> None:
    made, _ = endpoint(other.url)

    assert "1 are off." in act(admin_client, "webhookendpoint", "switch_off", made.pk)
    assert WebhookEndpoint.objects.get().off_reason == "Switched off by hand."
    assert "1 are on." in act(admin_client, "webhookendpoint", "switch_on", made.pk)
    assert WebhookEndpoint.objects.get().off_at is None


def test_a_delivery_is_sent_again_once_it_is_over(admin_client: Client, other: Receiver) -> None:
    endpoint(other.url)
    happen("acme")
    other.answers = [500]
    Time().deliver()
    row = WebhookDelivery.objects.get()

    assert "still on its way" in act(admin_client, "webhookdelivery", "replay", row.pk)
    assert WebhookDelivery.objects.count() == 1
    WebhookDelivery.objects.update(status=DeliveryStatus.FAILED)
    assert "is sent again." in act(admin_client, "webhookdelivery", "replay", row.pk)
    assert WebhookDelivery.objects.count() == 2


ADD = {"url": "", "events": "wallet.*, invoice.paid", "customer_id": "", "description": "Ours"}


def secret_in(page: str) -> str:
    (shown,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", page.replace("&#x2B;", "+"))
    return str(shown)


def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(
    admin_client: Client, other: Receiver
) -> None:
    add = reverse("admin:webhooks_webhookendpoint_add")
    refused = admin_client.post(add, ADD | {"url": "http://10.0.0.1/hook"})
    unknown = admin_client.post(add, ADD | {"url": other.url, "events": "wallet.gone"})
    assert (refused.status_code, unknown.status_code) == (200, 200)
    assert "not an address of the public internet" in refused.text
    assert "There is no such event." in unknown.text
    assert WebhookEndpoint.objects.count() == 0

    page = admin_client.post(add, ADD | {"url": other.url})

    made = WebhookEndpoint.objects.get()
    assert (made.url, made.events, made.livemode) == (
        other.url,
        ["wallet.*", "invoice.paid"],
        False,
    )
    secret = secret_in(page.text)
    happen("acme")
    delivery.deliver_due(clock=timezone.now)
    other.verified(secret)
    shown = admin_client.get(reverse("admin:webhooks_webhookendpoint_change", args=[made.pk])).text
    assert secret not in shown
    assert "DELIVERED" in shown


def test_a_new_secret_signs_beside_the_old_one(admin_client: Client, other: Receiver) -> None:
    made, old = endpoint(other.url)
    url = reverse("admin:webhooks_webhookendpoint_rotate", args=[made.pk])

    page = admin_client.post(url, {"overlap_hours": "24"})

    happen("acme")
    delivery.deliver_due(clock=timezone.now)
    for secret in (old, secret_in(page.text)):
        other.verified(secret)
    assert admin_client.post(url, {"overlap_hours": "721"}).status_code == 200
    assert made.secrets.count() == 2


def test_an_endpoint_is_changed_and_deleted_by_its_services(
    admin_client: Client, other: Receiver
) -> None:
    made, _ = endpoint(other.url)
    change = reverse("admin:webhooks_webhookendpoint_change", args=[made.pk])
    none = {"deliveries-TOTAL_FORMS": "0", "deliveries-INITIAL_FORMS": "0"}
    sent = ADD | none | {"url": made.url, "events": "invoice.paid", "customer_id": "acme"}

    assert admin_client.post(change, sent).status_code == 302
    made.refresh_from_db()
    assert (made.events, made.customer_id, made.off_at) == (["invoice.paid"], "acme", None)
    delete = reverse("admin:webhooks_webhookendpoint_delete", args=[made.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 302
    made.refresh_from_db()
    assert (made.deleted_at is not None, made.secrets.count()) == (True, 0)
    assert admin_client.post(change, sent | {"description": "x"}).status_code == 403


def test_no_page_shows_what_secrets_are_made_of(admin_client: Client, other: Receiver) -> None:
    made, _ = endpoint(other.url)
    secret = made.secrets.get()

    for model, pk in (("webhooksecret", secret.pk), ("webhookendpoint", made.pk)):
        page = admin_client.get(reverse(f"admin:webhooks_{model}_change", args=[pk]))
        assert page.status_code == 200
        assert secret.salt not in page.text
