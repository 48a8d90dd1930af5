"""Final overage: what a reservation promised and captures after the last subscription of its
currency has ended.

No cycle is left to bill it: the subscription that ended last is followed by a cycle that serves no
time, as a paused one is when it ends. Credits that came meanwhile pay first.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from aforo.sandbox.services import now_for
from billing.lifecycle import changes
from billing.models import Settlement, SettlementStatus, Subscription, SubscriptionStatus
from billing.subscriptions import cycles
from billing.usage import rollup_upkeep
from ledger.entries import books
from ledger.models import Book
from pricing.models import BillingMode
from wallets.lots import queries
from wallets.models import Debit


def due_books(*, clock_id: UUID | None = None) -> list[int]:
    """Return the books with overage that no cycle will bill, of a test clock or of none."""
    due = _due().filter(book__test_clock=clock_id)
    return sorted(set(due.values_list("book_id", flat=True)))


def bill(*, book_id: int) -> int:
    """Bill the overage that is left; return in how many currencies. Takes its own locks."""
    rollup_upkeep.keep_up_book(book_id=book_id)
    with transaction.atomic():
        book = books.lock_book(book_id=book_id, exclusive=True)
        currencies = set(_due().filter(book=book).values_list("wallet__currency", flat=True))
        for currency in sorted(currencies):
            _bill(book, currency)
    return len(currencies)


def _bill(book: Book, currency: str) -> None:
    """Bill the overage by a cycle after the subscription that ended last, whose end stays as it
    was.
    """
    ended = _overrunning().filter(customer=book.pk, version__plan__currency=currency)
    last = ended.select_related("customer__book", "version__plan", "offering").latest(
        "cancelled_at", "pk"
    )
    ended_at, cancel_at = last.cancelled_at, last.cancel_at
    assert ended_at is not None, "what is cancelled has ended"
    now = now_for(book)
    # No usage is of this cycle, that of this very instant included.
    last.usage_closed_through = now + cycles.MOMENT
    last.save(update_fields=["usage_closed_through"])
    cycles.pause_cycle(subscription=last, at=ended_at)
    changes.end_paused(book, last, now)
    Subscription.objects.filter(pk=last.pk).update(cancelled_at=ended_at, cancel_at=cancel_at)


def _overrunning() -> QuerySet[Subscription]:
    """Return the subscriptions whose customers may run into overage."""
    return Subscription.objects.exclude(billing_mode=BillingMode.PREPAID)


def _due() -> QuerySet[Debit]:
    """Return the debits with open overage, where no subscription is left whose cycles bill it."""
    mine = {"customer": OuterRef("book"), "version__plan__currency": OuterRef("wallet__currency")}
    unsettled = Settlement.objects.filter(
        book=OuterRef("book"),
        currency=OuterRef("wallet__currency"),
        status=SettlementStatus.SEALED,
    )
    return queries.with_open_overage().filter(
        Exists(_overrunning().filter(**mine)),
        ~Exists(Subscription.objects.filter(**mine).exclude(status=SubscriptionStatus.CANCELLED)),
        ~Exists(unsettled),
        wallet__isnull=False,
    )
