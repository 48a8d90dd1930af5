"""What credits of a unit cost: any amount at its rate, or a pack at its price."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from aforo.errors import FieldError, Invalid
from ledger.models import Book
from pricing import catalogue
from pricing.catalogue import TopUpTerms
from pricing.models import CreditUnit
from pricing.offerings import credit_units, packs
from wallets.models import TopUp, TopUpStatus


def terms_of(*, book: Book, currency: str, unit: str | None) -> TopUpTerms:
    """Return the terms of a sale: those of the currency, and for credits of a unit the unit's.

    Raises: Invalid (`unknown_currency`, `inactive_unit`).
    """
    terms = catalogue.top_up_terms(livemode=book.livemode, currency=currency)
    if unit is None:
        return terms
    found = credit_units.find_active_unit(livemode=book.livemode, code=unit, pointer="/unit")
    return terms.of_unit(found)


def at_rate(unit: CreditUnit | None, *, amount: Decimal, currency: str) -> dict[str, Any]:
    """Return what a top-up keeps of the unit that it buys; empty for money.

    Raises: Invalid (`no_rate`, `buys_no_credit`, `out_of_range`).
    """
    if unit is None:
        return {}
    bought = credit_units.credits_for(unit, amount, currency)
    return {"credit_unit": unit.code, "credits": bought}


def of_pack(
    *, book: Book, code: str, currency: str, now: datetime
) -> tuple[TopUpTerms, dict[str, Any]]:
    """Return the terms of a pack, and what its top-up keeps: price, credits, bonus and lifetime.
    The book must be locked.

    Raises: Invalid (as `packs.find_pack`, and `pack_limit`).
    """
    pack = packs.find_pack(livemode=book.livemode, code=code, currency=currency, now=now)
    if pack.max_per_customer is not None:
        bought = TopUp.objects.filter(book=book, pack__code=code).exclude(status=TopUpStatus.FAILED)
        if bought.count() >= pack.max_per_customer:
            detail = f"A customer may buy {code} {pack.max_per_customer} times."
            raise Invalid([FieldError("/pack", "pack_limit", detail)])
    terms = catalogue.top_up_terms(livemode=book.livemode, currency=currency).of_unit(pack.unit)
    return replace(terms, expires_after_days=pack.expires_after_days), {
        "amount": pack.costs[currency],
        "credit_unit": pack.unit.code,
        "credits": pack.quantity,
        "bonus": pack.bonus_quantity,
        "pack": pack,
    }
