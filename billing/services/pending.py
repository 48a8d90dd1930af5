"""Metered usage of the open cycles that no credit has paid yet, priced by the same stages."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from billing import pipeline
from billing.models import Settlement, Subscription
from billing.pipeline import load
from billing.pipeline import usage as usages
from billing.services import subscriptions
from ledger.models import Book


def _open(book: Book, now: datetime) -> QuerySet[Subscription]:
    return Subscription.objects.filter(
        customer=book.pk, status__in=subscriptions.LIVE, current_starts_at__lte=now
    ).select_related("customer__book", "version__plan", "offering")


def pending(*, book: Book, now: datetime) -> dict[str, Decimal]:
    """Give what the open cycles would burn now: units by metric code, money by currency.

    Priced as settlement would at this moment, without the minimum spend, which is due at the
    cycle's end only. Reads without a lock: it is a forecast, and nothing rests on it.
    """
    burned: dict[str, Decimal] = {}
    for subscription in _open(book, now):
        cycle = Settlement(
            subscription=subscription,
            book=book,
            cycle=subscription.cycle,
            starts_at=subscription.current_starts_at,
            ends_at=subscription.current_ends_at,
        )
        usage = usages.read_usage(settlement=cycle)
        if not any(metric.events for metric in usage.values()):
            continue
        draft = load.load(
            book=book,
            subscription=subscription,
            settlement=cycle,
            usage=usage,
            full_period=subscriptions.period_of(subscription, subscription.cycle),
        )
        forecast = pipeline.run(pipeline.without_minimum(draft))
        for metric, burns in forecast.unit_burns.items():
            burned[metric] = sum((b.quantity for b in burns), burned.get(metric, Decimal(0)))
        paid = sum(forecast.from_wallet.values(), Decimal(0))
        burned[forecast.currency] = burned.get(forecast.currency, Decimal(0)) + paid
    return burned
