"""Webhooks in the back office: switched on and off, and sent again, by the services."""

from __future__ import annotations

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.urls import reverse

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


def test_no_page_shows_what_secrets_are_made_of(admin_client: Client, other: Receiver) -> None:
    made, _ = endpoint(other.url)
    secret = made.secrets.get()

    for model, pk in (("webhooksecret", secret.pk), ("webhookendpoint", made.pk)):
        page = admin_client.get(reverse(f"admin:webhooks_{model}_change", args=[pk]))
        assert page.status_code == 200
        assert secret.salt not in page.text
