"""Lots before they are written, and how their entries describe them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.money import ZERO
from aforo.protocol.exact_json import timestamp
from wallets.models import CreditLot, UnitWallet, Wallet


def new_lot(
    *,
    wallet: Wallet | UnitWallet,
    kind: str,
    source: str,
    quantity: Decimal,
    now: datetime,
    carrying: Decimal = ZERO,
    currency: str = "",
    cause: str = "",
    reason: str = "",
    priority: int = 100,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
    rollover: dict[str, object] | None = None,
    top_up_id: UUID | None = None,
    taxed_at_sale: bool = False,
) -> CreditLot:
    """Build a lot that is not yet written; `effective_at` defaults to `now`.

    `currency` is what was paid, for units and for credits of a credit unit.
    """
    unit = wallet.credit_unit if isinstance(wallet, Wallet) else ""
    return CreditLot(
        book_id=wallet.book_id,
        wallet=wallet if isinstance(wallet, Wallet) else None,
        unit_wallet=wallet if isinstance(wallet, UnitWallet) else None,
        kind=kind,
        source=source,
        cause=cause,
        reason=reason,
        top_up_id=top_up_id,
        face=quantity,
        remaining=quantity,
        carrying=carrying,
        carrying_remaining=carrying,
        held=ZERO,
        currency=wallet.currency if isinstance(wallet, Wallet) and not unit else currency,
        credit_unit=unit,
        priority=priority,
        granted_at=now,
        effective_at=effective_at or now,
        expires_at=expires_at,
        rollover=rollover,
        taxed_at_sale=taxed_at_sale,
    )


def lot_document(lot: CreditLot) -> dict[str, object]:
    """Describe a new lot for its entry, in strings only, so that its terms are in the chain."""
    described: dict[str, object] = {
        "lot": str(lot.id),
        "kind": lot.kind,
        "source": lot.source,
        "face": money.plain(lot.face),
        "carrying": money.plain(lot.carrying),
        "priority": str(lot.priority),
        "effective_at": timestamp(lot.effective_at),
    }
    if lot.credit_unit:
        described["unit"] = lot.credit_unit
    if lot.wallet_id is not None:
        described["currency"] = lot.currency
    else:
        described["unit_wallet"] = str(lot.unit_wallet_id)
    if lot.expires_at is not None:
        described["expires_at"] = timestamp(lot.expires_at)
    if lot.taxed_at_sale:
        described["taxed_at_sale"] = "true"
    for name in ("cause", "reason"):
        if getattr(lot, name):
            described[name] = getattr(lot, name)
    return described
