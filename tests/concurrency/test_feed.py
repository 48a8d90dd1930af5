"""The feed while events commit: nothing is passed over, twice, or out of a customer's order."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from aforo.webhooks import feed
from aforo.webhooks.models import OutboxEvent
from ledger.entries import books
from ledger.models import Book
from tests import factories
from tests.concurrency.threads import at_once
from wallets import outbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

CUSTOMERS, WRITERS, EACH = 3, 4, 25


def write(customer: str, number: int) -> None:
    """Write an event as every operation does, under the book's lock."""
    with transaction.atomic():
        book = books.lock_book(book_id=Book.objects.get(key=customer).pk)
        outbox.notify(book, "wallet.depleted", {"number": number}, timezone.now())


def all_behind(after: int) -> tuple[list[OutboxEvent], int]:
    """Read the feed from a position to its end."""
    events: list[OutboxEvent] = []
    while True:
        page = feed.read(livemode=False, after=after, limit=20, now=timezone.now())
        events += page.events
        after = page.after
        if not page.is_full:
            return events, after


def test_what_commits_late_is_not_passed_over() -> None:
    for key in ("early", "late"):
        factories.customer(key)
    written, may_commit = threading.Event(), threading.Event()

    def commit_late() -> None:
        with transaction.atomic():
            write("late", 1)
            written.set()
            assert may_commit.wait(30)
        connection.close()

    slow = threading.Thread(target=commit_late)
    slow.start()
    assert written.wait(30)
    write("early", 1)
    first, after = all_behind(0)
    may_commit.set()
    slow.join()
    second, _ = all_behind(after)

    assert [event.customer_id for event in first] == ["early"]
    assert [event.customer_id for event in second] == ["late"]
    # By the order of writing it would have stood before what was read already.
    assert first[0].sequence is not None
    assert second[0].sequence is not None
    assert second[0].sequence < first[0].sequence


def write_and_read(number: int, reading: threading.Event) -> list[OutboxEvent]:
    """Write as one of the first threads, read as one of the others until all have written."""
    if number < WRITERS:
        for n in range(EACH):
            write(f"cust_{n % CUSTOMERS}", number * EACH + n)
        return []
    events, after = all_behind(0)
    while len(events) < WRITERS * EACH and not reading.wait(0.01):
        more, after = all_behind(after)
        events += more
    return events + all_behind(after)[0]


def test_readers_and_writers_at_once() -> None:
    for n in range(CUSTOMERS):
        factories.customer(f"cust_{n}")
    stuck = threading.Event()
    timer = threading.Timer(120, stuck.set)
    timer.start()

    read = at_once(WRITERS + 2, lambda number: write_and_read(number, stuck))[WRITERS:]

    timer.cancel()
    for events in read:
        assert len(events) == len({event.pk for event in events}) == WRITERS * EACH
        written = {(event.customer_id, event.sequence) for event in events}
        by_customer = [(event.customer_id, event.sequence) for event in events]
        assert sorted(by_customer, key=lambda each: each[0]) == sorted(written)
