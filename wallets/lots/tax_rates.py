"""The tax rates of a customer as its wallets have them: each from an instant on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class RateInForce:
    """The tax of a sale: zero percent under reverse charge."""

    name: str
    percent: Decimal
    jurisdiction: str

    @property
    def facts(self) -> dict[str, str]:
        """Return the rate as entries name it."""
        return {
            "tax_code": self.name,
            "tax_percent": f"{self.percent:f}",
            "jurisdiction": self.jurisdiction,
        }


def rate_at(rates: Sequence[Mapping[str, str]], moment: datetime) -> RateInForce | None:
    """Return the rate in force at a moment: the last one that has begun."""
    for rate in reversed(rates):
        if datetime.fromisoformat(rate["from"]) <= moment:
            return RateInForce(rate["name"], Decimal(rate["percent"]), rate["jurisdiction"])
    return None


def rate_in(document: Mapping[str, object]) -> RateInForce | None:
    """Return the rate that an entry names, if any."""
    if "tax_code" not in document:
        return None
    return RateInForce(
        str(document["tax_code"]), Decimal(str(document["tax_percent"])),
        str(document["jurisdiction"]),
    )  # fmt: skip
