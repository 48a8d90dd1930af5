"""Locks of billing beyond the books: the invoice counter (last of all), the scope of runs, the
claims of workers on the items of a run, and tallies while they are counted, without any book.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from billing.models import (
    InvoiceSeries,
    RunItemStatus,
    RunStatus,
    SettlementRunItem,
    UsageTally,
)

# The class of the advisory locks on run scopes; books use one-key locks, so they never meet.
_RUN_SCOPE = 7_001


def lock_series(*, livemode: bool) -> InvoiceSeries:
    """Lock a mode's invoice counter; taken last and held briefly (DECISIONS 1)."""
    locked = InvoiceSeries.objects.select_for_update(no_key=True).filter(livemode=livemode)
    series = locked.first()
    if series is None:
        prefix = "INV-" if livemode else "TEST-"
        InvoiceSeries.objects.get_or_create(livemode=livemode, defaults={"prefix": prefix})
        series = locked.get()
    return series


def lock_run_scopes(*, livemode: bool) -> None:
    """Let only one transaction at a time decide whether a run of this mode may start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_RUN_SCOPE, int(livemode)])


@transaction.atomic
def claim_run_item(
    *,
    run_id: UUID,
    now: datetime,
    free_before: datetime,
    item_id: int | None = None,
    after: int = 0,
) -> SettlementRunItem | None:
    """Claim an item of a run that nobody is at, in a transaction of its own; None if there is none.

    A claim from before `free_before` belongs to a worker that is taken to be dead. `after` is
    where the caller has come to, so that claiming does not read what is done again and again.
    """
    free = Q(status=RunItemStatus.PENDING) | Q(
        status=RunItemStatus.CLAIMED, claimed_at__lt=free_before
    )
    items = SettlementRunItem.objects.filter(
        free, run=run_id, run__status=RunStatus.RUNNING, pk__gt=after
    )
    if item_id is not None:
        items = items.filter(pk=item_id)
    found = (
        items.select_for_update(of=("self",), skip_locked=True, no_key=True)
        .select_related("run", "book__test_clock")
        .order_by("pk")
        .first()
    )
    if found is not None:
        found.status, found.claimed_at = RunItemStatus.CLAIMED, now
        found.attempts += 1
        found.save(update_fields=["status", "claimed_at", "attempts"])
    return found


def lock_uncounted(*, tally_id: int) -> UsageTally | None:
    """Wait for whoever counts a tally; None when it is counted."""
    waiting = UsageTally.objects.filter(pk=tally_id, events=None)
    return waiting.select_for_update(no_key=True).first()
