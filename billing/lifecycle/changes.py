"""Changes of a subscription: cancel, pause and resume (docs/decisions.md#d18)."""

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
from billing.models import Subscription, SubscriptionStatus
from billing.prepaid import reactivation
from billing.settlement import waiting_cycles
from billing.subscriptions import cycles, spend_rules
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
def cancel(*, livemode: bool, subscription_id: UUID, at: str) -> Subscription:
    """End a subscription now, or with its open cycle; what the last cycle owes is settled by time,
    after the plan's grace for usage that is still on its way.

    Credits of the plan cannot be spent from then on, bought ones stay. Nothing is paid back. A
    paused one ends by a cycle that serves no time, which bills usage that came late in the pause.

    Raises: UnknownSubscription; NotInState (`already_cancelled`, `cycle_not_settled`).
    """
    found = _locked(livemode, subscription_id)
    if found.status == SubscriptionStatus.CANCELLED:
        raise NotInState("The subscription is cancelled already.", code="already_cancelled")
    book, now = found.customer.book, now_for(found.customer.book)
    if found.status == SubscriptionStatus.CREATED:
        cycle_settlement.end(book=book, subscription=found, at=now)
    elif found.status == SubscriptionStatus.PAUSED:
        end_paused(book, found, now)
    elif at == When.PERIOD_END:
        found.cancel_at = found.current_ends_at
        found.save(update_fields=["cancel_at"])
    else:
        _end_now(found, now)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


@transaction.atomic
def pause(*, livemode: bool, subscription_id: UUID) -> Subscription:
    """Stop an active subscription: its cycle is settled up to now, by time, and no other begins.

    Raises: UnknownSubscription; NotInState (`not_active`, `cycle_not_settled`).
    """
    found = _locked(livemode, subscription_id)
    if found.status != SubscriptionStatus.ACTIVE:
        raise NotInState(f"The subscription is {found.status.lower()}.", code="not_active")
    now = now_for(found.customer.book)
    _settle_behind(found, now)
    found.paused_at = _cut_short(found, now)
    found.save(update_fields=["paused_at", "current_ends_at"])
    cycle_settlement.settle_cycle(subscription=found, now=now, is_locked=True)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


@transaction.atomic
@numbering.at_the_end()
def resume(*, livemode: bool, subscription_id: UUID) -> Subscription:
    """Resume a paused subscription, from now to the end of its period; anniversaries stay.

    In the period of the pause, fees have been billed and credits issued; a later period bills its
    fees, by the time that is left, and issues its credits. PREPAID credits that do not cover what
    is owed leave it SUSPENDED. One that was to end meanwhile ends now.

    Raises: UnknownSubscription; NotInState (`not_paused`).
    """
    found = _locked(livemode, subscription_id)
    if found.status != SubscriptionStatus.PAUSED:
        raise NotInState(f"The subscription is {found.status.lower()}.", code="not_paused")
    book, now = found.customer.book, now_for(found.customer.book)
    if found.cancel_at is not None and found.cancel_at <= now:
        end_paused(book, found, now)
        return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)
    is_other = cycles.resume_cycle(subscription=found, now=now)
    is_owing = spend_rules.owes(found)
    spend_rules.set_status(
        book=book,
        subscription=found,
        status=SubscriptionStatus.SUSPENDED if is_other or is_owing else SubscriptionStatus.ACTIVE,
    )
    if is_other:
        found.is_fee_due = True
        found.save(update_fields=["is_fee_due"])
        reactivation.reactivate(book=book)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


def _locked(livemode: bool, subscription_id: UUID) -> Subscription:  # noqa: FBT001
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
        _settle_behind(found, now)
    found.cancel_at = _cut_short(found, now)
    found.save(update_fields=["cancel_at", "current_ends_at"])
    if found.version.grace_hours == 0:
        cycle_settlement.settle_cycle(subscription=found, now=now, is_locked=True)
    else:
        next_cycle.begin(subscription=found, now=now)


def end_paused(book: Book, found: Subscription, now: datetime) -> None:
    """End a paused subscription by a cycle that serves no time. The book must be locked."""
    cycles.resume_cycle(subscription=found, now=now)
    spend_rules.set_status(book=book, subscription=found, status=SubscriptionStatus.ACTIVE)
    _end_now(found, now)


def _settle_behind(found: Subscription, now: datetime) -> None:
    """Settle the cycles that wait behind the one that is to be cut short, because they ended
    first.
    """
    for each in waiting_cycles.settlements(book_id=found.customer_id).filter(subscription=found):
        cycle_settlement.settle_waiting(settlement=each, now=now, is_locked=True)


def _cut_short(found: Subscription, now: datetime) -> datetime:
    """End the open cycle now; return that moment. One that began at this very instant serves no
    time, and owes what was used in it.

    Raises: NotInState while a cycle that is over waits to be settled.
    """
    if found.current_ends_at <= now:
        detail = "The cycle is over and waits to be settled."
        raise NotInState(detail, code="cycle_not_settled")
    found.current_ends_at = max(now, found.current_starts_at)
    return found.current_ends_at
