"""Payments of the bank in the back office: a file is taken in, what waits is decided by hand."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from billing.models import BankPayment, Invoice
from tests import factories
from tests.billing.invoicing.test_bank_payments import HEAD, sell

pytestmark = pytest.mark.django_db
LIST = "admin:billing_bankpayment_changelist"


@pytest.fixture
def invoice(live_api: APIClient) -> str:
    factories.customer(livemode=True)
    return sell(live_api, "cust_1", "100")


def upload(client: Client, lines: str) -> str:
    url = reverse("admin:billing_bankpayment_import_a_file")
    assert 'enctype="multipart/form-data"' in client.get(url).content.decode()
    file = SimpleUploadedFile("bank.csv", (HEAD + lines).encode())
    return client.post(url, {"mode": "live", "file": file}, follow=True).content.decode()


def test_a_file_is_imported_and_what_waits_is_assigned(admin_client: Client, invoice: str) -> None:
    page = upload(
        admin_client,
        f"ES91,2026-11-30,60,USD,R1,{invoice},Ann,\nES91,2026-11-30,40,USD,R2,coffee,Ann,\n",
    )
    assert "2 lines: 1 matched, 1 unmatched, 0 repeated, 0 refused" in page
    assert "It names no invoice." in page
    waiting = BankPayment.objects.get(state="UNMATCHED")
    url = reverse("admin:billing_bankpayment_assign", args=[waiting.pk])
    assert admin_client.get(url).status_code == 200
    before = factories.everything()
    assert "There is no invoice X" in admin_client.post(url, {"invoice": "X"}).content.decode()
    assert factories.everything() == before

    done = admin_client.post(url, {"invoice": invoice}, follow=True)

    assert "Assign is done" in done.content.decode()
    assert Invoice.objects.get(number=invoice).status == "PAID"
    assert BankPayment.objects.get(pk=waiting.pk).decided_by_kind == "STAFF"
    again = admin_client.post(url, {"invoice": invoice}).content.decode()
    assert "MATCHED already" in again


def test_what_waits_is_matched_again_or_sent_back(
    admin_client: Client, live_api: APIClient, invoice: str
) -> None:
    following = f"INV-{int(invoice.removeprefix('INV-')) + 1:06d}"
    upload(
        admin_client,
        f"ES91,2026-11-30,30,USD,R1,{following},Ann,\nES91,2026-11-30,40,USD,R2,coffee,Ann,\n",
    )
    assert sell(live_api, "cust_1", "30") == following
    early, coffee = BankPayment.objects.order_by("bank_reference")

    ids = [str(early.pk), str(coffee.pk)]
    page = admin_client.post(
        reverse(LIST), {"action": "match_again", "_selected_action": ids}, follow=True
    )
    url = reverse("admin:billing_bankpayment_send_back", args=[coffee.pk])
    admin_client.post(url, {"reason": "not ours"})

    assert "1 matched." in page.content.decode()
    assert Invoice.objects.get(number=following).status == "PAID"
    coffee.refresh_from_db()
    assert (coffee.state, coffee.reason) == ("SENT_BACK", "not ours")


def test_who_may_only_look_imports_nothing(client: Client, django_user_model: type) -> None:
    viewer = django_user_model.objects.create_user("viewer", password="x", is_staff=True)  # type: ignore[attr-defined]
    client.force_login(viewer)

    answer = client.get(reverse("admin:billing_bankpayment_import_a_file"))

    assert answer.status_code == 403
    assert BankPayment.objects.count() == 0
