"""What the books hold, and the policies by which they are kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Sum

from ledger.chart import DEFAULT_CHART
from ledger.controls import policies
from ledger.controls.policies import Decision
from ledger.models import Account, Book, Entry, Posting
from tests.factories.customers import person
from tests.factories.months import START
from wallets.models import BudgetCounter, CreditLot, Debit, Hold, Movement, Operation, Reservation


def ensure_chart() -> None:
    """Write the accounts of the default chart that are missing."""
    Account.objects.bulk_create(
        [
            Account(code=code, name=name, normal=normal, statement=statement)
            for code, name, normal, statement in DEFAULT_CHART
        ],
        ignore_conflicts=True,
    )


def everything() -> tuple[Any, ...]:
    """Picture all that credits are made of, to see that a refusal changed nothing."""
    return (
        Book.objects.count(),
        Entry.objects.count(),
        Posting.objects.count(),
        Movement.objects.count(),
        Debit.objects.count(),
        Operation.objects.count(),
        sorted(CreditLot.objects.values_list("id", "remaining", "held", "carrying_remaining")),
        sorted(Book.objects.values_list("key", "sequence", "head_hash")),
        sorted(Reservation.objects.values_list("id", "status", "captured")),
        sorted(Hold.objects.values_list("id", "quantity", "captured", "released")),
        sorted(BudgetCounter.objects.values_list("id", "used", "held")),
    )


def available(book: Book) -> Decimal:
    """Sum what remains of a book's money lots."""
    lots = CreditLot.objects.filter(book=book, wallet__isnull=False)
    return sum((lot.remaining - lot.held for lot in lots), Decimal(0))


def posted(account: str, *, livemode: bool = False) -> Decimal:
    """Sum an account: its debits less its credits."""
    lines = Posting.objects.filter(entry__book__livemode=livemode)
    debited = lines.filter(debit=account).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    credited = lines.filter(credit=account).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    return debited - credited


def decide(model: type[Decision], *, by: str = "bob", **terms: Any) -> Decision:
    """Propose a policy or a rate as Ann, and approve it as another."""
    proposed = model._default_manager.create(
        proposed_by=person("ann"),
        proposed_at=START,
        evidence="A memo.",
        **{"livemode": False, "starts_on": START.date(), **terms},
    )
    return policies.approve(proposed, by=person(by), now=START)
