"""Month end of open cycles: usage that credits cover is burned, the rest is accrued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from aforo import money
from aforo.money import ZERO
from billing.calculation.calculation import Calculation
from billing.models import Subscription, SubscriptionStatus
from billing.settlement import usage_burn
from billing.settlement.usage_burn import NOTHING, Counted
from billing.subscriptions import advance_fees
from ledger import posting_rules
from ledger.entries import books as ledger_books
from ledger.entries import entries as ledger_entries
from ledger.models import Book, Entry, LedgerEvent, Posting
from pricing.models import BillingMode


def burn_and_accrue_all(*, until: datetime) -> int:
    """Burn and accrue the usage of every live customer's open cycles up to a month's end; return
    the number of customers.
    """
    open_cycles = Subscription.objects.filter(
        customer__book__livemode=True, current_starts_at__lt=until
    ).exclude(status=SubscriptionStatus.CANCELLED)
    books = sorted(set(open_cycles.values_list("customer", flat=True)))
    for book_id in books:
        counted = usage_burn.count_ahead(book_id=book_id, limit=until, month_end=until)
        with transaction.atomic():
            book = ledger_books.lock_book(book_id=book_id, exclusive=True)
            for step in STEPS:
                step(book, until, counted)
    return len(books)


def burn_and_accrue(book: Book, until: datetime, counted: Counted = NOTHING) -> None:
    """Burn what credits cover of the open cycles, and accrue the rest (docs/decisions.md#d27)."""
    for subscription, draft in usage_burn.burn_through(book=book, until=until, counted=counted):
        # A cycle that is over is settled before the month can be closed, not accrued.
        is_open = subscription.current_ends_at > until
        if is_open and subscription.billing_mode != BillingMode.PREPAID:
            accrue(book=book, subscription=subscription, draft=draft, until=until)


# The steps for each customer at a month's end, in this order; the book is locked.
STEPS: Sequence[Callable[[Book, datetime, Counted], object]] = (
    burn_and_accrue,
    lambda book, until, counted: advance_fees.recognise_fees(book=book, until=until),
)


@money.exact
def accrue(*, book: Book, subscription: Subscription, draft: Calculation, until: datetime) -> None:
    """Accrue the usage up to a month's end that an open cycle will invoice, net of tax, and reverse
    it at the start of the next month, when it is accrued anew or settled.

    Repeated, it posts the difference to what is accrued already. The book must be locked.
    """
    uncovered = sum((payer.net for payer in draft.payers if payer.kind == "INVOICE"), ZERO)
    name = {"subscription": str(subscription.pk), "period": f"{_last_day(until):%Y-%m}"}
    change = money.to_books(uncovered) - _accrued(book, name)
    lines = posting_rules.usage_accrued(change=change, currency=draft.currency)
    if not lines:
        return
    product = subscription.version.plan.code
    accrued = ledger_entries.EntryDraft(
        book=book,
        event=LedgerEvent.USAGE_ACCRUED,
        occurred_at=until,
        document={**name, "product": product, "what": "accrued"},
        lines=lines,
        at_period_end=True,
    )
    taken_back = ledger_entries.EntryDraft(
        book=book,
        event=LedgerEvent.USAGE_ACCRUED,
        occurred_at=until,
        document={
            **name,
            "product": product,
            "what": "taken back",
            "reverses": str(accrued.id),
        },
        lines=posting_rules.reversal(lines),
    )
    ledger_entries.append([accrued, taken_back])


def _last_day(until: datetime) -> date:
    return ledger_entries.day_of(until - timedelta(microseconds=1))


def _accrued(book: Book, name: Mapping[str, str]) -> Decimal:
    """Sum what was accrued of a subscription at a month's end."""
    entries = Entry.objects.filter(
        book=book, event=LedgerEvent.USAGE_ACCRUED, document__contains={**name, "what": "accrued"}
    )
    postings = Posting.objects.filter(entry__in=entries)
    return sum(
        (p.amount if p.debit_id == posting_rules.UNBILLED else -p.amount for p in postings), ZERO
    )
