"""Workers of a run killed at random points: the books end as those of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from aforo.devdb import places
from billing.cycle_end import runs
from billing.finance import verification
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import (
    Invoice,
    RunItemStatus,
    Settlement,
    SettlementRun,
    SettlementRunItem,
    Subscription,
)
from billing.usage import ingest
from ledger.models import Book, Entry
from tests import factories, serving
from wallets.models import CreditLot

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("threads"),
]

CUSTOMERS = int(os.environ.get("AFORO_FAULT_CUSTOMERS", "500"))
KILLS = 10
MODES = ["HYBRID", "PREPAID", "POSTPAID"]


def prepare(*, livemode: bool) -> None:
    """Create customers of every mode whose credits cover some, all or none of what they used."""
    now = timezone.now()
    start = now - timedelta(days=40)
    for mode in MODES:
        factories.offering(mode, billing_mode=mode, livemode=livemode)
    events = []
    for n in range(CUSTOMERS):
        key = f"cust_{n}"
        factories.customer(key, livemode=livemode)
        subscribing.subscribe(
            livemode=livemode, customer_id=key, offering=MODES[n % 3], starts_at=start
        )
        if n % 2:
            factories.top_up(key, str(1 + n % 5), livemode=livemode)
        events += [
            factories.event(key, 100 * (1 + n % 11), f"{key}-{m}", start + timedelta(days=1 + m))
            for m in range(5)
        ]
    for at in range(0, len(events), 1_000):
        ingest.ingest(livemode=livemode, events=events[at : at + 1_000], received_at=now)


def picture(*, livemode: bool) -> dict[str, Any]:
    """Return all that a settlement leaves behind, without ids and the moments of writing."""
    books = Book.objects.filter(livemode=livemode)
    shown: dict[str, Any] = {key: [] for key in books.values_list("key", flat=True)}
    entries = Entry.objects.filter(book__livemode=livemode).order_by("book", "sequence")
    for entry in entries.select_related("book").prefetch_related("postings"):
        postings = [(p.debit_id, p.credit_id, p.amount, p.currency) for p in entry.postings.all()]
        shown[entry.book.key].append((entry.sequence, entry.event, sorted(postings)))
    for lot in CreditLot.objects.filter(book__livemode=livemode).select_related("book"):
        shown[lot.book.key].append(("lot", lot.kind, lot.remaining, lot.carrying_remaining))
    for invoice in Invoice.objects.filter(livemode=livemode).select_related("customer__book"):
        lines = sorted(invoice.lines.values_list("kind", "quantity", "amount"))
        shown[invoice.customer.book.key].append(
            ("invoice", invoice.status, invoice.total.amount, invoice.amount_due, lines)
        )
    for found in Settlement.objects.filter(book__livemode=livemode).select_related("book"):
        shown[found.book.key].append(
            ("cycle", found.cycle, found.status, found.totals["total"], found.arrears)
        )
    live = Subscription.objects.filter(customer__book__livemode=livemode)
    for key, status, cycle in live.values_list("customer__book__key", "status", "cycle"):
        shown[key].append(("subscription", status, cycle))
    return {key: sorted(parts, key=repr) for key, parts in shown.items()}


@contextmanager
def worker(run: SettlementRun) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "manage.py", "settle", "--run", str(run.pk)],
        cwd=places.PROJECT,
        env=os.environ | {"DATABASE_URL": serving.test_database_url()},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_books_equal_those_of_an_undisturbed_run() -> None:
    prepare(livemode=True)
    prepare(livemode=False)
    undisturbed = due_work.settle(livemode=True, as_of=None, customer_id=None, clock=timezone.now)
    assert (undisturbed.settled, undisturbed.failed) == (CUSTOMERS, 0)
    run = runs.start_run(livemode=False, as_of=None, customer_id=None, now=timezone.now())
    dice = random.Random(run.pk.int)
    killed_at = []

    for _ in range(KILLS):
        before, _total = runs.count(run.pk)
        goal = before + dice.randint(1, max(1, CUSTOMERS // (2 * KILLS)))
        with worker(run) as victim:
            while runs.count(run.pk)[0] < goal and victim.poll() is None:
                time.sleep(0.005)
            time.sleep(dice.randrange(40) / 1_000)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        killed_at.append(runs.count(run.pk)[0])

    claimed = SettlementRunItem.objects.filter(run=run, status=RunItemStatus.CLAIMED)
    interrupted = claimed.count()
    # Their leases end.
    claimed.update(claimed_at=timezone.now() - runs.LEASE - timedelta(seconds=1))
    with worker(run) as one, worker(run) as two:
        assert (one.wait(), two.wait()) == (0, 0)

    assert killed_at[-1] < CUSTOMERS, "every kill came before the end"
    assert interrupted, "some kill came in the middle of a customer"
    run = runs.get_run(livemode=False, run_id=run.pk)
    assert (run.status, run.due, run.settled, run.failed) == ("DONE", CUSTOMERS, CUSTOMERS, 0)
    assert picture(livemode=False) == picture(livemode=True)
    assert verification.verify().first_bad is None
