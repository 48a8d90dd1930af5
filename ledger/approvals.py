"""What waits for a second person: whatever is above the limit of who asks for it; nothing is done
until somebody else has approved it (docs/decisions.md#d580).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, Group
from django.db.models import Q, QuerySet

from aforo import actors, money
from aforo.actors import ActorKind
from aforo.errors import Conflict
from aforo.protocol.idempotency import Answer, canonical
from aforo.sandbox.services import now_for
from ledger.models import ApprovalLimit, ApprovalRequest, Book

WAITS: Final = timedelta(days=7)

Make = Callable[[Book, UUID], dict[str, object] | Answer]


class AboveAuthority(Conflict):
    """What is to be approved is above the limit of every role that the approver has.

    Have it approved by somebody with a higher limit.
    """

    default_code = "above_authority"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to do: `content` is what the service behind `operation` takes."""

    action: str
    operation: str
    content: object
    livemode: bool
    now: datetime
    amount: Decimal | None = None
    currency: str = ""
    book: Book | None = None


def ask(asked: Asked) -> ApprovalRequest | None:
    """Write a request for approval where what is asked is above the limit of who acts.

    Return None where it is to be done at once: it is within the limit, or approved.
    """
    if not is_above(asked):
        return None
    return ApprovalRequest.objects.create(
        livemode=asked.livemode,
        book=asked.book,
        action=asked.action,
        operation=asked.operation,
        amount=asked.amount,
        currency=asked.currency,
        content=canonical(asked.content),
        requested_at=asked.now,
        expires_at=asked.now + WAITS,
    )


def ask_in_book(
    book: Book, *, action: str, operation: str, content: object, amount: Decimal, currency: str
) -> Answer | None:
    """Return the answer (202) to what waits for approval in a customer's book; None where it is to
    be done at once. The book must be locked.
    """
    waiting = ask(
        Asked(action, operation, content, book.livemode, now_for(book), amount, currency, book)
    )
    return None if waiting is None else answer(waiting)


def answer(waiting: ApprovalRequest) -> Answer:
    """Return the answer to a request that waits."""
    return Answer.fresh(202, {"approval": waiting.pk, "status": waiting.status})


def within_limit(
    make: Make, *, action: str, operation: str, content: object, amount: Decimal, currency: str
) -> Make:
    """Return what makes an operation, or asks for its approval (202) where it is above the limit of
    who asks.
    """

    def made(book: Book, operation_id: UUID) -> dict[str, object] | Answer:
        waiting = ask_in_book(
            book, action=action, operation=operation, content=content, amount=amount,
            currency=currency,
        )  # fmt: skip
        return waiting or make(book, operation_id)

    return made


def check_authority(
    by: AbstractBaseUser,
    *,
    action: str,
    livemode: bool,
    amount: Decimal | None,
    currency: str,
    now: datetime,
) -> None:
    """Check that a person may approve so much: at most the highest limit of their roles, where
    these have one.

    Raises: AboveAuthority.
    """
    if amount is None:
        return
    in_force = _in_force(action, livemode=livemode, currency=currency, now=now)
    own = _latest(in_force.filter(role__in=Group.objects.filter(user=by.pk)))
    if own and amount > (most := max(each.amount for each in own)):
        detail = f"Your roles approve up to {money.plain(most)} {currency}."
        raise AboveAuthority(detail)


def is_above(asked: Asked) -> bool:
    """Return whether what is asked needs a second person: it is above the limits of who acts, and
    not approved. Without a limit nothing is.
    """
    if actors.approval() is not None:
        return False
    actor = actors.current()
    whose = Q(key=None, role=None)
    if actor.kind is ActorKind.API_KEY:
        whose |= Q(key=int(actor.id))
    elif actor.kind is ActorKind.STAFF:
        whose |= Q(role__in=Group.objects.filter(user=int(actor.id)))
    in_force = _in_force(
        asked.action, livemode=asked.livemode, currency=asked.currency, now=asked.now
    )
    limits = _latest(in_force.filter(whose))
    own = [each for each in limits if each.key_id is not None or each.role_id is not None]
    if not limits or asked.amount is None:
        return bool(limits)
    return asked.amount > max(each.amount for each in own or limits)


def _in_force(
    action: str, *, livemode: bool, currency: str, now: datetime
) -> QuerySet[ApprovalLimit]:
    return ApprovalLimit.objects.filter(
        livemode=livemode,
        action=action,
        currency=currency,
        starts_at__lte=now,
        approved_at__isnull=False,
    )


def _latest(limits: Iterable[ApprovalLimit]) -> list[ApprovalLimit]:
    """Return the last limit of each key, of each role, and of all."""
    in_order = sorted(limits, key=lambda each: (each.starts_at, each.pk))
    return list({(each.key_id, each.role_id): each for each in in_order}.values())
