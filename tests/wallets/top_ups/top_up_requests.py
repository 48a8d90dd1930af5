"""What the tests of top-ups ask for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pricing.models import BonusSlab, TopUpRule
from wallets.models import CreditLot

URL = "/v1/wallets/top-ups"


def asked(**changes: Any) -> dict[str, Any]:
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    return {name: value for name, value in (body | changes).items() if value is not None}


def rule(**terms: Any) -> TopUpRule:
    """Sell dollars on terms; `slabs` are (from, bonus)."""
    slabs = terms.pop("slabs", [])
    made = TopUpRule.objects.create(**{"livemode": False, "currency": "USD"} | terms)
    for start, bonus in slabs:
        BonusSlab.objects.create(rule=made, from_amount=start, bonus=bonus)
    return made


def lots() -> list[tuple[str, Decimal, Decimal]]:
    found = CreditLot.objects.order_by("-kind")
    return [(lot.kind, lot.face, lot.carrying) for lot in found]
