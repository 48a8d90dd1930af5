"""Waiting cycles: over, and to be settled behind the one that is open.

The next cycle opens the moment its predecessor ends, so that no customer is without credits; late
usage, or much usage, lets the settlement come later. Until then, code that prices open cycles
prices these too.
"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Value,
)

from aforo.database import joined
from billing.models import (
    Settlement,
    SettlementKind,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
)
from billing.subscriptions import plan_terms

# What is read with a waiting cycle.
RELATED = (
    "subscription__customer__book", "subscription__version__plan", "subscription__offering"
)  # fmt: skip
# `settlements` of a book, asked several times for every cycle that is settled, so the ORM does not
# compile it.
_WAITING = f"""
    WHERE t.book_id = %s AND t.kind = '{SettlementKind.CYCLE}'
        AND t.status = '{SettlementStatus.SEALED}'
        AND (t.cycle < t1.cycle OR t1.status = '{SubscriptionStatus.CANCELLED}')
"""
_ENDED = f"{_WAITING} AND t.ends_at <= %s ORDER BY t.ends_at, t.id"
_BEGUN = f"{_WAITING} AND t.starts_at < %s ORDER BY t.ends_at, t.id"


def settlements(*, book_id: int | None = None) -> QuerySet[Settlement]:
    """Return the cycles of a customer, or of all, that are over, not settled and not open."""
    found = Settlement.objects.filter(
        Q(cycle__lt=F("subscription__cycle"))
        | Q(subscription__status=SubscriptionStatus.CANCELLED),
        kind=SettlementKind.CYCLE,
        status=SettlementStatus.SEALED,
    )
    if book_id is not None:
        found = found.filter(book=book_id)
    return found.select_related(*RELATED).order_by("ends_at", "pk")


def with_due_at() -> Any:
    """Return all waiting cycles with `due_at`, when the grace for late usage is over."""
    grace = ExpressionWrapper(
        F("subscription__version__grace_hours") * Value(timedelta(hours=1)),
        output_field=DurationField(),
    )
    due_at = ExpressionWrapper(F("ends_at") + grace, output_field=DateTimeField())
    return settlements().annotate(due_at=due_at)


def behind(*, book_id: int, before: datetime) -> list[Subscription]:
    """Return a customer's subscriptions as they were in each waiting cycle that began before a
    moment, the first to end first. They must not be saved.
    """
    waiting = joined.select(Settlement, RELATED, _BEGUN, [book_id, before])
    return [rewound(each) for each in waiting]


def rewound(settlement: Settlement) -> Subscription:
    """Return a copy of a cycle's subscription as if that cycle were the open one."""
    ran_on = plan_terms.of_cycle(settlement.subscription, settlement.cycle)
    subscription = copy.copy(ran_on)
    subscription.cycle = settlement.cycle
    subscription.current_starts_at = settlement.starts_at
    subscription.current_ends_at = settlement.ends_at
    subscription.full_starts_at = settlement.full_starts_at
    subscription.full_ends_at = settlement.full_ends_at
    subscription.period_number = settlement.period_number
    subscription.counted_from = settlement.counted_from
    return subscription


def due_at(settlement: Settlement) -> datetime:
    """Return when a cycle that is over is settled: its end plus the plan's grace."""
    ran_on = plan_terms.of_cycle(settlement.subscription, settlement.cycle)
    return settlement.ends_at + timedelta(hours=ran_on.version.grace_hours)


def first_due(*, book_id: int, until: datetime) -> Settlement | None:
    """Return the waiting cycle of a customer that is due by a moment and ended first, if any."""
    waiting = joined.select(Settlement, RELATED, _ENDED, [book_id, until])
    return next((each for each in waiting if due_at(each) <= until), None)
