"""The states of a subscription: groups of them, the moves between them, and what may be asked in
each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from billing.models import (
    SubscriptionStatus,
)

LIVE = [
    SubscriptionStatus.TRIALING,
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.SUSPENDED,
    SubscriptionStatus.PAUSED,
]


# The states in which cycles run and are settled.
RUNNING = [status for status in LIVE if status != SubscriptionStatus.PAUSED]

# A subscription begins in one of the first; nothing follows a cancellation.
NEXT: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({SubscriptionStatus.CREATED, SubscriptionStatus.TRIALING}),
    SubscriptionStatus.CREATED: frozenset(
        {SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELLED}
    ),
    SubscriptionStatus.TRIALING: frozenset(
        {SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED, SubscriptionStatus.CANCELLED}
    ),
    SubscriptionStatus.ACTIVE: frozenset(
        {SubscriptionStatus.PAUSED, SubscriptionStatus.SUSPENDED, SubscriptionStatus.CANCELLED}
    ),
    SubscriptionStatus.SUSPENDED: frozenset(
        {SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELLED}
    ),
    SubscriptionStatus.PAUSED: frozenset(
        {SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED, SubscriptionStatus.CANCELLED}
    ),
    SubscriptionStatus.CANCELLED: frozenset(),
}

# What may be asked for in which state; elsewhere it is a conflict, which changes nothing.
MAY_PAUSE = frozenset({SubscriptionStatus.ACTIVE})
MAY_RESUME = frozenset({SubscriptionStatus.PAUSED})
MAY_CANCEL = frozenset(SubscriptionStatus) - {SubscriptionStatus.CANCELLED}
# With the next renewal.
MAY_CHANGE_PLAN = frozenset(RUNNING)
MAY_CHANGE_PLAN_NOW = frozenset({SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE})
# With a cancellation that is still ahead.
MAY_UNCANCEL = frozenset(LIVE)
