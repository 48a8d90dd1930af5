"""Bring every open cycle up to a month's end: what credits cover is burned, the rest accrued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from aforo import money
from aforo.money import ZERO
from billing.models import Subscription, SubscriptionStatus
from billing.pipeline.draft import Draft
from billing.services import burning, fees
from billing.services.burning import NOTHING, Counted
from ledger import recipes
from ledger import services as ledger
from ledger.models import Book, Entry, Event, Posting
from pricing.models import BillingMode


def bring_up_to(*, until: datetime) -> int:
    """Bring every live customer's open cycles up to a month's end, customer by customer."""
    open_cycles = Subscription.objects.filter(
        customer__book__livemode=True, current_starts_at__lt=until
    ).exclude(status=SubscriptionStatus.CANCELLED)
    books = sorted(set(open_cycles.values_list("customer", flat=True)))
    for book_id in books:
        counted = burning.count_ahead(book_id=book_id, limit=until, month_end=until)
        with transaction.atomic():
            book = ledger.lock_book(book_id=book_id, exclusive=True)
            for step in STEPS:
                step(book, until, counted)
    return len(books)


def burn_and_accrue(book: Book, until: datetime, counted: Counted = NOTHING) -> None:
    """Burn what credits cover of the open cycles, and accrue the rest (DECISIONS 27)."""
    for subscription, draft in burning.burn_through(book=book, until=until, counted=counted):
        # A cycle that is over is settled before the month can be closed, not accrued.
        is_open = subscription.current_ends_at > until
        if is_open and subscription.billing_mode != BillingMode.PREPAID:
            accrue(book=book, subscription=subscription, draft=draft, until=until)


# What is done for each customer at a month's end, in this order; the book is locked.
STEPS: Sequence[Callable[[Book, datetime, Counted], object]] = (
    burn_and_accrue,
    lambda book, until, counted: fees.recognise_fees(book=book, until=until),
)


@money.exact
def accrue(*, book: Book, subscription: Subscription, draft: Draft, until: datetime) -> None:
    """Accrue what an open cycle will invoice of usage up to a month's end, net of tax, and take it
    back at the start of the next month, when it is accrued anew or settled.

    Repeated, it posts the difference to what is accrued already. The book must be locked.
    """
    uncovered = sum((payer.net for payer in draft.payers if payer.kind == "INVOICE"), ZERO)
    name = {"subscription": str(subscription.pk), "period": f"{_last_day(until):%Y-%m}"}
    change = money.to_books(uncovered) - _accrued(book, name)
    lines = recipes.usage_accrued(change=change, currency=draft.currency)
    if not lines:
        return
    product = subscription.version.plan.code
    accrued = ledger.EntryDraft(
        book=book,
        event=Event.USAGE_ACCRUED,
        occurred_at=until,
        document={**name, "product": product, "what": "accrued"},
        lines=lines,
        at_period_end=True,
    )
    taken_back = ledger.EntryDraft(
        book=book,
        event=Event.USAGE_ACCRUED,
        occurred_at=until,
        document={
            **name,
            "product": product,
            "what": "taken back",
            "reverses": str(accrued.id),
        },
        lines=recipes.reversal(lines),
    )
    ledger.append([accrued, taken_back])


def _last_day(until: datetime) -> date:
    return ledger.day_of(until - timedelta(microseconds=1))


def _accrued(book: Book, name: Mapping[str, str]) -> Decimal:
    """Sum what was accrued of a subscription at a month's end."""
    entries = Entry.objects.filter(
        book=book, event=Event.USAGE_ACCRUED, document__contains={**name, "what": "accrued"}
    )
    postings = Posting.objects.filter(entry__in=entries)
    return sum((p.amount if p.debit_id == recipes.UNBILLED else -p.amount for p in postings), ZERO)
