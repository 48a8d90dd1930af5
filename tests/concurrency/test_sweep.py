"""A sweep beside a customer that is really locked, for longer than anybody waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing.finance import verification
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Settlement
from ledger.entries import books
from ledger.models import Book, Seal, SealCopy
from ledger.seals import seals
from tests import factories
from tests.concurrency.threads import at_once
from wallets.models import CreditLot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


@contextmanager
def locked(key: str) -> Iterator[None]:
    """Lock a customer's book in another transaction while the block runs."""
    is_locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                books.lock_book(book_id=Book.objects.get(key=key).pk, exclusive=True)
                is_locked.set()
                done.wait(120)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    is_locked.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    try:
        yield
    finally:
        done.set()
        holder.join()
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


def lapsed() -> list[str]:
    return sorted(CreditLot.objects.filter(remaining=0).values_list("book__key", flat=True))


def test_a_locked_customer_stops_nobody_and_no_seal() -> None:
    """Everything is due for three customers: the one in the middle is locked throughout."""
    factories.offering()
    for key in ("cust_1", "cust_2", "cust_3"):
        factories.customer(key)
        subscribing.subscribe(
            livemode=False,
            customer_id=key,
            offering="tokens_monthly",
            starts_at=timezone.now() - timedelta(days=32),
        )
        expires_at = timezone.now() + timedelta(seconds=30)
        factories.grant(key, "5", expires_at=expires_at)
    now = timezone.now() + timedelta(minutes=1)

    with locked("cust_2"):
        swept = due_work.sweep(now=now, clock=timezone.now)

    assert {failure.customer_id for failure in swept.failures} == {"cust_2"}
    assert all(failure.reason.startswith("busy: ") for failure in swept.failures)
    assert swept.settled == 2
    assert lapsed() == ["cust_1", "cust_3"]
    assert Seal.objects.count() == 1
    again = due_work.sweep(now=now, clock=timezone.now)
    assert again.failures == []
    assert again.settled == 1
    assert lapsed() == ["cust_1", "cust_2", "cust_3"]
    assert Settlement.objects.filter(status="SETTLED").count() == 3


def test_sweeps_at_once_make_one_seal() -> None:
    factories.customer()
    factories.grant("cust_1", "1")
    now = timezone.now()

    made = at_once(6, lambda _: seals.seal_if_due(livemode=False, now=now))

    assert len([seal for seal in made if seal is not None]) == 1
    assert (Seal.objects.count(), SealCopy.objects.count()) == (1, 1)
    assert verification.verify().ok
