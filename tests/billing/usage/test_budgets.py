"""Metered usage in budgets of units: it counts by its properties, and is never refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.jobs import due_work
from billing.usage import ingest
from ledger.models import Book
from tests import factories
from tests.billing.realtime.usage_requests import use
from tests.factories import START
from wallets.budgets import metered
from wallets.models import BudgetCounter, BudgetDelta

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def book() -> Book:
    return factories.subscribed("PREPAID", money="100")


def meter(*names: str, at: datetime = START, quantity: int = 100, **properties: str) -> None:
    events = [
        {
            "customerId": "cust_1",
            "metricName": "tokens",
            "quantity": quantity,
            "occurredAt": at.isoformat(),
            "idempotencyKey": name,
            **properties,
        }
        for name in names
    ]
    outcome = ingest.ingest(livemode=False, events=events, received_at=at)
    assert outcome.failed == 0


def counted(code: str) -> list[tuple[str, Decimal]]:
    """Return the used quantity of each value and window, the oldest first."""
    found = BudgetCounter.objects.filter(budget__code=code).order_by("starts_at", "value")
    return [(each.value, each.used) for each in found]


def test_it_counts_before_it_is_folded_and_after(api: APIClient, book: Book) -> None:
    factories.budget("b", "300", metric="tokens")
    meter("a", "b", team="search")
    meter("c", user="ann")

    answer = use(api, 101, "u", attributes={"team": "ads"})
    assert (answer.status_code, answer.json()["used"]) == (402, "200"), answer.content
    assert use(api, 60, "v", attributes={"team": "ads"}).status_code == 200
    assert metered.pending_books() == [book.pk]
    assert metered.fold(book_id=book.pk) == 1
    assert metered.fold(book_id=book.pk) == 0
    assert metered.pending_books() == []

    assert counted("b") == [("", 260)]
    assert use(api, 41, "w", attributes={"team": "ads"}).json()["used"] == "260"
    assert verification.verify().ok


def test_it_is_never_refused(api: APIClient, book: Book) -> None:
    factories.budget("b", "10", metric="tokens")

    meter("a", quantity=1_000, team="search")
    metered.fold(book_id=book.pk)

    assert counted("b") == [("", 1_000)]
    assert use(api, 1, "u", attributes={"team": "search"}).status_code == 402


def test_a_repeat_counts_once(book: Book) -> None:
    factories.budget("b", "1000", metric="tokens")

    meter("a", "a", team="search")
    meter("a", "b", team="search")
    metered.fold(book_id=book.pk)

    assert counted("b") == [("", 200)]


def test_it_counts_in_the_window_in_which_it_happened(book: Book) -> None:
    factories.set_clock(book, START + timedelta(hours=5))
    factories.budget("b", "1000", metric="tokens", window="HOUR", per="team")

    meter("a", at=START, team="search")
    meter("b", "c", at=START + timedelta(hours=5), team="search")
    meter("d", at=START + timedelta(hours=5), team="ads")
    metered.fold(book_id=book.pk)

    assert counted("b") == [("search", 100), ("ads", 100), ("search", 200)]


def test_a_cycle_counts_what_belongs_to_it(book: Book) -> None:
    factories.budget("b", "1000", metric="tokens", window="CYCLE")
    meter("a", team="search")
    metered.fold(book_id=book.pk)
    factories.advance(book, factories.FEBRUARY + timedelta(days=1))

    meter("b", "c", at=factories.FEBRUARY, team="search")
    metered.fold(book_id=book.pk)

    assert counted("b") == [("", 100), ("", 200)]
    assert verification.verify().ok


def test_only_from_when_the_budget_is_there_and_while_it_is_active(book: Book) -> None:
    meter("a", team="search")
    factories.budget("b", "1000", metric="tokens")
    factories.budget("money", "1000")
    meter("b", team="search")
    metered.fold(book_id=book.pk)

    assert (counted("b"), counted("money")) == ([("", 100)], [])


def test_the_sweep_folds_and_alerts(book: Book) -> None:
    factories.budget("b", "200", metric="tokens", alert_at=[50, 100])
    meter("a", team="search")

    due_work.sweep(now=timezone.now(), clock=timezone.now)

    assert counted("b") == [("", 100)]
    (told,) = OutboxEvent.objects.filter(type="budget.alert")
    assert (told.payload["percent"], told.payload["used"]) == (50, "100")
    assert not BudgetDelta.objects.filter(folded_at=None).exists()


def test_a_customer_without_budgets_costs_no_statement(book: Book) -> None:
    with CaptureQueriesContext(connection) as without:
        meter("a", team="search")
    factories.budget("b", "1000", metric="tokens")
    with CaptureQueriesContext(connection) as limited:
        meter("b", team="search")

    assert len(limited) == len(without) + 2
