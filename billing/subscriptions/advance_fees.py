"""Fees in advance are earned by the days of their period (docs/decisions.md#d27)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from aforo import money
from aforo.database import joined
from aforo.money import ZERO, plain
from aforo.periods import Period
from billing.models import AdvanceFee, Subscription
from billing.subscriptions import earned_days
from ledger import posting_rules
from ledger.entries import books, entries
from ledger.models import Book, LedgerEvent
from ledger.periods import month_ends
from pricing import catalogue
from pricing.models import CreditKind, GrantTemplate, Metric
from pricing.terms import PerUnit

INSTANT = timedelta(microseconds=1)


def recognise_fees(*, book: Book, until: datetime) -> int:
    """Recognise the fees of the days up to `until`, cumulatively, each month's days in that month;
    the last day takes the rest.

    The book must be locked. Repeating posts nothing twice. Return the number of entries.
    """
    fees = joined.select(
        AdvanceFee,
        ["subscription__version__plan"],
        """
        WHERE t.book_id = %s AND t.recognised < t.amount AND t.starts_at < %s
        ORDER BY t.starts_at, t.id
        """,
        [book.pk, until],
    )
    drafts = []
    for fee in fees:
        period = Period(fee.starts_at, fee.ends_at)
        for moment in (*month_ends.between(fee.recognised_through, until), until):
            earned = earned_days.earned(fee=fee.amount, period=period, until=moment)
            change, fee.recognised = earned - fee.recognised, max(earned, fee.recognised)
            if change > ZERO:
                drafts.append(_earned(book, fee, change, moment))
        fee.recognised_through = min(until, fee.ends_at)
        fee.save(update_fields=["recognised", "recognised_through"])
    entries.append(drafts)
    return len(drafts)


def _earned(book: Book, fee: AdvanceFee, change: Decimal, until: datetime) -> entries.EntryDraft:
    midnight = month_ends.midnight(entries.day_of(until))
    return entries.EntryDraft(
        book=book,
        event=LedgerEvent.FEE_RECOGNISED,
        # The last day that is served is over then, so a month's last day is in it.
        occurred_at=fee.ends_at if until >= fee.ends_at else midnight,
        document={
            "settlement": str(fee.settlement_id),
            "subscription": str(fee.subscription_id),
            "product": fee.subscription.version.plan.code,
            "earned": plain(change),
            "of": plain(fee.amount),
        },
        lines=posting_rules.fee_earned(amount=change, currency=fee.currency),
        at_period_end=True,
    )


def recognise_due(*, book_id: int, until: datetime) -> int:
    """Recognise a customer's fees of the days up to `until`, in a transaction of its own."""
    with transaction.atomic():
        return recognise_fees(book=books.lock_book(book_id=book_id), until=until)


def due_books(*, now: datetime) -> list[int]:
    """Return the books with another day of a fee to recognise, those on a test clock left out."""
    today = month_ends.midnight(entries.day_of(now))
    return _unearned(AdvanceFee.objects.filter(book__test_clock=None), today)


def due_on_clock(*, clock_id: UUID, now: datetime) -> list[int]:
    """Return the books of a test clock with another day of a fee to recognise."""
    today = month_ends.midnight(entries.day_of(now))
    return _unearned(AdvanceFee.objects.filter(book__test_clock=clock_id), today)


def _unearned(fees: QuerySet[AdvanceFee], today: datetime) -> list[int]:
    """Return the books whose fees were last recognised before today began."""
    due = fees.filter(recognised__lt=F("amount"), recognised_through__lt=today)
    return sorted(set(due.values_list("book", flat=True)))


def shares(
    *, subscription: Subscription, granted: Sequence[tuple[GrantTemplate, Decimal]]
) -> list[Decimal]:
    """Return the part of the cycle's fees in advance that each grant of the open cycle carries, by
    stand-alone selling price, never more than that price (docs/decisions.md#d29).

    100 for 100 cash and 20,000 tokens at .002: 71.43 and 28.57. Without a fee, and for promo or
    units without a price, nothing.
    """
    prices = [_selling_price(template, quantity) for template, quantity in granted]
    priced = [price for price in prices if price > 0]
    fees = AdvanceFee.objects.filter(subscription=subscription, cycle=subscription.cycle)
    fee = fees.first() if priced else None
    if fee is None:
        return [ZERO for _ in granted]
    parts = iter(money.split(min(sum(priced, ZERO), fee.amount), priced))
    return [next(parts) if price > 0 else ZERO for price in prices]


def _selling_price(template: GrantTemplate, quantity: Decimal) -> Decimal:
    if template.kind == CreditKind.PROMO:
        return ZERO
    unit = template.ssp_unit_price
    if unit is None:
        unit = Decimal(1) if template.metric_id is None else ZERO
    return money.to_books(quantity * unit)


def unit_price(book: Book, currency: str, metric: Metric) -> Decimal | None:
    """Return what one unit of a metric costs a customer alone by the oldest live subscription that
    has a price: the plan's stated price of the units that it grants, else its charge for one.
    """
    live = Subscription.objects.filter(
        customer=book.pk, version__plan__currency=currency, cancelled_at=None
    ).select_related("version")
    for subscription in live.order_by("starts_at", "created_at", "pk"):
        stated = GrantTemplate.objects.filter(
            version=subscription.version, metric=metric, ssp_unit_price__gt=0
        )
        first = stated.order_by("position", "pk").first()
        price = _charged(subscription, metric) if first is None else first.ssp_unit_price
        if price:
            return price
    return None


def _charged(subscription: Subscription, metric: Metric) -> Decimal | None:
    """Return what a plan charges for one unit of a metric, where that is the same for each."""
    for charge in catalogue.charges_of(subscription.version):
        weight = dict(charge.feeds).get(metric.code)
        if weight is not None and isinstance(charge.terms, PerUnit):
            return money.to_books(charge.terms.unit_price * weight)
    return None


def lower_fee(*, subscription: Subscription, amount: Decimal) -> None:
    """Lower the fee by what became the consideration of credits: it is earned as they burn."""
    if amount > 0:
        AdvanceFee.objects.filter(subscription=subscription, cycle=subscription.cycle).update(
            amount=F("amount") - amount
        )


def give_up(*, book: Book, fee: AdvanceFee, amount: Decimal, now: datetime) -> Decimal:
    """Lower a fee by what a document takes back of it; return the part that was not yet earned.

    What is left is earned by the same days: of 120 for 2026 less 30 on 1 February, 27.45 were not
    earned, and February is 90 x 28 / 365. The book must be locked.
    """
    recognise_fees(book=book, until=now)
    fee.refresh_from_db(fields=["amount", "recognised"])
    lowered = min(amount, fee.amount)
    earned = money.proportion(lowered, fee.recognised, fee.amount) if lowered else ZERO
    fee.amount -= lowered
    fee.recognised -= earned
    fee.save(update_fields=["amount", "recognised"])
    return lowered - earned


def end_fees(*, book: Book, subscription: Subscription, at: datetime) -> None:
    """Recognise the rest of the fees in advance: the subscription has ended, and nothing is paid
    back. The book must be locked.
    """
    AdvanceFee.objects.filter(subscription=subscription, ends_at__gt=at, starts_at__lte=at).update(
        ends_at=Greatest(at, F("starts_at") + INSTANT)
    )
    recognise_fees(book=book, until=at + INSTANT)
