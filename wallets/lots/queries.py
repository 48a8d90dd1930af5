"""Queries: the lots and balances of a customer, and how they are described."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, QuerySet, Sum

from aforo import money
from aforo.money import ZERO
from ledger.entries.hash_chain import MovementLine
from ledger.models import Entry
from pricing.models import CreditKind
from wallets.lots.tax_rates import RateInForce, rate_in
from wallets.lots.waterfall import Lot
from wallets.models import CreditLot, Debit, Movement, MovementKind, Reservation, UnitWallet, Wallet

_KINDS = tuple(CreditKind.values)
OPEN_OVERAGE = F("overage") - F("overage_billed") - F("overage_reversed")


def open_lots(book_ids: Iterable[int]) -> QuerySet[CreditLot]:
    """Return the lots with something left, in the order they were granted."""
    return CreditLot.objects.filter(book_id__in=list(book_ids), remaining__gt=0).order_by(
        "granted_at", "id"
    )


def seen_by_waterfall(lot: CreditLot) -> Lot:
    """Return a lot as the waterfall sees it."""
    return Lot(
        id=lot.id,
        kind=lot.kind,
        available=lot.available,
        priority=lot.priority,
        expires_at=lot.expires_at,
        granted_at=lot.granted_at,
        effective_at=lot.effective_at,
    )


class LotRow(NamedTuple):
    """A lot as it is shown, read without a model instance."""

    id: UUID
    unit: dict[str, str]
    kind: str
    source: str
    face: Decimal
    remaining: Decimal
    held: Decimal
    carrying_remaining: Decimal
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    frozen_at: datetime | None
    currency: str
    credit_unit: str

    @property
    def available(self) -> Decimal:
        """Return what can be spent of it while it lives, as `CreditLot` does."""
        return ZERO if self.frozen_at is not None else self.remaining - self.held


def row_of(lot: CreditLot) -> LotRow:
    """Return a lot as a row."""
    return LotRow(*(getattr(lot, name) for name in LotRow._fields))


def is_alive(lot: CreditLot | LotRow, moment: datetime) -> bool:
    """Return whether a lot can be spent at `moment`: [effective_at, expires_at), swept or not."""
    return lot.effective_at <= moment and (lot.expires_at is None or moment < lot.expires_at)


def refunded_carrying(top_up_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """Sum the consideration of what was refunded of top-ups, exact, by top-up."""
    refunds = Movement.objects.filter(lot__top_up__in=list(top_up_ids), kind=MovementKind.REFUND)
    sums = refunds.values_list("lot__top_up").annotate(Sum("carrying")).order_by()
    return dict(sums)


def balance(lots: Iterable[CreditLot | LotRow], moment: datetime) -> dict[str, object]:
    """Sum one wallet's lots: what is available (without held parts), by kind, and what is held.

    A held part outlives its lot's expiry, so it counts as held whatever the moment.
    """
    by_kind = dict.fromkeys(_KINDS, ZERO)
    held = ZERO
    for lot in lots:
        held += lot.held
        if is_alive(lot, moment):
            by_kind[lot.kind] += lot.available
    return {
        "available": money.plain(sum(by_kind.values(), ZERO)),
        "held": money.plain(held),
        "by_kind": {kind: money.plain(value) for kind, value in by_kind.items()},
    }


def balance_of(wallet: Wallet | UnitWallet, moment: datetime) -> dict[str, object]:
    """Read one wallet's balance as it stands on record."""
    return balance(wallet.lots.filter(remaining__gt=0), moment)


def describe_lot(lot: CreditLot | LotRow) -> dict[str, object]:
    """Return one lot; of credits of a unit also the currency of what they carry."""
    paid = {"unit": lot.credit_unit, "carrying_currency": lot.currency or None}
    return {
        "lot": lot.id,
        **lot.unit,
        **(paid if lot.credit_unit else {}),
        "kind": lot.kind,
        "source": lot.source,
        "granted": lot.face,
        "remaining": lot.remaining,
        "held": lot.held,
        "carrying": lot.carrying_remaining,
        "priority": lot.priority,
        "effective_at": lot.effective_at,
        "expires_at": lot.expires_at,
        "frozen_at": lot.frozen_at,
    }


# The lots of one owner after the other; asked for pages of fifty, so the ORM does not compile it.
_DESCRIBED = """
    SELECT owner.id, coalesce(nullif(t.credit_unit, ''), t.currency), metric.code, t.id, {shown}
    FROM unnest(%s::uuid[]) AS owner(id)
    CROSS JOIN LATERAL (
        SELECT t.* FROM wallets_creditlot AS t WHERE t.{by} = owner.id ORDER BY {order} LIMIT %s
    ) AS t
    LEFT JOIN wallets_unitwallet AS wallet ON wallet.id = t.unit_wallet_id
    LEFT JOIN pricing_metric AS metric ON metric.id = wallet.metric_id
    ORDER BY {order}
"""
_SHOWN = ", ".join(f"t.{name}" for name in LotRow._fields[2:])
_ISSUED = _DESCRIBED.format(shown=_SHOWN, by="subscription_id", order="t.granted_at DESC, t.id")
_BOUGHT = _DESCRIBED.format(shown=_SHOWN, by="top_up_id", order="t.id")


def issued_by(
    subscription_ids: Collection[UUID], *, at_most: int
) -> dict[UUID, list[dict[str, object]]]:
    """Return the lots that each subscription has issued, the newest first, at most so many."""
    return _described(_ISSUED, [list(subscription_ids), at_most])


def bought_by(top_up_ids: Collection[UUID]) -> dict[UUID, list[dict[str, object]]]:
    """Return the lots that each top-up has bought."""
    return _described(_BOUGHT, [list(top_up_ids), None])


def _described(statement: str, parameters: Sequence[Any]) -> dict[UUID, list[dict[str, object]]]:
    described: dict[UUID, list[dict[str, object]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for owner, currency, metric, lot, *shown in cursor.fetchall():
            unit = {"currency": currency} if metric is None else {"metric": metric}
            described[owner].append(describe_lot(LotRow(lot, unit, *shown)))
    return described


# A customer's debits in a currency before a moment with open overage, as `with_open_overage` has
# them.
OPEN_OVERAGE_BEFORE = """
    JOIN wallets_wallet AS wallet ON wallet.id = t.wallet_id
    WHERE wallet.book_id = %s AND wallet.currency = %s AND t.occurred_at < %s
        AND t.overage > t.overage_billed + t.overage_reversed
"""


def with_open_overage() -> QuerySet[Debit]:
    """Return the debits with overage that waits for the next settlement (OPEN_OVERAGE)."""
    return Debit.objects.filter(overage__gt=F("overage_billed") + F("overage_reversed"))


def tax_of_debits(debits: Iterable[Debit]) -> dict[UUID, RateInForce]:
    """Return the tax rate inside each debit, as its entry has it; none where no tax applies."""
    entries = {debit.entry_id: debit.id for debit in debits}
    if not entries:
        return {}
    documents = Entry.objects.filter(pk__in=entries).values_list("pk", "document")
    found = ((entries[pk], rate_in(document)) for pk, document in documents)
    return {debit: rate for debit, rate in found if rate is not None}


def promised_overage(wallet_ids: Iterable[int], now: Mapping[int, datetime]) -> dict[int, Decimal]:
    """Sum, by wallet, the overage that open reservations may still come to, `now` being each book's
    moment: what has timed out promises nothing, whether or not that is on record.
    """
    promised: dict[int, Decimal] = defaultdict(Decimal)
    rows = Reservation.objects.filter(wallet__in=list(wallet_ids), promised__gt=0)
    for book_id, wallet_id, expires_at, quantity in rows.values_list(
        "book_id", "wallet_id", "expires_at", "promised"
    ):
        if wallet_id is not None and expires_at > now[book_id]:
            promised[wallet_id] += quantity
    return promised


def overage_of_cycle() -> QuerySet[Debit]:
    """Select the debits whose open overage counts against the limit of their wallet's cycle; what
    an earlier cycle left waits for its own settlement.
    """
    begun = Q(wallet__cycle_starts_at=None) | Q(occurred_at__gte=F("wallet__cycle_starts_at"))
    return with_open_overage().filter(begun)


def movement_lines(book_id: int, after: int, until: int) -> dict[int, list[MovementLine]]:
    """Return the movements of a book's entries as the hash chain saw them, by the entries'
    sequence: beyond `after`, up to `until`.
    """
    lines: dict[int, list[MovementLine]] = defaultdict(list)
    moved = Movement.objects.filter(
        entry__book=book_id, entry__sequence__gt=after, entry__sequence__lte=until
    ).order_by("entry__sequence", "position")
    columns = ["lot_id", "kind", "quantity", "carrying", "balance_after", "held_after"]
    for sequence, *line in moved.values_list("entry__sequence", *columns):
        lines[sequence].append(MovementLine(*line))
    return lines


def measured(of: Wallet | UnitWallet | CreditLot, quantity: Decimal) -> dict[str, object]:
    """Return so much of what a wallet or lot is in, money or units, as answers show it."""
    unit = of.unit
    return {"amount": quantity, **unit} if "currency" in unit else {**unit, "quantity": quantity}
