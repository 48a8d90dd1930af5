"""Statements of a customer's credits: now by one statement, and at any past moment by constant
numbers of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from psycopg.types.json import Jsonb

from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from ledger.models import Book, Entry, LedgerEvent
from wallets.budgets import figures
from wallets.holds import reservation_holds
from wallets.lots import queries
from wallets.lots.queries import LotRow
from wallets.models import (
    ADDED,
    TAKEN,
    CreditLot,
    Debit,
    DisputeState,
    Movement,
    MovementKind,
    UnitWallet,
    Wallet,
)

# A row for each open lot of each wallet, and one for a wallet without any; wallets of money come
# first. Spent lots, billed debits and ended reservations are not read, nor captures that were paid
# (partial indexes lead past them), so it takes as long after a million movements as after ten.
# Plain SQL, because the ORM needs five statements and a model instance a lot for it, eight times
# the time.
_NOW = """
    WITH timed_out AS MATERIALIZED (
        SELECT h.lot_id, sum(h.quantity - h.captured - h.released) AS quantity
        FROM wallets_reservation AS r JOIN wallets_hold AS h ON h.reservation_id = r.id
        WHERE r.book_id = %(book)s AND r.status = 'HELD' AND r.expires_at <= %(now)s
        GROUP BY h.lot_id
    ), overage AS MATERIALIZED (
        SELECT wallet_id, sum(overage - overage_billed - overage_reversed) AS quantity
        FROM wallets_debit
        WHERE book_id = %(book)s AND overage > overage_billed + overage_reversed
        GROUP BY wallet_id
    ), uncovered AS MATERIALIZED (
        SELECT wallet_id, sum(uncovered) AS quantity
        FROM wallets_debit WHERE book_id = %(book)s AND uncovered > 0 GROUP BY wallet_id
    ), wallet AS (
        SELECT id AS wallet_id, NULL::bigint AS unit_wallet_id, currency, NULL AS metric,
            billing_mode, spend_state
        FROM wallets_wallet WHERE book_id = %(book)s
        UNION ALL
        SELECT NULL, w.id, NULL, m.code, NULL, NULL
        FROM wallets_unitwallet AS w JOIN pricing_metric AS m ON m.id = w.metric_id
        WHERE w.book_id = %(book)s
    )
    SELECT wallet.*, overage.quantity, uncovered.quantity, l.id, l.kind, l.source, l.face,
        l.remaining, l.held - coalesce(timed_out.quantity, 0), l.carrying_remaining, l.priority,
        l.effective_at, l.expires_at, l.frozen_at, l.currency, l.credit_unit
    FROM wallet
    LEFT JOIN overage ON overage.wallet_id = wallet.wallet_id
    LEFT JOIN uncovered ON uncovered.wallet_id = wallet.wallet_id
    LEFT JOIN wallets_creditlot AS l ON l.book_id = %(book)s AND l.remaining > 0
        AND (l.wallet_id = wallet.wallet_id OR l.unit_wallet_id = wallet.unit_wallet_id)
    LEFT JOIN timed_out ON timed_out.lot_id = l.id
    ORDER BY l.granted_at, l.id
"""


@dataclass(slots=True)
class _Wallet:
    """A wallet, of money or units, with its lots in the order they were granted."""

    unit: dict[str, str]
    billing_mode: str | None
    state: str | None
    lots: list[LotRow] = field(default_factory=list)


def statement(*, book: Book, now: datetime, pending: Mapping[str, Decimal]) -> dict[str, object]:
    """Return all credits that a customer has now.

    `pending` is metered usage that is not burned yet, by currency and by metric code; billing
    passes it in, which alone can price it. `uncovered` is what captures left that nobody pays,
    ever. Spent lots are not read.
    """
    wallets: dict[tuple[bool, int], _Wallet] = {}
    lots, beside = list[LotRow](), {"overage": dict[str, Decimal](), "uncovered": {}}
    with connection.cursor() as cursor:
        cursor.execute(_NOW, {"book": book.pk, "now": now})
        rows = cursor.fetchall()
    for wallet_id, unit_wallet_id, currency, metric, mode, state, over, lost, *shown in rows:
        # In the order of their keys, those of money first.
        key = (metric is not None, unit_wallet_id or wallet_id)
        wallet = wallets.get(key)
        if wallet is None:
            unit = {"currency": currency} if metric is None else {"metric": metric}
            wallet = wallets[key] = _Wallet(unit, mode, state)
            for name, quantity in (("overage", over), ("uncovered", lost)):
                if quantity is not None:
                    beside[name][currency] = quantity
        if shown[0] is not None:
            lot = LotRow(shown[0], wallet.unit, *shown[1:])
            wallet.lots.append(lot)
            lots.append(lot)
    in_order = [wallets[key] for key in sorted(wallets)]
    shown = _shown(book, in_order, lots, now, pending) | beside
    return shown | {"budgets": figures.of_book(book, now)} if book.has_budgets else shown


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
    timed_out = reservation_holds.due_by_lot(book=book, lots=lots, moment=moment)
    for lot in lots:
        lot.held -= timed_out.get(lot.id, ZERO)
    rows = {lot: queries.row_of(lot) for lot in lots}
    money = Wallet.objects.filter(book=book).order_by("pk")
    units = UnitWallet.objects.filter(book=book).select_related("metric").order_by("pk")
    wallets = [
        *(
            _Wallet(
                wallet.unit,
                wallet.billing_mode,
                wallet.spend_state,
                [rows[lot] for lot in lots if lot.wallet_id == wallet.pk],
            )
            for wallet in money
        ),
        *(
            _Wallet(
                wallet.unit,
                None,
                None,
                [rows[lot] for lot in lots if lot.unit_wallet_id == wallet.pk],
            )
            for wallet in units
        ),
    ]
    shown = _shown(book, wallets, rows.values(), moment, {})
    return {"as_of": moment, **shown, "uncovered": _uncovered(book, moment)}


def _uncovered(book: Book, moment: datetime) -> dict[str, Decimal]:
    """Return what captures had left by a moment that nobody pays, by currency."""
    lost = Debit.objects.filter(book=book, uncovered__gt=0, occurred_at__lte=moment)
    sums = lost.values_list("wallet__currency").annotate(Sum("uncovered"))
    return dict(sums.order_by())


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
    book: Book,
    wallets: Sequence[_Wallet],
    lots: Iterable[LotRow],
    moment: datetime,
    pending: Mapping[str, Decimal],
) -> dict[str, object]:
    money, units = [], []
    for wallet in wallets:
        (code,) = wallet.unit.values()
        shown = {
            **wallet.unit,
            **queries.balance(wallet.lots, moment),
            "pending": pending.get(code, ZERO),
        }
        if wallet.state is None:
            units.append(shown)
        else:
            money.append(shown | {"billing_mode": wallet.billing_mode, "state": wallet.state})
    return {
        "customer_id": book.key,
        "wallets": money,
        "unit_wallets": units,
        "lots": [
            queries.describe_lot(lot)
            for lot in lots
            if lot.held > 0 or queries.is_alive(lot, moment)
        ],
    }


# By entries, because their attributes and their time say what is wanted.
_SPENT = """
    SELECT e.attributes->>%(by)s::text, w.currency, m.code,
        sum(CASE t.kind WHEN 'BURN' THEN t.quantity ELSE -t.quantity END)
    FROM ledger_entry AS e
    JOIN wallets_movement AS t ON t.entry_id = e.id
    JOIN wallets_creditlot AS l ON l.id = t.lot_id
    LEFT JOIN wallets_wallet AS w ON w.id = l.wallet_id
    LEFT JOIN wallets_unitwallet AS u ON u.id = l.unit_wallet_id
    LEFT JOIN pricing_metric AS m ON m.id = u.metric_id
    WHERE e.book_id = %(book)s AND e.occurred_at >= %(starts_at)s AND e.occurred_at < %(ends_at)s
        AND t.kind IN ('BURN', 'REVERSE')
        AND (%(attributes)s::jsonb IS NULL OR e.attributes @> %(attributes)s::jsonb)
    GROUP BY 1, 2, 3 ORDER BY 2, 3, 4 DESC, 1 LIMIT %(most)s
"""
MOST_SPENT = 10_000


def spending(
    *,
    book: Book,
    starts_at: datetime,
    ends_at: datetime,
    by: str | None,
    attributes: Mapping[str, str] | None,
) -> list[dict[str, object]]:
    """Return what was burned of a customer's credits in [starts_at, ends_at), less what came back,
    by currency and metric, and by the value of an attribute, the most first; None has none.

    Raises: Invalid (`too_many_groups`).
    """
    asked: dict[str, Any] = {
        "book": book.pk,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "by": by,
        "attributes": attributes and Jsonb(attributes),
        "most": MOST_SPENT + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SPENT, asked)
        rows = cursor.fetchall()
    if len(rows) > MOST_SPENT:
        detail = f"It would be more than {MOST_SPENT:,} rows: ask for less time, or for one value."
        raise Invalid([FieldError("/group_by", "too_many_groups", detail)])
    return [
        {
            **({} if by is None else {"value": value}),
            **({"currency": currency} if metric is None else {"metric": metric}),
            "spent": spent,
        }
        for value, currency, metric, spent in rows
    ]
