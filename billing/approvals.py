"""Decide what waits for a second person: approved, it is done as it was asked for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from aforo import actors
from aforo.actors import Actor, ActorKind, Approval
from aforo.errors import Conflict, NotFound
from aforo.sandbox.services import now_for
from billing.adjustments import corrections, credit_notes
from billing.adjustments.corrections import Correction
from billing.adjustments.noted_lines import LinePart
from billing.invoicing import customer_credit, payment_files, tax_rates, write_offs
from ledger import account_mapping, approvals, exchange_rates
from ledger.controls.policies import Decided, SamePerson
from ledger.entries import books
from ledger.exchange_rates import DayRate
from ledger.models import ApprovalRequest, GlMapping
from wallets.grants import grants, opening_balances
from wallets.grants.opening_balances import OpeningBalance
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


def approve(*, request_id: UUID, by: AbstractBaseUser, now: datetime) -> object:
    """Approve a request and do what was asked, in the name of who asked; the entries name who
    approved. Return what the service returns.

    Files are imported after that, part by part, as they are without approval; what stops half-way
    is asked for again, and goes on where it stopped. Raises: UnknownApproval; SamePerson; Decided;
    ApprovalExpired; AboveAuthority; and whatever the operation refuses by now, which leaves the
    request as it is.
    """
    with transaction.atomic():
        waiting = _approved(request_id, by, now)
        if waiting.operation not in _IN_PARTS:
            return _carry_out(waiting, now)
    return _carry_out(waiting, now)


def _approved(request_id: UUID, by: AbstractBaseUser, now: datetime) -> ApprovalRequest:
    """Check who approves and that it still waits, and write the approval."""
    waiting = _undecided(request_id)
    if (waiting.actor_kind, waiting.actor_id) == (ActorKind.STAFF, str(by.pk)):
        raise SamePerson("Another person than who asked for it has to approve.")
    here = now if waiting.book is None else now_for(waiting.book)
    if here >= waiting.expires_at:
        raise ApprovalExpired(f"It waited until {waiting.expires_at:%Y-%m-%d %H:%M}.")
    approvals.check_authority(
        by,
        action=waiting.action,
        livemode=waiting.livemode,
        amount=waiting.amount,
        currency=waiting.currency,
        now=here,
    )
    _decide(waiting, approved_by_id=by.pk, approved_at=now)
    return waiting


def _carry_out(waiting: ApprovalRequest, now: datetime) -> object:
    asked_by = Actor(ActorKind(waiting.actor_kind), waiting.actor_id)
    approval = Approval(str(waiting.pk), Actor(ActorKind.STAFF, str(waiting.approved_by_id)))
    why = f"Approval {approval.id} by {approval.by}"
    with actors.acting(asked_by), actors.approved(approval), actors.because(why):
        return _DO[waiting.operation](waiting, _read(waiting.content), now)


def get_request(*, livemode: bool, request_id: UUID) -> ApprovalRequest:
    """Return a request for approval.

    Raises: UnknownApproval.
    """
    found = ApprovalRequest.objects.select_related("book").filter(livemode=livemode, pk=request_id)
    if (request := found.first()) is None:
        raise UnknownApproval(f"There is no request for approval {request_id}.")
    return request


@transaction.atomic
def reject(*, request_id: UUID, by: AbstractBaseUser, now: datetime) -> ApprovalRequest:
    """Reject a request; nothing of it is done. Who asked may withdraw it in this way too.

    Raises: UnknownApproval; Decided.
    """
    waiting = _undecided(request_id)
    _decide(waiting, rejected_by_id=by.pk, rejected_at=now)
    return waiting


def _undecided(request_id: UUID) -> ApprovalRequest:
    """Lock the book of an undecided request, if it is of one, and read the request after that."""
    found = ApprovalRequest.objects.filter(pk=request_id).first()
    if found is None:
        raise UnknownApproval(f"There is no request for approval {request_id}.")
    if found.book_id is not None:
        books.lock_book(book_id=found.book_id)
    waiting = ApprovalRequest.objects.select_related("book").get(pk=request_id)
    if waiting.status != "PENDING":
        raise Decided(f"The request is {waiting.status}.")
    return waiting


def _decide(waiting: ApprovalRequest, **decision: object) -> None:
    """Write a decision, once: whoever comes second waits for the first.

    Raises: Decided.
    """
    undecided = ApprovalRequest.objects.filter(pk=waiting.pk, approved_at=None, rejected_at=None)
    if not undecided.update(**decision):
        raise Decided("The request was decided meanwhile.")
    waiting.refresh_from_db()


Said = Mapping[str, Any]
Do = Callable[[ApprovalRequest, Said, datetime], object]


def _keyed(
    service: Callable[..., object], waiting: ApprovalRequest, said: Said, now: datetime
) -> object:
    """Do an operation in a customer's book, under a key of its own."""
    return service(livemode=waiting.livemode, key=f"approval:{waiting.pk}", **said)


def _in_mode(
    service: Callable[..., object], waiting: ApprovalRequest, said: Said, now: datetime
) -> object:
    return service(livemode=waiting.livemode, now=now, **said)


def _import_balances(waiting: ApprovalRequest, said: Said, now: datetime) -> object:
    return opening_balances.import_all(livemode=waiting.livemode, **said)


def _import_payments(waiting: ApprovalRequest, said: Said, now: datetime) -> object:
    content = base64.b64decode(said["file"])
    return payment_files.import_file(livemode=waiting.livemode, content=content, now=now)


def _write_rule(waiting: ApprovalRequest, said: Said, now: datetime) -> object:
    return account_mapping.write_rule(GlMapping(**said))


def _delete_rule(waiting: ApprovalRequest, said: Said, now: datetime) -> object:
    account_mapping.delete_rule(GlMapping(**said))
    return None


def _record_rates(waiting: ApprovalRequest, said: Said, now: datetime) -> object:
    return exchange_rates.record(**said)


# What is done by the name of the operation.
_DO: Final[Mapping[str, Do]] = {
    grants.GRANT: partial(_keyed, grants.grant),
    refunds.REFUND: partial(_keyed, refunds.refund),
    customer_credit.REFUND: partial(_keyed, customer_credit.refund_credit),
    write_offs.WRITE_OFF: partial(_keyed, write_offs.write_off),
    corrections.ADJUST: partial(_keyed, corrections.adjust_settlement),
    credit_notes.CREDIT: partial(_keyed, credit_notes.credit),
    tax_rates.ADD: partial(_in_mode, tax_rates.create_tax_rate),
    tax_rates.END: partial(_in_mode, tax_rates.end_tax_rate),
    opening_balances.IMPORT: _import_balances,
    payment_files.IMPORT: _import_payments,
    account_mapping.WRITE: _write_rule,
    account_mapping.DELETE: _delete_rule,
    exchange_rates.RECORD: _record_rates,
}


# What commits part by part, from several customers, whose books no one transaction may lock.
_IN_PARTS: Final = {opening_balances.IMPORT, payment_files.IMPORT}


def _read(content: Said) -> dict[str, Any]:
    """Read what was asked from its canonical form, in which every value is text or a truth."""
    return {name: _READ.get(name, _as_it_is)(value) for name, value in content.items()}


def _as_it_is(value: Any) -> Any:
    return value


def _rows(row: Callable[..., object]) -> Callable[[list[Said]], list[object]]:
    return lambda rows: [row(**_read(each)) for each in rows]


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("amount", "percent", "quantity", "carrying", "rate"), Decimal),
    **dict.fromkeys(("at", "expires_at", "valid_from", "valid_until"), datetime.fromisoformat),
    **dict.fromkeys(("day", "starts_on", "ends_on"), date.fromisoformat),
    **dict.fromkeys(("id", "position", "priority", "rate_id"), int),
    "settlement_id": UUID,
    "top_up": UUID,
    "lines": _rows(Correction),
    "parts": _rows(LinePart),
    "rates": _rows(DayRate),
    "balances": _rows(OpeningBalance),
}
