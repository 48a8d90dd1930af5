"""Operations above a limit: they wait for a second person, and nothing is done until then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Q

from aforo import actors
from aforo.actors import ActorKind
from aforo.protocol.idempotency import Answer, canonical
from aforo.sandbox.services import now_for
from ledger.models import Book
from wallets.models import ApprovalLimit, ApprovalRequest

WAITS: Final = timedelta(days=7)
_APPROVED: ContextVar[bool] = ContextVar("approved", default=False)

Make = Callable[[Book, UUID], dict[str, object]]


@contextmanager
def approved() -> Iterator[None]:
    """Run what is inside as approved by a second person."""
    before = _APPROVED.set(True)
    try:
        yield
    finally:
        _APPROVED.reset(before)


def within_limit(
    make: Make, *, action: str, amount: Decimal, currency: str, content: object
) -> Callable[[Book, UUID], dict[str, object] | Answer]:
    """Return what makes an operation, or asks for its approval (202) where it is above the limit of
    who asks.
    """

    def made(book: Book, operation_id: UUID) -> dict[str, object] | Answer:
        if _APPROVED.get() or not _is_above(book, action, amount, currency):
            return make(book, operation_id)
        now = now_for(book)
        waiting = ApprovalRequest.objects.create(
            book=book,
            action=action,
            amount=amount,
            currency=currency,
            content=canonical(content),
            requested_at=now,
            expires_at=now + WAITS,
        )
        return Answer.fresh(202, {"approval": waiting.pk, "status": waiting.status})

    return made


def _is_above(book: Book, action: str, amount: Decimal, currency: str) -> bool:
    actor = actors.current()
    key = int(actor.id) if actor.kind is ActorKind.API_KEY else None
    in_force = ApprovalLimit.objects.filter(
        Q(key=None) | Q(key=key),
        livemode=book.livemode,
        action=action,
        currency=currency,
        starts_at__lte=now_for(book),
        approved_at__isnull=False,
    )
    limits = sorted(in_force, key=lambda each: (each.key_id is not None, each.starts_at, each.pk))
    return bool(limits) and amount > limits[-1].amount
