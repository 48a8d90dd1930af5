"""Settle cycles: seal, read, run the ten stages, open the next cycle; each cycle exactly once.

A cycle is sealed in a short transaction of its own under the exclusive lock (DECISIONS 13). Its
usage, immutable from then on, is added up without a lock. The stages run under the book's lock,
together with everything they change: burns, invoice, entries, the next cycle and its credits.
Killed between the two, the next call goes on from the sealed cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from aforo.errors import NotFound
from billing import pipeline
from billing.models import (
    Settlement,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
)
from billing.pipeline import load, settle
from billing.pipeline import usage as usages
from billing.services import burning, invoices, prepayment, subscriptions
from ledger import services as ledger
from ledger.models import Book
from wallets import services as wallets

Clock = Callable[[], datetime]


class UnknownSettlement(NotFound):
    default_code = "unknown_settlement"


def _live(book_id: int) -> list[Subscription]:
    """Give a customer's live subscriptions, the one whose cycle ends first in front."""
    return list(
        Subscription.objects.filter(customer=book_id)
        .exclude(status=SubscriptionStatus.CANCELLED)
        .select_related("customer__book", "version__plan", "offering")
        .order_by("current_ends_at", "created_at", "pk")
    )


def due_at(subscription: Subscription) -> datetime:
    """Give when the open cycle is settled: its end plus the plan's grace."""
    return subscription.current_ends_at + timedelta(hours=subscription.version.grace_hours)


def settle_book(*, book_id: int, until: datetime, issued_at: datetime) -> int:
    """Settle every cycle of one customer that is due at `until`, in the order of their ends.

    Commits cycle by cycle; repeating changes nothing. Gives the number of cycles settled.
    """
    settled = 0
    while True:
        due = [s for s in _live(book_id) if due_at(s) <= until]
        if not due:
            break
        settled += settle_cycle(subscription=due[0], now=issued_at)
    invoices.finalize_drafts(book_id=book_id, now=issued_at)
    with transaction.atomic():
        burning.lapse(book=ledger.lock_book(book_id=book_id, exclusive=True), until=until)
    return settled


def settle_cycle(*, subscription: Subscription, now: datetime) -> bool:
    """Settle a subscription's open cycle, which is over; tell whether this call did it."""
    settlement = _seal(subscription, now)
    if settlement is None:
        return False
    usage = usages.read_usage(settlement=settlement)
    with transaction.atomic():
        book = ledger.lock_book(book_id=settlement.book_id)
        settlement.refresh_from_db()
        if settlement.status != SettlementStatus.SEALED:
            return False
        current = Subscription.objects.select_related(
            "customer__book", "version__plan", "offering"
        ).get(pk=subscription.pk)
        # What lapsed within the cycle pays for the usage of its lifetime first.
        burning.lapse_through(book=book, limit=settlement.ends_at - burning.MICROSECOND)
        wallets.release_due(book=book, until=settlement.ends_at)
        draft = pipeline.run(
            load.load(
                book=book,
                subscription=current,
                settlement=settlement,
                usage=usage,
                full_period=subscriptions.period_of(current, settlement.cycle),
            )
        )
        next_ends_at = subscriptions.period_of(current, settlement.cycle + 1).ends_at
        settle.settle(
            book=book, settlement=settlement, draft=draft, now=now, next_ends_at=next_ends_at
        )
        if draft.billing_mode != "PREPAID" and draft.lines:
            invoices.draft_invoice(customer=current.customer, settlement=settlement, draft=draft)
        # A shortfall of the minimum spend is owed, but it does not suspend (DECISIONS 17).
        if draft.arrears > draft.commitment:
            subscriptions.set_status(
                book=book, subscription=current, status=SubscriptionStatus.SUSPENDED
            )
        elif current.status == SubscriptionStatus.SUSPENDED and not prepayment.owes(current):
            subscriptions.set_status(
                book=book, subscription=current, status=SubscriptionStatus.ACTIVE
            )
        _go_on(book, current, settlement)
    invoices.finalize_drafts(book_id=settlement.book_id, now=now)
    return True


def _seal(subscription: Subscription, now: datetime) -> Settlement | None:
    """Close the open cycle to usage, under the exclusive lock; None when it is no longer due."""
    with transaction.atomic():
        ledger.lock_book(book_id=subscription.customer_id, exclusive=True)
        current = Subscription.objects.get(pk=subscription.pk)
        if current.cycle != subscription.cycle:
            return None
        settlement, _ = Settlement.objects.get_or_create(
            subscription=current,
            cycle=current.cycle,
            defaults={
                "book_id": current.customer_id,
                "starts_at": current.current_starts_at,
                "ends_at": current.current_ends_at,
                "sealed_at": now,
                "currency": subscription.version.plan.currency,
            },
        )
        current.usage_closed_through = current.current_ends_at
        current.save(update_fields=["usage_closed_through"])
        return settlement


def _go_on(book: Book, subscription: Subscription, settlement: Settlement) -> None:
    """Do what is due after Settle: the next cycle, rollover, lapses, its credits."""
    subscriptions.open_next_cycle(subscription)
    wallets.roll_over(
        book=book,
        cause=subscriptions.plan_cause(subscription),
        at=settlement.ends_at,
        until=subscription.current_ends_at,
    )
    burning.lapse(book=book, until=settlement.ends_at)
    subscriptions.issue_plan_credits(book=book, subscription=subscription, at=settlement.ends_at)


def get_settlement(*, livemode: bool, settlement_id: UUID) -> Settlement:
    """Find a settlement.

    Raises: UnknownSettlement.
    """
    found = Settlement.objects.filter(Q(pk=settlement_id), book__livemode=livemode)
    settlement = found.select_related("subscription__customer__book").first()
    if settlement is None:
        raise UnknownSettlement(f"There is no settlement {settlement_id}.")
    return settlement
