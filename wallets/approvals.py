"""Decide what waits for a second person: approved, it is done as it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from aforo import actors
from aforo.actors import Actor, ActorKind
from aforo.errors import Conflict, NotFound
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from ledger.controls.policies import Decided, SamePerson
from ledger.entries import books
from wallets.grants import grants
from wallets.models import ApprovalAction, ApprovalRequest
from wallets.operations import approvals
from wallets.top_ups import refunds


class UnknownApproval(NotFound):
    """No request for approval has this id.

    Take the id from the answer that asked for it.
    """

    default_code = "unknown_approval"


class ApprovalExpired(Conflict):
    """The request for approval is older than a week.

    Ask again, under a new key.
    """

    default_code = "approval_expired"


_SERVICES: Final[dict[str, Callable[..., Answer]]] = {
    ApprovalAction.GOODWILL: grants.grant,
    ApprovalAction.REFUND: refunds.refund,
}
_READ: Final[dict[str, Callable[[str], Any]]] = {
    "amount": Decimal,
    "expires_at": datetime.fromisoformat,
    "priority": int,
}


@transaction.atomic
def approve(*, request_id: UUID, by: AbstractBaseUser, now: datetime) -> Answer:
    """Approve a request and do what was asked, in the name of who asked.

    Raises: UnknownApproval; SamePerson; Decided; ApprovalExpired; and whatever the operation
    refuses by now, which leaves the request as it is.
    """
    waiting = _locked(request_id)
    if (waiting.actor_kind, waiting.actor_id) == (ActorKind.STAFF, str(by.pk)):
        raise SamePerson("Another person than who asked for it has to approve.")
    if now_for(waiting.book) >= waiting.expires_at:
        raise ApprovalExpired(f"It waited until {waiting.expires_at:%Y-%m-%d %H:%M}.")
    waiting.approved_by_id, waiting.approved_at = by.pk, now
    waiting.save(update_fields=["approved_by", "approved_at"])
    content = {name: _READ.get(name, str)(value) for name, value in waiting.content.items()}
    asked_by = Actor(ActorKind(waiting.actor_kind), waiting.actor_id)
    with actors.acting(asked_by), approvals.approved():
        return _SERVICES[waiting.action](
            livemode=waiting.book.livemode, key=f"approval:{waiting.pk}", **content
        )


@transaction.atomic
def reject(*, request_id: UUID, by: AbstractBaseUser, now: datetime) -> ApprovalRequest:
    """Reject a request; nothing of it is done.

    Raises: UnknownApproval; Decided.
    """
    waiting = _locked(request_id)
    waiting.rejected_by_id, waiting.rejected_at = by.pk, now
    waiting.save(update_fields=["rejected_by", "rejected_at"])
    return waiting


def _locked(request_id: UUID) -> ApprovalRequest:
    """Lock the book of an undecided request, and read the request after that."""
    found = ApprovalRequest.objects.filter(pk=request_id).first()
    if found is None:
        raise UnknownApproval(f"There is no request for approval {request_id}.")
    books.lock_book(book_id=found.book_id)
    waiting = ApprovalRequest.objects.select_related("book").get(pk=request_id)
    if waiting.status != "PENDING":
        raise Decided(f"The request is {waiting.status}.")
    return waiting
