"""What gateways say about disputes, taken in whatever order and however often they say it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from aforo.errors import DomainError
from aforo.sandbox.services import now_for
from wallets.models import DisputeState, TopUp, TopUpChannel
from wallets.top_ups import disputes, payments
from wallets.top_ups.gateway import SANDBOX, DisputeNotice
from wallets.top_ups.sales import get_top_up

logger = logging.getLogger(__name__)

_ENDED = (DisputeState.WON, DisputeState.LOST)


def receive(*, livemode: bool, top_up_id: UUID, notice: DisputeNotice) -> bool:
    """Record what a gateway says about the dispute of a payment; return whether that was news.

    A notice that is told again, or comes after the end, changes nothing. An end that comes before
    the beginning was told brings that with it.

    Raises: UnknownTopUp, NotDisputable, Invalid.
    """
    known = get_top_up(livemode=livemode, top_up_id=top_up_id).dispute
    if known in {*_ENDED, notice.state}:
        if notice.state not in {known, DisputeState.OPENED}:
            logger.warning("Top-up %s is %s; told that it is %s", top_up_id, known, notice.state)
        return False
    if not known and notice.state != DisputeState.OPENED:
        _record(livemode, top_up_id, DisputeNotice(DisputeState.OPENED, notice.amount))
    return _record(livemode, top_up_id, notice)


def _record(livemode: bool, top_up_id: UUID, notice: DisputeNotice) -> bool:  # noqa: FBT001
    """Record a step, once for ever: the key is the payment's and the step's."""
    is_won = notice.state == DisputeState.WON
    answer = disputes.dispute(
        livemode=livemode,
        top_up_id=top_up_id,
        state=notice.state,
        key=f"gateway-dispute-{top_up_id}-{notice.state}",
        amount=None if is_won else notice.amount,
        fee=notice.fee,
    )
    return not answer.replayed


def follow_sandbox(*, book_ids: Collection[int] | None = None) -> int:
    """Record what the sandbox's gateway says by now about the payments it took; return how much of
    it was news. Safe to repeat.
    """
    told = 0
    for top_up, at, notice in _said(book_ids):
        if at <= now_for(top_up.book) and _is_news(top_up, notice):
            try:
                told += receive(livemode=False, top_up_id=top_up.pk, notice=notice)
            except DomainError as refusal:
                # Refunded before it was contested, for example: it would be refused for ever.
                logger.warning("Top-up %s: %s", top_up.pk, refusal.detail)
    return told


def sandbox_books() -> list[int]:
    """Return the books with payments of the sandbox about which something is to be said by now."""
    return sorted(
        {
            top_up.book_id
            for top_up, at, notice in _said(None)
            if at <= now_for(top_up.book) and _is_news(top_up, notice)
        }
    )


def due_on_clock(*, clock_id: UUID) -> Iterator[tuple[datetime, int, tuple[object, ...]]]:
    """Return when the sandbox's gateway says something to customers of a test clock."""
    found = _contested().filter(book__test_clock=clock_id)
    for top_up, at, notice in _told_of(found):
        if _is_news(top_up, notice):
            yield at, top_up.book_id, ("dispute", top_up.pk, notice.state)


def _contested() -> QuerySet[TopUp]:
    """Return the payments whose dispute is still to open or to end."""
    return TopUp.objects.filter(
        book__livemode=False,
        channel=TopUpChannel.GATEWAY,
        method__in=SANDBOX.disputing_methods(),
        paid_at__isnull=False,
        refunded=0,
    ).exclude(dispute__in=_ENDED)


def _said(book_ids: Collection[int] | None) -> Iterator[tuple[TopUp, datetime, DisputeNotice]]:
    found = _contested()
    return _told_of(found if book_ids is None else found.filter(book__in=book_ids))


def _told_of(found: QuerySet[TopUp]) -> Iterator[tuple[TopUp, datetime, DisputeNotice]]:
    for top_up in list(found.select_related("book__test_clock").order_by("created_at", "pk")):
        _, charge = payments.charge_of(top_up)
        assert top_up.paid_at is not None, "the filter asks for it"
        for at, notice in SANDBOX.notices(charge, paid_at=top_up.paid_at):
            yield top_up, at, notice


def _is_news(top_up: TopUp, notice: DisputeNotice) -> bool:
    return top_up.dispute != notice.state
