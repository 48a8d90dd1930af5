"""Credits that a correction returns to the lots that paid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from billing.models import Subscription
from billing.subscriptions import cycles
from wallets.lots.credit_journal import EntryBuilder
from wallets.models import CreditLot

# How long credits that return to a lapsed but paid lot can be spent at least.
LIFE = timedelta(days=30)


def note(
    entry: EntryBuilder, lot: CreditLot, quantity: Decimal, subscription: Subscription
) -> None:
    """Extend a lapsed lot that was bought, because our own overcharge is never breakage
    (docs/decisions.md#d33); what came back to another lapsed one waits for
    `reservation_holds.lapse_returned`.
    """
    now = entry.occurred_at
    if lot.carrying > 0 and lot.expires_at is not None and lot.expires_at <= now:
        entry.move_expiry(lot, max(cycles.upcoming(subscription).part.ends_at, now + LIFE))
    else:
        entry.note_return(lot, quantity)
