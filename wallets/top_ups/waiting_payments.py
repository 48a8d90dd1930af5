"""Payments that wait for a gateway's answer: asked about again, later and later."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import F, Q, QuerySet

from wallets.models import TopUp, TopUpChannel, TopUpStatus
from wallets.top_ups import payments


def resolve_pending(*, book_ids: Collection[int] | None = None, now: datetime | None = None) -> int:
    """Ask the gateways about every top-up that waits (of some books); return how many were
    answered.

    With `now`, only about those whose wait is over by then. Safe to repeat and to run beside the
    requests themselves.
    """
    waiting = _waiting() if now is None else _to_ask(now)
    if book_ids is not None:
        waiting = waiting.filter(book__in=book_ids)
    found = waiting.select_related("book__test_clock").order_by("created_at", "pk")
    return sum(payments.resolve_payment(top_up=one)[1] for one in list(found))


def books_to_ask(*, now: datetime) -> list[int]:
    """Return the books with a payment whose gateway is to be asked again by now."""
    return sorted(set(_to_ask(now).values_list("book_id", flat=True)))


def _waiting() -> QuerySet[TopUp]:
    return TopUp.objects.filter(status=TopUpStatus.PENDING, channel=TopUpChannel.GATEWAY)


def _to_ask(now: datetime) -> QuerySet[TopUp]:
    """Return the waiting top-ups whose gateway is due to be asked, by the customer's time."""
    by_clock = Q(ask_again_at__lte=F("book__test_clock__now"))
    in_time = Q(book__test_clock=None, ask_again_at__lte=now)
    return _waiting().filter(Q(ask_again_at=None) | by_clock | in_time)
