"""Groups of subscription states."""

from __future__ import annotations

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
