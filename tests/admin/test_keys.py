"""API keys in the back office: issued, limited, rotated; their secrets are shown once."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from aforo.access.models import ApiKey
from aforo.access.services import digest

pytestmark = pytest.mark.django_db

ADD = reverse("admin:access_apikey_add")
POSTED = {
    "name": "Agents", "livemode": "", "scopes": ["wallets", "usage"], "customer_id": "acme",
    "networks": "10.0.0.0/8", "requests_per_minute": "600",
}  # fmt: skip


def secret_in(page: str) -> str:
    shown = re.findall(r"sk_test_[0-9a-f]{64}", page)
    assert len(shown) == 1
    return str(shown[0])


def test_a_key_is_issued_limited_and_rotated(admin_client: Client) -> None:
    issued = admin_client.post(ADD, POSTED)

    key = ApiKey.objects.get()
    assert issued.status_code == 200
    assert "no-store" in issued["Cache-Control"]
    assert digest(secret_in(issued.content.decode())) == key.digest
    assert (key.scopes, key.customer_id, key.networks, key.requests_per_minute) == (
        ["wallets", "usage"], "acme", ["10.0.0.0/8"], 600,
    )  # fmt: skip

    page = reverse("admin:access_apikey_change", args=[key.pk])
    shown = admin_client.get(page).content.decode()
    assert "sk_test_" in shown
    assert key.digest not in shown
    changed = admin_client.post(
        page,
        {
            "name": "Agents 2",
            "networks": "",
            "initial-networks": "10.0.0.0/8",
            "requests_per_minute": "",
        },
    )
    assert changed.status_code == 302
    key.refresh_from_db()
    assert (key.name, key.networks, key.requests_per_minute) == ("Agents 2", [], None)
    assert (key.scopes, key.customer_id) == (["wallets", "usage"], "acme")

    rotate = reverse("admin:access_apikey_rotate", args=[key.pk])
    assert b"overlap" in admin_client.get(rotate).content.lower()
    rotated = admin_client.post(rotate, {"overlap_hours": "0"})
    successor = ApiKey.objects.get(replaces=key)
    assert digest(secret_in(rotated.content.decode())) == successor.digest
    assert b"has ended" in admin_client.post(rotate, {"overlap_hours": "0"}).content
    assert ApiKey.objects.count() == 2


def test_wrong_networks_are_named_on_the_form(admin_client: Client) -> None:
    page = admin_client.post(ADD, {**POSTED, "networks": "10.0.0.1/8"})

    assert b"host bits" in page.content
    assert ApiKey.objects.count() == 0
