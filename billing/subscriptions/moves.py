"""Moves of subscriptions: every change of a state, checked against the table of states, written as
a row with its actor and told to other systems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType

from aforo.errors import InvariantBroken
from aforo.webhooks.models import EventType
from billing.models import MoveKind, Subscription, SubscriptionMove, SubscriptionStatus
from billing.subscriptions import spend_rules, states
from ledger.models import Book
from wallets import outbox

NOTICES = {
    MoveKind.CREATED: EventType.SUBSCRIPTION_CREATED,
    MoveKind.ACTIVATED: EventType.SUBSCRIPTION_ACTIVATED,
    MoveKind.TRIAL_ENDED: EventType.SUBSCRIPTION_TRIAL_ENDED,
    MoveKind.SUSPENDED: EventType.SUBSCRIPTION_SUSPENDED,
    MoveKind.PAUSED: EventType.SUBSCRIPTION_PAUSED,
    MoveKind.RESUMED: EventType.SUBSCRIPTION_RESUMED,
    MoveKind.CANCELLED: EventType.SUBSCRIPTION_CANCELLED,
    MoveKind.CANCELLATION_SET: EventType.SUBSCRIPTION_UPDATED,
    MoveKind.CANCELLATION_WITHDRAWN: EventType.SUBSCRIPTION_UPDATED,
    MoveKind.PLAN_CHANGE_SET: EventType.SUBSCRIPTION_UPDATED,
    MoveKind.PLAN_CHANGE_WITHDRAWN: EventType.SUBSCRIPTION_UPDATED,
    MoveKind.PLAN_CHANGED: EventType.SUBSCRIPTION_UPDATED,
    MoveKind.COUPON_ADDED: EventType.SUBSCRIPTION_UPDATED,
    MoveKind.COUPON_REMOVED: EventType.SUBSCRIPTION_UPDATED,
}
_ENTERING = {
    SubscriptionStatus.CANCELLED: MoveKind.CANCELLED,
    SubscriptionStatus.PAUSED: MoveKind.PAUSED,
    SubscriptionStatus.SUSPENDED: MoveKind.SUSPENDED,
}
_LEAVING = {
    "": MoveKind.CREATED,
    SubscriptionStatus.PAUSED: MoveKind.RESUMED,
    SubscriptionStatus.TRIALING: MoveKind.TRIAL_ENDED,
}
_REASON: ContextVar[str] = ContextVar("reason", default="")


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Run what is inside for a reason, which every move that is recorded has."""
    before = _REASON.set(reason)
    try:
        yield
    finally:
        _REASON.reset(before)


def move(
    *,
    book: Book,
    subscription: Subscription,
    to: SubscriptionStatus,
    at: datetime,
) -> None:
    """Change a subscription's state, and what its wallets may do. The book must be locked.

    Raises: InvariantBroken for a move that the table of states does not have.
    """
    was = subscription.status
    spend_rules.set_status(book=book, subscription=subscription, status=to)
    record(book=book, subscription=subscription, was=was, at=at)


def record(*, book: Book, subscription: Subscription, was: str, at: datetime) -> None:
    """Record the state that a subscription has now, if it is another than that of its last move;
    `was` counts where no move was recorded yet.

    Raises: InvariantBroken for a move that the table of states does not have.
    """
    if was == subscription.status:
        return
    last = SubscriptionMove.objects.filter(subscription=subscription).order_by("-pk").first()
    before, after = was if last is None else last.to_status, str(subscription.status)
    if before == after:
        return
    if after not in states.NEXT[before]:
        raise InvariantBroken(f"A subscription does not go from {before or 'none'} to {after}.")
    _write(book, subscription, _kind(before, after), before=before, at=at)


def note(
    *,
    book: Book,
    subscription: Subscription,
    kind: MoveKind,
    at: datetime,
    facts: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Record a change of what is to come of a subscription, whose state stays. The book must be
    locked.
    """
    before = str(subscription.status)
    _write(book, subscription, kind, before=before, at=at, facts=facts)


def _kind(before: str, after: str) -> MoveKind:
    if before == SubscriptionStatus.PAUSED and after == SubscriptionStatus.SUSPENDED:
        return MoveKind.RESUMED
    entering = _ENTERING.get(SubscriptionStatus(after), MoveKind.ACTIVATED)
    if entering != MoveKind.ACTIVATED:
        return entering
    return _LEAVING.get(before, MoveKind.ACTIVATED)


def _write(
    book: Book,
    subscription: Subscription,
    kind: MoveKind,
    *,
    before: str,
    at: datetime,
    facts: Mapping[str, str] = MappingProxyType({}),
) -> None:
    SubscriptionMove.objects.create(
        subscription=subscription,
        kind=kind,
        from_status=before,
        to_status=subscription.status,
        facts=dict(facts),
        reason=_REASON.get(),
        occurred_at=at,
    )
    told = {
        "subscription": subscription.pk,
        "offering": subscription.offering.code,
        "move": str(kind),
        "status": str(subscription.status),
        "from_status": before,
        "reason": _REASON.get(),
        **facts,
    }
    outbox.notify(book, NOTICES[kind], told, at)
