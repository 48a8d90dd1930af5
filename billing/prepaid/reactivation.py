"""Burns of PREPAID customers: they pay for metered usage within minutes, and are suspended when
they cannot.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from aforo.sandbox.services import now_for
from billing.models import Subscription, SubscriptionStatus, UsageEvent
from billing.settlement import advance_billing, usage_burn
from billing.subscriptions import cycles, moves, plan_credits, spend_rules
from billing.usage import rollup_upkeep
from ledger.entries import books
from ledger.models import Book
from pricing.models import BillingMode
from wallets import port

EVERY = timedelta(minutes=5)


def due_books(*, now: datetime) -> list[int]:
    """Return the books of PREPAID customers with usage received since their last burn, or dated
    after it, at most every five minutes; those on a test clock follow their clock.

    Late usage counts before the last burn, so the moment of receipt decides.
    """
    fed = UsageEvent.objects.filter(
        Q(received_at__gte=OuterRef("burned_through"))
        | Q(counted_at__gte=OuterRef("burned_through")),
        book=OuterRef("customer"),
        metric__charges__version=OuterRef("version"),
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

    A refill that this causes lifts the suspension again when it arrives.
    """
    rollup_upkeep.keep_up_book(book_id=book_id)
    counted = usage_burn.count_for_lapse(book_id=book_id)
    with transaction.atomic():
        book = books.lock_book(book_id=book_id, exclusive=True)
        now = now_for(book)
        for subscription, draft in usage_burn.burn_through(book=book, until=now, counted=counted):
            if subscription.billing_mode != BillingMode.PREPAID:
                continue
            subscription.burned_through = now
            subscription.save(update_fields=["burned_through"])
            if draft.arrears > 0 and subscription.status == SubscriptionStatus.ACTIVE:
                moves.move(
                    book=book,
                    subscription=subscription,
                    to=SubscriptionStatus.SUSPENDED,
                    at=now,
                )
        port.billing().credits_fell([book.pk])


def reactivate(*, book: Book) -> None:
    """Start subscriptions that wait for credits, and lift each suspension whose arrears are paid
    and whose open usage and fees in advance are covered now.

    Credits of the period that were held back are issued. The book must be locked.
    """
    now = now_for(book)
    # One that is created without a fee due waits for the start that was set.
    waiting = Subscription.objects.filter(
        Q(status=SubscriptionStatus.CREATED, is_fee_due=True)
        | Q(status=SubscriptionStatus.SUSPENDED),
        customer=book.pk,
    ).select_related("version__plan", "offering", "customer__book")
    idle = [s for s in waiting.order_by("created_at", "pk") if not spend_rules.owes(s)]
    uncovered = set()
    if any(subscription.status == SubscriptionStatus.SUSPENDED for subscription in idle):
        drafts = usage_burn.burn_through(book=book, until=now)
        uncovered = {subscription.pk for subscription, draft in drafts if draft.arrears > 0}
    for subscription in idle:
        if subscription.pk not in uncovered:
            _go_on(book, subscription, now)


def _go_on(book: Book, subscription: Subscription, now: datetime) -> None:
    """Activate a subscription from now, once the fees in advance that it waits for are paid."""
    if subscription.status == SubscriptionStatus.CREATED:
        cycles.begin_at(subscription=subscription, now=now)
        advance_billing.start_if_paid(book=book, subscription=subscription, now=now)
    elif subscription.is_fee_due:
        # A cycle that is over is settled first, which bills the fees of the next one.
        if now < subscription.current_ends_at:
            advance_billing.start_if_paid(book=book, subscription=subscription, now=now)
    else:
        moves.move(book=book, subscription=subscription, to=SubscriptionStatus.ACTIVE, at=now)
        plan_credits.issue_plan_credits(
            book=book, subscription=subscription, at=subscription.current_starts_at
        )
