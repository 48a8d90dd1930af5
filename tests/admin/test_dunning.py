"""Overdue invoices in the back office: their ages, reminders sent again, and pauses."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from billing.dunning import pauses, schedules
from billing.models import DunningSchedule, Invoice, Mail, OverdueInvoice
from ledger.models import Book
from tests.billing.dunning.test_reminders import DAY, DUE, owing
from tests.factories import advance

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("dunned")]

LIST = "admin:billing_overdueinvoice_changelist"


@pytest.fixture
def book(dunned: None) -> Book:
    book = owing()
    advance(book, DUE + 5 * DAY)
    return book


def act(staff: Client, name: str) -> str:
    """Run an action on the oldest overdue invoice; return the page that follows."""
    oldest = OverdueInvoice.objects.order_by("due_at")[0]
    sent = {"action": name, "_selected_action": [str(oldest.pk)]}
    return staff.post(reverse(LIST), sent, follow=True).text


def test_the_list_has_each_overdue_invoice_with_its_age(admin_client: Client, book: Book) -> None:
    page = admin_client.get(reverse(LIST)).text

    number = Invoice.objects.order_by("issued_at")[0].number
    assert f">{number}<" in page
    assert "100.00 USD" in page
    assert "day 3, remind" in page
    assert page.count("field-days") == 1
    assert ">5<" in page


def test_a_reminder_is_sent_again(admin_client: Client, book: Book) -> None:
    before = Mail.objects.count()

    assert "sent again" in act(admin_client, "send_again")

    assert Mail.objects.count() == before + 1


def test_dunning_is_paused_and_resumed(admin_client: Client, book: Book) -> None:
    assert "no reminders until" in act(admin_client, "pause")
    pause = pauses.current(book)
    assert pause is not None
    assert (pause.until, pause.actor_kind) == (DUE + 19 * DAY, "STAFF")

    assert "reminded again" in act(admin_client, "resume")

    assert pauses.current(book) is None
    assert "not paused" in act(admin_client, "resume")


def test_a_schedule_is_added_and_checked(admin_client: Client) -> None:
    url = reverse("admin:billing_dunningschedule_add")

    refused = admin_client.post(url, {"reminder_days": "0,7", "suspend_day": "3"})
    assert not DunningSchedule.objects.exists()
    added = admin_client.post(url, {"reminder_days": "0,5", "suspend_day": "20"})

    assert (refused.status_code, added.status_code) == (200, 302)
    assert schedules.in_force(livemode=False) == schedules.Schedule((0, 5), 20)
