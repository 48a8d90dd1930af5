"""Changes of a subscription that are asked for: cancel, withdraw that, pause and resume
(docs/decisions.md#d18). What may be asked in which state is in `states`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict
from aforo.sandbox.services import now_for
from billing.cycle_end import cycle_settlement, next_cycle, renewal
from billing.invoicing import numbering
from billing.lifecycle import subscribing
from billing.models import MoveKind, Subscription, SubscriptionStatus
from billing.prepaid import reactivation
from billing.settlement import waiting_cycles
from billing.subscriptions import cycles, moves, spend_rules, states
from billing.usage import rollup_upkeep
from ledger.entries import books
from ledger.models import Book


class When(StrEnum):
    NOW = "NOW"
    PERIOD_END = "PERIOD_END"


class NotInState(Conflict):
    """The subscription's state does not allow this.

    The message names the state.
    """

    variants = {
        "already_cancelled": (
            "The subscription is cancelled already.",
            "There is nothing to do.",
        ),
        "no_cancellation": (
            "No cancellation is ahead that could be withdrawn.",
            "A subscription that has ended does not go on: create another one.",
        ),
        "not_active": (
            "The subscription is not active, so it cannot be paused.",
            "Read its `status` first.",
        ),
        "not_paused": (
            "The subscription is not paused, so it cannot be resumed.",
            "Read its `status` first.",
        ),
        "cycle_not_settled": (
            "A cycle that is over waits to be settled.",
            "Repeat it in a minute, when the sweep has settled it.",
        ),
    }


def prepare(*, livemode: bool, subscription_id: UUID) -> None:
    """Renew a customer if a cycle is over, then update the rollups of an open cycle that is to be
    cut short, before its book is locked for that.
    """
    found = Subscription.objects.filter(pk=subscription_id, customer__book__livemode=livemode)
    for subscription in found.select_related("customer__book__test_clock"):
        book = subscription.customer.book
        renewal.renew_if_due(book=book, now=now_for(book))
        rollup_upkeep.keep_up_book(book_id=subscription.customer_id)


@transaction.atomic
def cancel(*, livemode: bool, subscription_id: UUID, at: str, reason: str = "") -> Subscription:
    """End a subscription now, or with its open cycle; what the last cycle owes is settled by time,
    after the plan's grace for usage that is still on its way.

    Credits of the plan cannot be spent from then on, bought ones stay. Nothing is paid back. A
    paused one ends by a cycle that serves no time, which bills usage that came late in the pause.

    Raises: UnknownSubscription; NotInState (`already_cancelled`, `cycle_not_settled`).
    """
    found = locked(livemode, subscription_id)
    if found.status not in states.MAY_CANCEL:
        raise NotInState("The subscription is cancelled already.", code="already_cancelled")
    book, now = found.customer.book, now_for(found.customer.book)
    with moves.because(reason):
        if found.status == SubscriptionStatus.CREATED:
            cycle_settlement.end(book=book, subscription=found, at=now)
        elif found.status == SubscriptionStatus.PAUSED:
            end_paused(book, found, now)
        elif at == When.PERIOD_END:
            _end_with_cycle(found, now)
        else:
            _end_now(found, now)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


def _end_with_cycle(found: Subscription, now: datetime) -> None:
    """Set the end of a subscription to that of its open cycle, unless that is set."""
    if found.cancel_at == found.current_ends_at:
        return
    found.cancel_at = found.current_ends_at
    found.save(update_fields=["cancel_at"])
    moves.note(
        book=found.customer.book,
        subscription=found,
        kind=MoveKind.CANCELLATION_SET,
        at=now,
        facts={"cancel_at": found.cancel_at.isoformat()},
    )


@transaction.atomic
def uncancel(*, livemode: bool, subscription_id: UUID, reason: str = "") -> Subscription:
    """Withdraw a cancellation that is still ahead: the subscription goes on as before it.

    Raises: UnknownSubscription; NotInState (`already_cancelled`, `no_cancellation`).
    """
    found = locked(livemode, subscription_id)
    if found.status == SubscriptionStatus.CANCELLED:
        raise NotInState("The subscription is cancelled already.", code="already_cancelled")
    book, now = found.customer.book, now_for(found.customer.book)
    is_ahead = found.cancel_at is not None and found.cancel_at > now
    if found.status not in states.MAY_UNCANCEL or not is_ahead:
        raise NotInState("No cancellation is ahead.", code="no_cancellation")
    found.cancel_at = None
    found.save(update_fields=["cancel_at"])
    with moves.because(reason):
        moves.note(book=book, subscription=found, kind=MoveKind.CANCELLATION_WITHDRAWN, at=now)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


@transaction.atomic
def pause(*, livemode: bool, subscription_id: UUID, reason: str = "") -> Subscription:
    """Stop an active subscription: its cycle is settled up to now, by time, and no other begins.

    Raises: UnknownSubscription; NotInState (`not_active`, `cycle_not_settled`).
    """
    found = locked(livemode, subscription_id)
    if found.status not in states.MAY_PAUSE:
        raise NotInState(f"The subscription is {found.status.lower()}.", code="not_active")
    now = now_for(found.customer.book)
    settle_behind(found, now)
    found.paused_at = cut_short(found, now)
    found.save(update_fields=["paused_at", "current_ends_at"])
    with moves.because(reason):
        cycle_settlement.settle_cycle(subscription=found, now=now, is_locked=True)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


@transaction.atomic
@numbering.at_the_end()
def resume(*, livemode: bool, subscription_id: UUID, reason: str = "") -> Subscription:
    """Resume a paused subscription, from now to the end of its period; anniversaries stay.

    In the period of the pause, fees have been billed and credits issued; a later period bills its
    fees, by the time that is left, and issues its credits. PREPAID credits that do not cover what
    is owed leave it SUSPENDED. One that was to end meanwhile ends now.

    Raises: UnknownSubscription; NotInState (`not_paused`).
    """
    found = locked(livemode, subscription_id)
    if found.status not in states.MAY_RESUME:
        raise NotInState(f"The subscription is {found.status.lower()}.", code="not_paused")
    book, now = found.customer.book, now_for(found.customer.book)
    with moves.because(reason):
        if found.cancel_at is not None and found.cancel_at <= now:
            end_paused(book, found, now)
        else:
            _go_on(book, found, now)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


def _go_on(book: Book, found: Subscription, now: datetime) -> None:
    is_other = cycles.resume_cycle(subscription=found, now=now)
    waits = is_other or spend_rules.owes(found)
    status = SubscriptionStatus.SUSPENDED if waits else SubscriptionStatus.ACTIVE
    moves.move(book=book, subscription=found, to=status, at=now)
    if is_other:
        found.is_fee_due = True
        found.save(update_fields=["is_fee_due"])
        reactivation.reactivate(book=book)


def locked(livemode: bool, subscription_id: UUID) -> Subscription:  # noqa: FBT001
    """Return a subscription, read under its book's exclusive lock."""
    found = subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)
    book: Book = books.lock_book(book_id=found.customer_id, exclusive=True)
    found.refresh_from_db()
    found.customer.book = book
    return found


def _end_now(found: Subscription, now: datetime) -> None:
    """Cut the open cycle short and settle it, or with a grace leave it to be settled later: the
    customer's wallets are as without the subscription from now on.
    """
    if found.version.grace_hours == 0:
        settle_behind(found, now)
    found.cancel_at = cut_short(found, now)
    found.save(update_fields=["cancel_at", "current_ends_at"])
    if found.version.grace_hours == 0:
        cycle_settlement.settle_cycle(subscription=found, now=now, is_locked=True)
    else:
        next_cycle.begin(subscription=found, now=now)


def end_paused(book: Book, found: Subscription, now: datetime) -> None:
    """End a paused subscription by a cycle that serves no time. The book must be locked."""
    cycles.resume_cycle(subscription=found, now=now)
    # Not a move: only so that a last cycle can be settled.
    spend_rules.set_status(book=book, subscription=found, status=SubscriptionStatus.ACTIVE)
    _end_now(found, now)


def settle_behind(found: Subscription, now: datetime) -> None:
    """Settle the cycles that wait behind the one that is to be cut short, because they ended
    first.
    """
    for each in waiting_cycles.settlements(book_id=found.customer_id).filter(subscription=found):
        cycle_settlement.settle_waiting(settlement=each, now=now, is_locked=True)


def cut_short(found: Subscription, now: datetime) -> datetime:
    """End the open cycle now; return that moment. One that began at this very instant serves no
    time, and owes what was used in it.

    Raises: NotInState while a cycle that is over waits to be settled.
    """
    if found.current_ends_at <= now:
        detail = "The cycle is over and waits to be settled."
        raise NotInState(detail, code="cycle_not_settled")
    found.current_ends_at = max(now, found.current_starts_at)
    return found.current_ends_at
