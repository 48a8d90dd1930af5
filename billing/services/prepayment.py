"""PREPAID customers pay for metered usage within minutes, and are suspended when they cannot."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from aforo.sandbox.services import now_for
from billing.models import Settlement, Subscription, SubscriptionStatus, UsageEvent
from billing.services import burning, subscriptions
from ledger import services as ledger
from ledger.models import Book
from pricing.models import BillingMode
from wallets import hooks

EVERY = timedelta(minutes=5)


def due_books(*, now: datetime) -> list[int]:
    """Give the books of PREPAID customers with usage metered since it was last burned, at most
    every five minutes; those on a test clock follow their clock.
    """
    fed = UsageEvent.objects.filter(
        book=OuterRef("customer"),
        metric__charges__version=OuterRef("version"),
        counted_at__gte=OuterRef("burned_through"),
    )
    prepaid = Subscription.objects.filter(
        Q(burned_through=None) | Q(Exists(fed), burned_through__lte=now - EVERY),
        billing_mode=BillingMode.PREPAID,
        status=SubscriptionStatus.ACTIVE,
        customer__book__test_clock=None,
    )
    return sorted(set(prepaid.values_list("customer", flat=True)))


def burn_prepaid(*, book_id: int) -> None:
    """Burn what a PREPAID customer metered up to now; suspend what its credits do not cover.

    A refill that this brings about lifts the suspension again when it arrives.
    """
    with transaction.atomic():
        book = ledger.lock_book(book_id=book_id, exclusive=True)
        now = now_for(book)
        for subscription, draft in burning.burn_through(book=book, until=now):
            if subscription.billing_mode != BillingMode.PREPAID:
                continue
            subscription.burned_through = now
            subscription.save(update_fields=["burned_through"])
            if draft.arrears > 0 and subscription.status == SubscriptionStatus.ACTIVE:
                subscriptions.set_status(
                    book=book, subscription=subscription, status=SubscriptionStatus.SUSPENDED
                )
        hooks.credits_fell([book.pk])


def reactivate(*, book: Book) -> None:
    """Lift each suspension whose arrears are paid and whose open usage is covered now.

    The credits of the period that were held back are issued. The book must be locked.
    """
    suspended = Subscription.objects.filter(
        customer=book.pk, status=SubscriptionStatus.SUSPENDED
    ).select_related("version__plan", "offering", "customer__book")
    waiting = [subscription for subscription in suspended if not owes(subscription)]
    if not waiting:
        return
    drafts = burning.burn_through(book=book, until=now_for(book))
    uncovered = {subscription.pk for subscription, draft in drafts if draft.arrears > 0}
    for subscription in waiting:
        if subscription.pk not in uncovered:
            subscriptions.set_status(
                book=book, subscription=subscription, status=SubscriptionStatus.ACTIVE
            )
            subscriptions.issue_plan_credits(
                book=book, subscription=subscription, at=subscription.current_starts_at
            )


def owes(subscription: Subscription) -> bool:
    """Tell whether arrears of a settled cycle are open."""
    return Settlement.objects.filter(
        subscription=subscription, arrears__gt=F("arrears_paid")
    ).exists()
