"""Correct the books by hand: one person proposes, another approves, then it is posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from aforo import money
from aforo.errors import FieldError, Invalid, NotFound
from aforo.money import ZERO
from aforo.periods import month_of
from ledger import approvals
from ledger.controls import balances, policies
from ledger.entries import books, entries
from ledger.models import (
    AdjustmentLine,
    ApprovalAction,
    Book,
    Entry,
    LedgerEvent,
    ManualAdjustment,
    Reason,
)
from ledger.posting_rules import PostingLine, manual_pairs, reversal


class UnknownAdjustment(NotFound):
    """No adjustment of the books has this id.

    Take the id from the list of adjustments.
    """

    default_code = "unknown_adjustment"


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount to be moved from one account to another."""

    debit: str
    credit: str
    amount: Decimal
    currency: str


def check_lines(*, reason: str, lines: Sequence[Amount], of_customer: bool) -> None:
    """Check that the reason of a correction allows its lines, in a customer's book or in the
    company's own.

    Credits and receivables are corrected through their lots and documents, never here.
    Raises: Invalid.
    """
    faults = [
        FieldError(f"/lines/{n}", code, detail)
        for n, line in enumerate(lines)
        for code, detail in _faults(reason, line, of_customer=of_customer)
    ]
    if not lines:
        faults.append(FieldError("/lines", "required", "A correction moves something."))
    if faults:
        raise Invalid(faults)


def _faults(reason: str, line: Amount, *, of_customer: bool) -> list[tuple[str, str]]:
    found = []
    if (line.debit, line.credit) not in manual_pairs.MANUAL[reason]:
        name = Reason(reason).label
        found.append(("not_allowed", f"{name} never moves {line.debit} / {line.credit}."))
    if not of_customer and manual_pairs.is_of_customer(reason, (line.debit, line.credit)):
        detail = f"{line.debit} / {line.credit} is kept by customer: name the one it is about."
        found.append(("customer_required", detail))
    if line.amount <= 0 or money.to_books(line.amount) != line.amount:
        found.append(("invalid", "Amounts are above zero, with 12 decimals at most."))
    if line.currency not in money.EXPONENTS:
        found.append(("unknown_currency", f"There is no currency {line.currency}."))
    return found


@transaction.atomic
def propose_adjustment(
    *,
    livemode: bool,
    reason: str,
    occurred_at: datetime,
    evidence: str,
    lines: Sequence[Amount],
    by: AbstractBaseUser,
    now: datetime,
    customer_id: str | None = None,
) -> ManualAdjustment:
    """Propose a correction in a customer's book, or in the company's own.

    Raises: Invalid, also where the customer does not have what would be taken; UnknownCustomer.
    """
    check_lines(reason=reason, lines=lines, of_customer=customer_id is not None)
    if not evidence.strip():
        raise Invalid([FieldError("/evidence", "required", "Say what the correction rests on.")])
    book = None if customer_id is None else books.get_book(livemode=livemode, key=customer_id)
    if book is not None:
        wanted = [
            PostingLine(each.debit, each.credit, each.amount, each.currency) for each in lines
        ]
        balances.check_borne(book=book, lines=wanted, on=entries.day_of(occurred_at))
    if reason == Reason.ACCRUAL:
        _taken_back_at(occurred_at, now)
    proposal = ManualAdjustment.objects.create(
        livemode=livemode,
        book=book,
        reason=reason,
        occurred_at=occurred_at,
        evidence=evidence,
        proposed_by_id=by.pk,
        proposed_at=now,
    )
    AdjustmentLine.objects.bulk_create(
        AdjustmentLine(
            adjustment=proposal,
            position=position,
            debit_id=line.debit,
            credit_id=line.credit,
            amount=line.amount,
            currency=line.currency,
        )
        for position, line in enumerate(lines)
    )
    return proposal


@transaction.atomic
def approve_adjustment(
    *, adjustment_id: UUID, by: AbstractBaseUser, now: datetime
) -> ManualAdjustment:
    """Approve a correction, and post it in the open period of its moment.

    An accrual is taken back on the first of the next month, in an entry of its own. Raises:
    UnknownAdjustment; SamePerson; Decided; AboveAuthority; Invalid above the limit of unexplained
    differences, for what the customer does not have, and for an accrual whose month is closed.
    """
    proposal, book = _locked(adjustment_id)
    policies.check_second_person(proposal, by)
    lines = [
        PostingLine(line.debit_id, line.credit_id, line.amount, line.currency)
        for line in proposal.lines.order_by("position")
    ]
    _check_limit(proposal, lines, now)
    _check_authority(proposal, lines, by, now)
    if proposal.book is not None:
        balances.check_borne(book=book, lines=lines, on=entries.day_of(proposal.occurred_at))
    document: dict[str, object] = {
        "adjustment": str(proposal.pk),
        "reason": proposal.reason,
        "evidence": proposal.evidence,
        "proposed_by": str(proposal.proposed_by),
        "approved_by": str(by),
    }
    entry = _post(book, proposal.occurred_at, document, lines)
    if proposal.reason == Reason.ACCRUAL:
        _check_month(entry, proposal)
        back = _taken_back_at(proposal.occurred_at, now)
        _post(book, back, {**document, "reverses": str(entry.pk)}, reversal(lines))
    proposal.approved_by_id, proposal.approved_at, proposal.entry = by.pk, now, entry
    proposal.save(update_fields=["approved_by", "approved_at", "entry"])
    return proposal


def _post(
    book: Book, at: datetime, document: dict[str, object], lines: Sequence[PostingLine]
) -> Entry:
    draft = entries.EntryDraft(
        book=book, event=LedgerEvent.MANUAL, occurred_at=at, document=document, lines=lines
    )
    return entries.append([draft])[0]


def _taken_back_at(occurred_at: datetime, now: datetime) -> datetime:
    """Return when the month after an accrual begins.

    Raises: Invalid, while the month of the accrual is not over.
    """
    _, ends_on = month_of(entries.day_of(occurred_at))
    zone = ZoneInfo(settings.ENTITY_TIMEZONE)
    back = datetime(ends_on.year, ends_on.month, ends_on.day, tzinfo=zone)
    if back > now:
        detail = "What a month has earned is accrued once it is over, and taken back on the 1st."
        raise Invalid([FieldError("/occurred_at", "month_not_over", detail)])
    return back


def _check_month(entry: Entry, proposal: ManualAdjustment) -> None:
    """Check that an accrual stands in the month that earned it.

    Raises: Invalid, where that month is closed.
    """
    month = month_of(entries.day_of(proposal.occurred_at))
    if month_of(entry.accounting_date) != month:
        detail = "The month of the accrual is closed: open it again first."
        raise Invalid([FieldError("/occurred_at", "month_closed", detail)])


@transaction.atomic
def reject_adjustment(
    *, adjustment_id: UUID, by: AbstractBaseUser, now: datetime
) -> ManualAdjustment:
    """Reject a correction; the proposer may withdraw it in this way too.

    Raises: UnknownAdjustment; Decided.
    """
    proposal, _ = _locked(adjustment_id)
    proposal.rejected_by_id, proposal.rejected_at = by.pk, now
    proposal.save(update_fields=["rejected_by", "rejected_at"])
    return proposal


def _locked(adjustment_id: UUID) -> tuple[ManualAdjustment, Book]:
    """Lock the book that an undecided proposal concerns, and read the proposal after that."""
    found = ManualAdjustment.objects.filter(pk=adjustment_id).select_related("book").first()
    if found is None:
        raise UnknownAdjustment(f"There is no adjustment {adjustment_id}.")
    book = found.book or books.company_book(livemode=found.livemode)
    locked = books.lock_book(book_id=book.pk)
    proposal = ManualAdjustment.objects.select_related("proposed_by").get(pk=adjustment_id)
    if proposal.status != "PROPOSED":
        raise policies.Decided(f"The adjustment is {proposal.status}.")
    return proposal, locked


def _check_authority(
    proposal: ManualAdjustment, lines: Sequence[PostingLine], by: AbstractBaseUser, now: datetime
) -> None:
    """Check that the approver may approve so much in each currency.

    Raises: AboveAuthority.
    """
    for currency in sorted({line.currency for line in lines}):
        approvals.check_authority(
            by,
            action=ApprovalAction.ADJUSTMENT,
            livemode=proposal.livemode,
            amount=sum((line.amount for line in lines if line.currency == currency), ZERO),
            currency=currency,
            now=now,
        )


def _check_limit(proposal: ManualAdjustment, lines: Sequence[PostingLine], now: datetime) -> None:
    """Block unexplained differences above what policy allows (docs/accounting.md#e46)."""
    if proposal.reason != Reason.UNEXPLAINED:
        return
    policy = policies.policy(livemode=proposal.livemode, on=entries.day_of(now))
    if sum((line.amount for line in lines), ZERO) > policy.unexplained_limit:
        limit = money.plain(policy.unexplained_limit)
        detail = f"Unexplained differences above {limit} are investigated, not posted."
        raise Invalid([FieldError("/lines", "above_limit", detail)])
