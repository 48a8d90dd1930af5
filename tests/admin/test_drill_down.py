"""A credit is followed from its lot to the invoice and back, by links alone."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from billing.admin.drill_down import led_to
from billing.models import CycleBurn, Invoice, Settlement
from billing.quickstart import demo
from ledger.models import Entry, LedgerEvent
from wallets.models import CreditLot, TopUp

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(admin_client: Client) -> Client:
    demo.run()
    return admin_client


def page(client: Client, row: object) -> str:
    meta = row._meta  # type: ignore[attr-defined]
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])  # type: ignore[attr-defined]
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def address(row: object) -> str:
    meta = row._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])  # type: ignore[attr-defined]


def test_a_credit_is_followed_from_the_top_up_to_the_invoice_and_back(staff: Client) -> None:
    top_up = TopUp.objects.get(key="quickstart-top-up")
    lot = CreditLot.objects.get(top_up=top_up, kind="CASH")
    settled = Entry.objects.get(book=lot.book, event=LedgerEvent.SETTLEMENT)
    settlement = Settlement.objects.get(entry=settled)
    invoice = Invoice.objects.get(settlement=settlement)

    assert address(lot) in page(staff, top_up)
    assert address(settled) in page(staff, lot)
    assert address(settlement) in page(staff, settled)
    assert address(lot) in page(staff, settled)
    assert address(settled) in page(staff, settlement)
    assert address(invoice) in page(staff, settlement)
    assert address(settlement) in page(staff, invoice)


def test_lists_that_links_lead_to_hold_what_they_promise(staff: Client) -> None:
    invoice = Invoice.objects.get(number="TEST-000001")
    burn = CycleBurn.objects.select_related("lot").filter(lot__kind="CASH").get()

    for row, follow in ((invoice, "its postings"), (burn.lot, "its postings")):
        shown = page(staff, row)
        link = shown[: shown.index(follow)].rpartition('href="')[2].partition('"')[0]
        found = staff.get(link.replace("&amp;", "&"))
        assert found.status_code == 200
        assert found.context["cl"].result_count > 0

    asked = {"subscription__id__exact": str(burn.subscription_id), "cycle": str(burn.cycle)}
    burns = staff.get(reverse("admin:billing_cycleburn_changelist"), asked)
    assert burn in burns.context["cl"].result_list


def test_a_settlement_shows_its_stages_as_a_table(staff: Client) -> None:
    shown = page(staff, Settlement.objects.get(cycle=0))

    assert "10. Settle" in shown
    assert "46.40" in shown
    assert "&quot;stage&quot;" not in shown


def test_every_entry_leads_to_pages_that_exist(staff: Client) -> None:
    for entry in Entry.objects.all():
        for url, _ in led_to(entry.document):
            assert staff.get(url).status_code == 200
        assert page(staff, entry)
