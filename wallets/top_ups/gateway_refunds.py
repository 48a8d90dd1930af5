"""Money that gateways pay back: committed with the refund, asked for after it, concluded once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from aforo import money
from aforo.sandbox.services import now_for
from ledger import posting_rules
from ledger.entries import books, entries
from ledger.models import LedgerEvent
from wallets.models import GatewayRefund, GatewayRefundStatus, TopUp, TopUpChannel
from wallets.top_ups import gateway, payments, ways
from wallets.top_ups.gateway import SANDBOX, GatewayOutcome, GatewayUnreachable

logger = logging.getLogger(__name__)


def plan(*, top_up: TopUp, refund_id: UUID, amount: Decimal, now: datetime) -> GatewayRefund | None:
    """Write down what a gateway is to pay back of a top-up, if one took its payment.

    Runs in the transaction of the refund; who asks the gateway comes after its commit.
    """
    if top_up.channel != TopUpChannel.GATEWAY or amount == 0:
        return None
    return GatewayRefund.objects.create(
        top_up=top_up,
        refund_id=refund_id,
        currency=top_up.currency,
        amount=amount,
        status=GatewayRefundStatus.PENDING,
        created_at=now,
    )


def resolve_of(refund_id: UUID) -> int:
    """Ask the gateway about what a refund pays back; return how much of it was answered."""
    return _resolve_all(_waiting().filter(refund_id=refund_id))


def resolve_pending(*, book_ids: Collection[int] | None = None, now: datetime | None = None) -> int:
    """Ask the gateways about everything that is to be paid back (of some books); return how much of
    it was answered.

    With `now`, only about that whose wait is over by then. Safe to repeat.
    """
    found = _waiting() if now is None else _to_ask(now)
    if book_ids is not None:
        found = found.filter(top_up__book__in=book_ids)
    return _resolve_all(found)


def books_to_ask(*, now: datetime) -> list[int]:
    """Return the books with money to be paid back whose gateway is to be asked by now."""
    return sorted(set(_to_ask(now).values_list("top_up__book_id", flat=True)))


def due_on_clock(*, clock_id: UUID) -> Iterator[tuple[datetime, int, tuple[object, ...]]]:
    """Return when the sandbox's gateway has paid back to customers of a test clock."""
    found = _waiting().filter(top_up__book__test_clock=clock_id).select_related("top_up__book")
    for refund in found:
        _, asked = _asked(refund)
        yield SANDBOX.refund_answers_at(asked), refund.top_up.book_id, ("gateway refund", refund.pk)


def _waiting() -> QuerySet[GatewayRefund]:
    return GatewayRefund.objects.filter(status=GatewayRefundStatus.PENDING)


def _to_ask(now: datetime) -> QuerySet[GatewayRefund]:
    by_clock = Q(ask_again_at__lte=F("top_up__book__test_clock__now"))
    in_time = Q(top_up__book__test_clock=None, ask_again_at__lte=now)
    return _waiting().filter(Q(ask_again_at=None) | by_clock | in_time)


def _resolve_all(found: QuerySet[GatewayRefund]) -> int:
    waiting = found.select_related("top_up__book__test_clock").order_by("created_at", "pk")
    return sum(_resolve(refund) for refund in list(waiting))


def _resolve(refund: GatewayRefund) -> bool:
    """Ask the gateway about one, and record its outcome, once whoever asks; return whether this
    call concluded it.
    """
    outcome = _ask(refund)
    if outcome == GatewayOutcome.PENDING:
        wait = payments.wait_after(refund.asked)
        _waiting().filter(pk=refund.pk, asked=refund.asked).update(
            asked=refund.asked + 1, ask_again_at=now_for(refund.top_up.book) + wait
        )
        return False
    return _conclude(refund, is_paid=outcome == GatewayOutcome.SUCCEEDED)


def _ask(refund: GatewayRefund) -> GatewayOutcome:
    try:
        service, asked = _asked(refund)
        return service.refund(asked, now=now_for(refund.top_up.book))
    except GatewayUnreachable:
        logger.warning("The gateway gave no answer about refund %s", refund.pk)
    except Exception:
        # Whatever broke there, the outcome of the refund is unknown.
        logger.exception("The gateway failed about refund %s", refund.pk)
    return GatewayOutcome.PENDING


def _asked(refund: GatewayRefund) -> tuple[gateway.Gateway, gateway.GatewayRefund]:
    service, charge = payments.charge_of(refund.top_up)
    return service, gateway.GatewayRefund(refund.pk, charge, refund.amount, refund.created_at)


def _conclude(refund: GatewayRefund, *, is_paid: bool) -> bool:
    """Record that it was paid back, or that it stays owed."""
    with transaction.atomic():
        book = books.lock_book(book_id=refund.top_up.book_id)
        current = GatewayRefund.objects.select_related("top_up").get(pk=refund.pk)
        if current.status != GatewayRefundStatus.PENDING:
            return False
        current.concluded_at = now_for(book)
        current.status = GatewayRefundStatus.SUCCEEDED if is_paid else GatewayRefundStatus.FAILED
        if not is_paid:
            (current.entry,) = entries.append(
                [
                    entries.EntryDraft(
                        book=book,
                        event=LedgerEvent.REFUND,
                        occurred_at=current.concluded_at,
                        document={
                            "refund": str(current.refund_id),
                            "gateway_refund": str(current.pk),
                            "top_up": str(current.top_up_id),
                            "declined": money.plain(current.amount),
                            "currency": current.currency,
                        },
                        lines=posting_rules.refund_failed(
                            amount=current.amount,
                            currency=current.currency,
                            paid_from=ways.account_of(current.top_up),
                        ),
                    )
                ]
            )
        current.save(update_fields=["status", "concluded_at", "entry"])
        return True
