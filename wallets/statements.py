"""Statements of a customer's credits, now and at any past moment, in constant queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from aforo.money import ZERO
from ledger.models import Book, Entry, LedgerEvent
from wallets.holds import reservation_holds
from wallets.lots import queries
from wallets.models import (
    ADDED,
    TAKEN,
    CreditLot,
    DisputeState,
    Movement,
    MovementKind,
    UnitWallet,
    Wallet,
)


def statement(*, book: Book, now: datetime, pending: Mapping[str, Decimal]) -> dict[str, object]:
    """Return all credits that a customer has now.

    `pending` is metered usage that is not burned yet, by currency and by metric code; billing
    passes it in, which alone can price it. Spent lots are not read.
    """
    lots = list(queries.open_lots([book.pk]).select_related("unit_wallet__metric"))
    shown = _shown(book, lots, now, pending)
    overage = (
        queries.with_open_overage()
        .filter(book=book)
        .values("wallet__currency")
        .annotate(total=Sum(queries.OPEN_OVERAGE))
        .order_by()
    )
    return shown | {"overage": {row["wallet__currency"]: row["total"] for row in overage}}


def statement_as_of(*, book: Book, moment: datetime) -> dict[str, object]:
    """Return what a customer had at a past moment, added up from the movements in effect by
    then.
    """
    moved = Movement.objects.filter(book=book, entry__occurred_at__lte=moment)
    sums = moved.values_list("lot").annotate(
        remaining=_sum("quantity", ADDED) - _sum("quantity", TAKEN),
        held=_sum("quantity", [MovementKind.HOLD]) - _sum("quantity", [MovementKind.RELEASE]),
        carrying=_sum("carrying", ADDED) - _sum("carrying", TAKEN),
    )
    then = {lot: counters for lot, *counters in sums.order_by() if counters[0] > 0}
    # A rollover happens at the expiry that it replaces, so the next one dates the expiry of then.
    rolls = Movement.objects.filter(
        lot=OuterRef("pk"), kind=MovementKind.ROLLOVER, entry__occurred_at__gt=moment
    ).order_by("entry__occurred_at")
    found = CreditLot.objects.filter(pk__in=then).select_related("unit_wallet__metric")
    lots = list(
        found.annotate(
            expiry=Coalesce(Subquery(rolls.values("entry__occurred_at")[:1]), "expires_at")
        ).order_by("granted_at", "id")
    )
    frozen = _frozen(book, moment)
    for lot in lots:
        lot.remaining, lot.held, lot.carrying_remaining = then[lot.id]
        lot.expires_at = lot.expiry
        lot.frozen_at = frozen.get(lot.top_up_id)
    return {"as_of": moment, **_shown(book, lots, moment, {})}


def _frozen(book: Book, moment: datetime) -> dict[UUID | None, datetime]:
    """Return since when each payment that was contested at a past moment was, by top-up."""
    disputes = Entry.objects.filter(book=book, event=LedgerEvent.DISPUTE, occurred_at__lte=moment)
    frozen: dict[UUID | None, datetime] = {}
    for document, at in disputes.order_by("sequence").values_list("document", "occurred_at"):
        top_up_id = UUID(document["top_up"])
        frozen.pop(top_up_id, None)
        if document["state"] == DisputeState.OPENED:
            frozen[top_up_id] = at
    return frozen


def _sum(column: str, kinds: Sequence[MovementKind]) -> Coalesce:
    return Coalesce(Sum(column, filter=Q(kind__in=kinds)), ZERO)


def _shown(
    book: Book, lots: Sequence[CreditLot], moment: datetime, pending: Mapping[str, Decimal]
) -> dict[str, object]:
    wallets = Wallet.objects.filter(book=book).order_by("pk")
    unit_wallets = UnitWallet.objects.filter(book=book).select_related("metric").order_by("pk")
    timed_out = reservation_holds.due_by_lot(book=book, lots=lots, moment=moment)
    for lot in lots:
        lot.held -= timed_out.get(lot.id, ZERO)
    return {
        "customer_id": book.key,
        "wallets": [
            {
                "currency": wallet.currency,
                **queries.balance((lot for lot in lots if lot.wallet_id == wallet.pk), moment),
                "pending": pending.get(wallet.currency, ZERO),
                "billing_mode": wallet.billing_mode,
                "state": wallet.spend_state,
            }
            for wallet in wallets
        ],
        "unit_wallets": [
            {
                "metric": wallet.metric.code,
                **queries.balance((lot for lot in lots if lot.unit_wallet_id == wallet.pk), moment),
                "pending": pending.get(wallet.metric.code, ZERO),
            }
            for wallet in unit_wallets
        ],
        "lots": [
            queries.describe_lot(lot)
            for lot in lots
            if lot.held > 0 or queries.is_alive(lot, moment)
        ],
    }
