"""Statements of a customer's credits, now and at any past moment, in constant queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from aforo.money import ZERO
from ledger.models import Book, Entry, LedgerEvent
from wallets.holds import reservation_holds
from wallets.lots import queries
from wallets.models import CreditLot, DisputeState, Movement, MovementKind, UnitWallet, Wallet

_IN = [MovementKind.GRANT, MovementKind.REVERSE]
_OUT = [MovementKind.BURN, MovementKind.EXPIRE, MovementKind.REFUND, MovementKind.ADJUST]


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
        remaining=_sum("quantity", _IN) - _sum("quantity", _OUT),
        held=_sum("quantity", [MovementKind.HOLD]) - _sum("quantity", [MovementKind.RELEASE]),
        carrying=_sum("carrying", _IN) - _sum("carrying", _OUT),
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


def _sum(column: str, kinds: list[MovementKind]) -> Coalesce:
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


# From what there is now back to the page: the first page of a long history reads little of it. The
# order is the book's own, not that of the ids, which the clocks of several processes make.
_RUNNING = """
    WITH moved AS (
        SELECT m.id, e.sequence, m.position, coalesce(lot.wallet_id, -lot.unit_wallet_id) AS wallet,
            CASE WHEN m.kind = ANY(%s) THEN m.quantity WHEN m.kind = ANY(%s) THEN -m.quantity
                ELSE 0 END AS change
        FROM ledger_entry e
        JOIN wallets_movement m ON m.entry_id = e.id
        JOIN wallets_creditlot lot ON lot.id = m.lot_id
        WHERE e.book_id = %s AND e.sequence >= %s
    ), present AS (
        SELECT coalesce(wallet_id, -unit_wallet_id) AS wallet, sum(remaining) AS total
        FROM wallets_creditlot WHERE book_id = %s AND remaining > 0 GROUP BY 1
    )
    SELECT id, total - later FROM (
        SELECT moved.id, coalesce(present.total, 0) AS total, coalesce(sum(moved.change) OVER (
            PARTITION BY moved.wallet ORDER BY moved.sequence DESC, moved.position DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS later
        FROM moved LEFT JOIN present ON present.wallet = moved.wallet
    ) history WHERE id = ANY(%s)
"""


def running_balances(page: Sequence[Movement]) -> dict[UUID, Decimal]:
    """Return the balance of the whole wallet after each movement of a page, held parts included.

    The page lists movements of one book with their entries, the newest first. One query.
    """
    if not page:
        return {}
    book_id, first = page[-1].book_id, page[-1].entry.sequence
    ids = [movement.id for movement in page]
    with connection.cursor() as cursor:
        cursor.execute(_RUNNING, [_IN, _OUT, book_id, first, book_id, ids])
        return dict(cursor.fetchall())
