"""What the tests of burns look at."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from billing.models import Settlement
from ledger.reports import trial_balance
from tests.factories import START
from wallets.models import CreditLot, Movement

DAY = timedelta(days=1)
DAY_14 = START + 14 * DAY


def totals(cycle: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = Settlement.objects.get(cycle=cycle).totals
    return found


def moves(lot: CreditLot) -> list[tuple[str, Decimal]]:
    found = Movement.objects.filter(lot=lot).order_by("entry__sequence", "position")
    return [(m.kind, m.quantity) for m in found]


def balances() -> dict[str, Decimal]:
    return {row.account: row.balance for row in trial_balance(livemode=False)}
