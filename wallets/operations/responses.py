"""What operations answer, before it is rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.database import joined
from ledger.models import Book
from wallets.holds.reservation_holds import Held
from wallets.lots import queries
from wallets.lots.waterfall import Allocation
from wallets.models import CreditLot, Debit, UnitWallet, Wallet


def read_again(
    content: Mapping[str, object], *, wallet: Wallet | UnitWallet, now: datetime
) -> dict[str, object]:
    """Return an answer as it is after the consequences of its operation (arrears paid, lapses):
    with the balance, and the balances of the lots in it.
    """
    named = content.get("allocations")
    allocations = named if isinstance(named, list) else []
    lots = CreditLot.objects.in_bulk([each["lot"] for each in allocations])
    again: dict[str, object] = {**content, "balance": queries.balance_of(wallet, now)}
    if allocations:
        again["allocations"] = [
            each | {"balance_after": lots[each["lot"]].available} for each in allocations
        ]
    return again


def allocated(lot: CreditLot, quantity: Decimal) -> dict[str, object]:
    """Return the part that one lot pays, and its balance after it."""
    return {
        "lot": lot.id,
        "kind": lot.kind,
        "amount": quantity,
        "source": lot.source,
        "expires_at": lot.expires_at,
        "balance_after": lot.available,
    }


def tagged(attributes: Mapping[str, str] | None) -> dict[str, object]:
    """Return the attributes of a debit or a reservation as a part of what is shown of it, where it
    has any.
    """
    return {"attributes": attributes} if attributes else {}


def debit_answer(
    *,
    debit: Debit,
    book: Book,
    wallet: Wallet | UnitWallet,
    allocations: Sequence[tuple[Allocation, CreditLot]],
    balance: dict[str, object],
) -> dict[str, object]:
    """Return the answer of a debit: every lot that paid, its balance after it, and what no lot
    covered.
    """
    return {
        "id": debit.id,
        "customer_id": book.key,
        **queries.measured(wallet, debit.quantity),
        "strategy": debit.strategy,
        **tagged(debit.attributes),
        "allocations": [allocated(lot, allocation.quantity) for allocation, lot in allocations],
        "overage": debit.overage,
        "balance": balance,
        "entry": debit.entry_id,
        "occurred_at": debit.occurred_at,
    }


def reservation_answer(
    *, held: Held, wallet: Wallet | UnitWallet, book: Book, balance: dict[str, object]
) -> dict[str, object]:
    """Return the answer of a reservation: the holds by lot, and the overage expected beyond
    them.
    """
    made = held.reservation
    return {
        "id": made.id,
        "customer_id": book.key,
        **queries.measured(wallet, made.quantity),
        "strategy": made.strategy,
        **tagged(made.attributes),
        "status": made.status,
        "held": made.held,
        "allocations": [allocated(lot, hold.quantity) for hold, lot in held.holds],
        "overage_expected": made.quantity - made.held,
        "over_capture": made.over_capture,
        "grace_seconds": made.grace_seconds,
        "balance": balance,
        "expires_at": made.expires_at,
        "entry": made.entry_id,
        "occurred_at": made.created_at,
    }


def extend_answer(
    *, held: Held, wallet: Wallet | UnitWallet, book: Book, balance: dict[str, object]
) -> dict[str, object]:
    """Return the answer of an extension: the reservation, as it holds now."""
    made = held.reservation
    answer = reservation_answer(held=held, wallet=wallet, book=book, balance=balance)
    kept = [(hold, lot) for hold, lot in held.holds if hold.open > 0]
    return {
        **answer,
        "held": held.open,
        "captured": made.captured,
        "allocations": [allocated(lot, hold.open) for hold, lot in kept],
        "overage_expected": made.promised,
    }


def void_answer(
    *,
    held: Held,
    wallet: Wallet | UnitWallet,
    book: Book,
    released: Decimal,
    entry: UUID,
    balance: dict[str, object],
) -> dict[str, object]:
    """Return the answer of a void: what was released."""
    made = held.reservation
    return {
        "id": made.id,
        "customer_id": book.key,
        **queries.measured(wallet, made.quantity),
        "status": made.status,
        "captured": made.captured,
        "released": released,
        "held": held.open,
        "balance": balance,
        "entry": entry,
        "occurred_at": made.ended_at,
    }


def grant_answer(
    *,
    id: UUID,  # noqa: A002
    book: Book,
    wallet: Wallet | UnitWallet,
    lots: Sequence[CreditLot],
    entry: UUID,
    extra: dict[str, object],
) -> dict[str, object]:
    """Return the answer of a grant or top-up: the lots it issued, after what they have paid at
    once.
    """
    ids = [lot.id for lot in lots]
    read = joined.select(CreditLot, ["unit_wallet__metric"], "WHERE t.id = ANY(%s)", [ids])
    found = {lot.id: lot for lot in read}
    return {
        "id": id,
        "customer_id": book.key,
        **extra,
        "lots": [queries.describe_lot(found[lot.id]) for lot in lots],
        "entry": entry,
    }
