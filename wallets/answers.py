"""The answers of operations, as they are sent, stored and replayed verbatim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.api.renderers import to_json
from ledger.models import Book
from wallets import reads
from wallets.models import CreditLot, Debit, UnitWallet, Wallet
from wallets.waterfall import Allocation


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body, fresh or replayed."""

    status: int
    body: str
    replayed: bool = False


def answer(status: int, content: dict[str, object]) -> Answer:
    """Render a fresh answer."""
    return Answer(status, to_json(content))


def _measured(wallet: Wallet | UnitWallet, quantity: Decimal) -> dict[str, object]:
    if isinstance(wallet, Wallet):
        return {"amount": quantity, "currency": wallet.currency}
    return {"metric": wallet.metric.code, "quantity": quantity}


def debit_answer(
    *,
    debit: Debit,
    book: Book,
    wallet: Wallet | UnitWallet,
    allocations: Sequence[tuple[Allocation, CreditLot]],
    balance: dict[str, object],
) -> dict[str, object]:
    """Name every lot that paid, what it has left, and what no lot covered."""
    return {
        "id": debit.id,
        "customer_id": book.key,
        **_measured(wallet, debit.quantity),
        "strategy": debit.strategy,
        "allocations": [
            {
                "lot": lot.id,
                "kind": lot.kind,
                "amount": allocation.quantity,
                "source": lot.source,
                "expires_at": lot.expires_at,
                "balance_after": lot.remaining - lot.held,
            }
            for allocation, lot in allocations
        ],
        "overage": debit.overage,
        "balance": balance,
        "entry": debit.entry_id,
        "occurred_at": debit.occurred_at,
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
    """Show the lots that a grant or top-up issued."""
    return {
        "id": id,
        "customer_id": book.key,
        **extra,
        "lots": [reads.describe_lot(lot) for lot in lots],
        "entry": entry,
    }
