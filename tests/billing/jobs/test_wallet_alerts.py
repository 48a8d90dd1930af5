"""Alerts: each crossing is told once and its recovery once, by event and mail, as the sweep finds
it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.jobs import due_work, wallet_alerts
from billing.models import Mail
from ledger.models import Book
from tests import factories
from tests.factories import START
from wallets.models import AlertThreshold, SpentDay, Wallet

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def alert(api: APIClient, *thresholds: tuple[str, str], **more: Any) -> None:
    body = {
        "currency": "USD",
        "thresholds": [{"unit": unit, "at": at} | more for unit, at in thresholds],
    }
    assert api.put("/v1/wallets/cust_1/alerts", body).status_code == 200


def told(book: Book) -> list[tuple[str, str, str, str | None]]:
    """Watch a customer twice; return what is new, which the second time is nothing."""
    before = OutboxEvent.objects.filter(type="wallet.alert").count()
    found = wallet_alerts.watch(book_id=book.pk)
    assert wallet_alerts.watch(book_id=book.pk) == 0
    new = OutboxEvent.objects.filter(type="wallet.alert").order_by("sequence")[before:]
    assert len(new) == found
    shown = [row.payload for row in new]
    return [(each["state"], each["unit"], each["at"], each["value"]) for each in shown]


def test_the_balance_by_amount(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    alert(api, ("AMOUNT", "50"), ("AMOUNT", "20"))
    factories.debit("cust_1", "49")
    assert told(book) == []

    factories.debit("cust_1", "1")
    assert told(book) == [("CROSSED", "AMOUNT", "50", "50")]
    factories.debit("cust_1", "30")
    assert told(book) == [("CROSSED", "AMOUNT", "20", "20")]
    factories.top_up("cust_1", "40", name="more")

    # 60 is above both.
    assert told(book) == [("RECOVERED", "AMOUNT", "20", "60"), ("RECOVERED", "AMOUNT", "50", "60")]


def test_the_balance_by_percent_of_what_there_was_when_credits_last_came(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    alert(api, ("PERCENT", "25"))
    factories.debit("cust_1", "75")
    assert told(book) == [("CROSSED", "PERCENT", "25", "25")]
    factories.bundle("cust_1", "145", bonus="30")

    # 25 + 145 + 30 = 200, all of which is there; a quarter of it is 50.
    assert told(book) == [("RECOVERED", "PERCENT", "25", "100")]
    factories.debit("cust_1", "149")
    assert told(book) == []
    factories.debit("cust_1", "1", "one")
    assert told(book) == [("CROSSED", "PERCENT", "25", "25")]


def test_the_days_left_at_the_pace_of_the_last_week(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    alert(api, ("RUNWAY_DAYS", "5"))
    assert told(book) == []
    # 10 in a day, at least: the 90 left last 9 days.
    factories.debit("cust_1", "10")
    assert told(book) == []
    factories.advance(book, START + 2.5 * DAY)
    factories.debit("cust_1", "50")

    # 60 in two days and a half are 24 a day: 40 last a day and two thirds.
    assert told(book) == [("CROSSED", "RUNWAY_DAYS", "5", "1.666666666667")]
    # Of the week from the 3rd 50 in 6.5 days: 5.2 days, which is not a tenth more than 5.
    factories.advance(book, START + 8.5 * DAY)
    assert told(book) == []
    # Nothing was spent in the week from the 4th; the advance has told of it.
    factories.advance(book, START + 9.5 * DAY)
    last = OutboxEvent.objects.filter(type="wallet.alert").order_by("-sequence")[0].payload
    assert (last["state"], last["value"], last["available"]) == ("RECOVERED", None, "40")
    assert told(book) == []


def test_what_was_spent_in_a_day_and_a_month(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    alert(api, ("SPENT_PER_DAY", "10"), ("SPENT_PER_MONTH", "15"))
    debit = factories.body(factories.debit("cust_1", "10"))
    assert told(book) == [("CROSSED", "SPENT_PER_DAY", "10", "10")]
    factories.set_clock(book, START + DAY)
    factories.debit("cust_1", "5")

    assert told(book) == [
        ("RECOVERED", "SPENT_PER_DAY", "10", "5"),
        ("CROSSED", "SPENT_PER_MONTH", "15", "15"),
    ]
    back = {"amount": "1", "reason": "asked", "idempotency_key": "back"}
    assert api.post(f"/v1/wallets/debits/{debit['id']}/reverse", back).status_code == 200
    assert told(book) == [("RECOVERED", "SPENT_PER_MONTH", "15", "14")]
    days = SpentDay.objects.order_by("day").values_list("day__day", "spent", "through")
    assert [(day, int(spent)) for day, spent, _ in days] == [(1, 10), (2, 4)]
    # Days before the longest month are forgotten.
    factories.set_clock(book, START + 40 * DAY)
    factories.debit("cust_1", "2")
    assert told(book) == []
    assert [int(row.spent) for row in SpentDay.objects.all()] == [2]


def test_credits_that_expire_soon_once_a_lot(api: APIClient) -> None:
    book = factories.sold("cust_1", 30, expires_at=datetime(2026, 1, 20, tzinfo=UTC))
    factories.grant("cust_1", "5")
    alert(api, ("EXPIRING_DAYS", "7"))
    factories.debit("cust_1", "10", strategy="CASH")
    factories.advance(book, START + 30 * DAY)

    (event,) = OutboxEvent.objects.filter(type="credits.expiring")
    assert event.occurred_at == datetime(2026, 1, 13, tzinfo=UTC)
    assert {name: event.payload[name] for name in ("kind", "amount", "currency", "days")} == {
        "kind": "CASH", "amount": "20", "currency": "USD", "days": "7",
    }  # fmt: skip
    assert event.payload["expires_at"] == "2026-01-20T00:00:00Z"
    assert AlertThreshold.objects.get().crossed_at is None


def test_metered_usage_counts_before_it_is_burned(api: APIClient) -> None:
    book = factories.subscribed("HYBRID", money="100")
    alert(api, ("AMOUNT", "50"))
    # 30,000 tokens at 0.002 are 60.
    factories.meter(30_000, START)
    factories.set_clock(book, START + timedelta(minutes=1))

    assert told(book) == [("CROSSED", "AMOUNT", "50", "40")]


def test_units(api: APIClient) -> None:
    book = factories.clocked_customer()
    factories.metric()
    factories.grant_units("cust_1", "1000")
    body = {"metric": "tokens", "thresholds": [{"at": 10, "unit": "PERCENT"}]}
    assert api.put("/v1/wallets/cust_1/alerts", body).status_code == 200
    spent = {"customer_id": "cust_1", "metric": "tokens", "quantity": 900, "idempotency_key": "d"}
    assert api.post("/v1/wallets/debit", spent).status_code == 200

    assert told(book) == [("CROSSED", "PERCENT", "10", "10")]
    assert OutboxEvent.objects.get(type="wallet.alert").payload["metric"] == "tokens"


def test_the_customer_is_written_to_unless_asked_not_to(api: APIClient) -> None:
    book = factories.clocked_customer(email="ann@example.com")
    factories.top_up("cust_1", "100")
    alert(api, ("AMOUNT", "50"))
    factories.debit("cust_1", "60")
    assert wallet_alerts.watch(book_id=book.pk) == 1

    letter = Mail.objects.get()
    assert (letter.to, letter.status) == ("ann@example.com", "KEPT")
    assert letter.subject == "Credits in USD: 50 USD left reached"
    assert letter.text.startswith("40 USD are available")
    alert(api, ("AMOUNT", "50"), mail=False)
    factories.top_up("cust_1", "60")
    assert wallet_alerts.watch(book_id=book.pk) == 1
    assert Mail.objects.count() == 1


def test_the_sweep_watches_everybody_alone(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = factories.customer("first")
    second = factories.customer("second")
    for key in ("first", "second"):
        factories.top_up(key, "5")
        body = {"currency": "USD", "thresholds": [{"at": 10, "unit": "AMOUNT"}]}
        assert api.put(f"/v1/wallets/{key}/alerts", body).status_code == 200
    real = wallet_alerts.watch

    def watch(*, book_id: int) -> int:
        if book_id == first.pk:
            raise RuntimeError("no figures")
        return real(book_id=book_id)

    monkeypatch.setattr(wallet_alerts, "watch", watch)
    swept = due_work.sweep(now=timezone.now(), clock=timezone.now)

    assert [(each.customer_id, each.step) for each in swept.failures] == [("first", "alerts")]
    customers = OutboxEvent.objects.filter(type="wallet.alert").values_list("customer_id")
    assert list(customers) == [(second.key,)]


def test_staff_set_and_remove_alerts(admin_client: Client) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "5")
    wallet = Wallet.objects.get()
    add = reverse("admin:wallets_alertthreshold_add")
    sent = {"wallet": wallet.pk, "unit_wallet": "", "unit": "PERCENT", "at": "20", "mail": "on"}

    refused = admin_client.post(add, sent | {"at": "120"})
    assert (refused.status_code, AlertThreshold.objects.count()) == (200, 0)
    assert "At most 100 percent." in refused.text
    neither = admin_client.post(add, sent | {"wallet": ""})
    assert (neither.status_code, AlertThreshold.objects.count()) == (200, 0)
    assert admin_client.post(add, sent).status_code == 302
    assert admin_client.post(add, sent | {"at": "5"}).status_code == 302

    page = admin_client.get(reverse("admin:billing_customer_change", args=[book.pk])).text
    assert "Percent left" in page
    row = AlertThreshold.objects.get(at=20)
    gone = reverse("admin:wallets_alertthreshold_delete", args=[row.pk])
    assert admin_client.post(gone, {"post": "yes"}).status_code == 302
    assert [str(each) for each in AlertThreshold.objects.all()] == ["PERCENT 5"]
