"""Locks of billing beyond the books: the invoice counter (last of all), the scope of runs, the
claims of workers on the items of a run, and rollups while they are counted, without any book.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from aforo.database import advisory_locks
from billing.models import (
    Document,
    InvoiceSeries,
    RunItemStatus,
    RunStatus,
    SettlementRunItem,
    UsageRollup,
)

# In the sandbox, and in live mode.
_PREFIXES = {
    Document.INVOICE: ("TEST-", "INV-"),
    Document.STATEMENT: ("TEST-STM-", "STM-"),
    Document.CREDIT_NOTE: ("TEST-CN-", "CN-"),
}


def next_number(*, livemode: bool, document: Document = Document.INVOICE) -> str:
    """Return the next number of a mode's documents: the counter is locked last and briefly
    (docs/decisions.md#d1).
    """
    if (counted := _count_up(livemode=livemode, document=document)) is None:
        InvoiceSeries.objects.get_or_create(
            livemode=livemode,
            document=document,
            defaults={"prefix": _PREFIXES[document][int(livemode)]},
        )
        counted = _count_up(livemode=livemode, document=document)
    assert counted is not None, "the series is there"
    prefix, number = counted
    return f"{prefix}{number:06d}"


def _count_up(*, livemode: bool, document: Document) -> tuple[str, int] | None:
    """Lock a series and count it up in one statement; None where there is none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE billing_invoiceseries SET last_number = last_number + 1
            WHERE livemode = %s AND document = %s RETURNING prefix, last_number
            """,
            [livemode, str(document)],
        )
        found: tuple[str, int] | None = cursor.fetchone()
    return found


def lock_run_scopes(*, livemode: bool) -> None:
    """Lock the decision whether a run of this mode may start, for one transaction at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [advisory_locks.RUN_SCOPES, int(livemode)]
        )


@transaction.atomic
def claim_run_item(
    *,
    run_id: UUID,
    now: datetime,
    free_before: datetime,
    item_id: int | None = None,
    after: int = 0,
) -> SettlementRunItem | None:
    """Claim a free item of a run, in a transaction of its own; None if there is none.

    A claim from before `free_before` belongs to a worker that is presumed dead. `after` is the last
    item that the caller has seen, so that claiming does not read finished items again and again.
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


def lock_uncounted(*, rollup_id: int) -> UsageRollup | None:
    """Lock a rollup that is not counted yet, waiting for whoever counts it; None when it is
    counted.
    """
    waiting = UsageRollup.objects.filter(pk=rollup_id, events=None)
    return waiting.select_for_update(no_key=True).first()
