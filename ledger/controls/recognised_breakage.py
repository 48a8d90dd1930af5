"""What has been recognised of lots before they lapsed: their balance on 2190."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Case, F, Q, Sum, When

from ledger.models import Posting
from ledger.posting_rules.parts import EXPECTED_BREAKAGE


def accrued_breakage(lots: Collection[UUID], *, until: date | None = None) -> dict[UUID, Decimal]:
    """Return, per lot, the breakage recognised so far, or by a day; lots without any are absent."""
    balance = Sum(Case(When(debit=EXPECTED_BREAKAGE, then=F("amount")), default=-F("amount")))
    postings = Posting.objects.all()
    if until is not None:
        postings = postings.filter(entry__accounting_date__lte=until)
    rows = (
        postings.filter(Q(debit=EXPECTED_BREAKAGE) | Q(credit=EXPECTED_BREAKAGE))
        .filter(lot__in=lots)
        .order_by()
        .values_list("lot")
        .annotate(balance=balance)
        .filter(balance__gt=0)
    )
    return {lot: balance for lot, balance in rows if lot is not None}
