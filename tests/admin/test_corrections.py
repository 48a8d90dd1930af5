"""A settled cycle is corrected from its page, once, and a refusal is shown on the form."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from billing.models import Settlement, SettlementAdjustment
from ledger.models import Entry
from tests import factories
from tests.billing.adjustments.test_corrections import lived

pytestmark = pytest.mark.django_db


def test_it_is_adjusted_once_however_often_the_form_is_sent(admin_client: Client) -> None:
    lived("HYBRID")
    found = Settlement.objects.get()
    url = reverse("admin:billing_settlement_adjust", args=[found.pk])
    change = reverse("admin:billing_settlement_change", args=[found.pk])
    assert url in admin_client.get(change).content.decode()
    form = admin_client.get(url).content.decode()
    key = re.search(r'name="key" value="([^"]+)"', form)
    assert key is not None, form
    asked = {"description": "Outage", "amount": "-10", "reason": "goodwill", "key": key.group(1)}

    for _ in range(2):
        page = admin_client.post(url, asked, follow=True)
        assert "adjusted by -10 USD before tax." in page.content.decode()

    made = SettlementAdjustment.objects.get()
    assert (made.net, made.tax, made.receivable, made.by) == (-10, -2, -12, "Back office: admin")
    assert "goodwill" in admin_client.get(change).content.decode()
    entry = Entry.objects.get(pk=made.entry_id)
    admin = get_user_model().objects.get(username="admin")
    assert entry.document["actor"] == {"kind": "STAFF", "id": str(admin.pk)}
    assert entry.reason == "goodwill"


def test_a_refusal_is_shown_and_changes_nothing(admin_client: Client) -> None:
    lived("HYBRID")
    url = reverse("admin:billing_settlement_adjust", args=[Settlement.objects.get().pk])
    before = factories.everything()

    asked = {"description": "Outage", "amount": "-101", "reason": "goodwill", "key": "k"}
    page = admin_client.post(url, asked).content.decode()

    assert "At most 100 before tax is left" in page
    assert factories.everything() == before


def test_who_may_only_look_cannot_adjust(client: Client) -> None:
    lived("HYBRID")
    viewer = get_user_model().objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_settlement"))
    client.force_login(viewer)

    url = reverse("admin:billing_settlement_adjust", args=[Settlement.objects.get().pk])

    assert client.get(url).status_code == 403
