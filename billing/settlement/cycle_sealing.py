"""Sealing of a cycle at its end, so that its usage, immutable from then on, can be added up."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.database import bulk, joined
from billing.models import Settlement, SettlementKind, Subscription
from billing.subscriptions import cycles
from ledger.entries import books

# One that was voided is found, too: the cycle is never settled again (docs/decisions.md#d36).
_OF_CYCLE = f"""
    WHERE subscription_id = %s AND cycle = %s AND kind = '{SettlementKind.CYCLE}'
"""


def seal(subscription: Subscription, now: datetime, *, closes: bool = True) -> Settlement | None:
    """End the open cycle, under the exclusive lock, in a short transaction of its own; return the
    settlement that waits for its stages, or None when the cycle is no longer the open one.

    Usage that comes from then on is late, unless `closes` is false: then it still counts in this
    cycle, until `close_usage`.
    """
    with transaction.atomic():
        books.lock_book(book_id=subscription.customer_id, exclusive=True)
        current = _read(subscription.pk)
        if current.cycle != subscription.cycle:
            return None
        sealed = bulk.select_models(Settlement, _OF_CYCLE, [current.pk, current.cycle])
        settlement = sealed[0] if sealed else _write(current, now)
        settlement.subscription = current
        if closes:
            _close(current, settlement)
        return settlement


def _write(current: Subscription, now: datetime) -> Settlement:
    full = cycles.full_period(current)
    settlement = Settlement(
        subscription=current,
        cycle=current.cycle,
        book_id=current.customer_id,
        starts_at=current.current_starts_at,
        ends_at=current.current_ends_at,
        full_starts_at=full.starts_at,
        full_ends_at=full.ends_at,
        period_number=current.period_number,
        counted_from=current.counted_from,
        counted_until=cycles.counted_until(current),
        sealed_at=now,
        currency=current.version.plan.currency,
        billing_mode=current.billing_mode,
    )
    bulk.insert_models(Settlement, [settlement])
    settlement._state.adding = False
    return settlement


@transaction.atomic
def close_usage(settlement: Settlement) -> None:
    """Close a cycle that waited for late usage, under the exclusive lock."""
    books.lock_book(book_id=settlement.book_id, exclusive=True)
    _close(Subscription.objects.get(pk=settlement.subscription_id), settlement)


def _close(current: Subscription, settlement: Settlement) -> None:
    if current.usage_closed_through < settlement.counted_until:
        current.usage_closed_through = settlement.counted_until
        bulk.update_rows(
            Subscription, "id", ["usage_closed_through"], [[current.pk, settlement.counted_until]]
        )


def _read(subscription_id: UUID) -> Subscription:
    (found,) = joined.select(
        Subscription,
        ["customer__book", "version__plan", "offering"],
        "WHERE t.id = %s",
        [subscription_id],
    )
    return found
