"""Settlements by their id."""

from __future__ import annotations

from uuid import UUID

from aforo.errors import NotFound
from billing.models import Settlement


class UnknownSettlement(NotFound):
    """No settlement of the key's mode has this id.

    Take it from GET /v1/settlements.
    """

    default_code = "unknown_settlement"


def get_settlement(*, livemode: bool, settlement_id: UUID) -> Settlement:
    """Return a settlement.

    Raises: UnknownSettlement.
    """
    found = Settlement.objects.filter(pk=settlement_id, book__livemode=livemode)
    settlement = found.select_related("subscription__customer__book").first()
    if settlement is None:
        raise UnknownSettlement(f"There is no settlement {settlement_id}.")
    return settlement
