"""The tax rates of a customer as its wallets have them: each from an instant on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class RateInForce:
    """The tax of a sale: zero percent under reverse charge."""

    name: str
    percent: Decimal
    jurisdiction: str
    parts: tuple[RateInForce, ...] = ()
    """The rates that it is the sum of, where there are several."""
    evidence: tuple[tuple[str, str], ...] = ()
    """Why it is zero: the treatment, and the certificate or the number that it rests on."""

    @property
    def facts(self) -> dict[str, object]:
        """Return the rate as entries name it."""
        facts: dict[str, object] = {
            "tax_code": self.name,
            "tax_percent": f"{self.percent:f}",
            "jurisdiction": self.jurisdiction,
        }
        if self.evidence:
            facts["tax_evidence"] = dict(self.evidence)
        return {**facts, "taxes": [part.facts for part in self.parts]} if self.parts else facts


def rate_at(rates: Sequence[Mapping[str, Any]], moment: datetime) -> RateInForce | None:
    """Return the rate in force at a moment: the last one that has begun, if it has a name; without
    one it says that no rate is in force any more.
    """
    for rate in reversed(rates):
        if datetime.fromisoformat(rate["from"]) <= moment:
            return rate_of_json(rate) if rate["name"] else None
    return None


def rate_of_json(shown: Mapping[str, Any]) -> RateInForce:
    """Return a rate as wallets and top-ups keep it."""
    return RateInForce(
        shown["name"],
        Decimal(shown["percent"]),
        shown["jurisdiction"],
        tuple(rate_of_json(part) for part in shown.get("parts", ())),
        tuple(sorted(shown.get("evidence", {}).items())),
    )


def rate_in(document: Mapping[str, Any]) -> RateInForce | None:
    """Return the rate that the entry of a sale names, if any."""
    if "tax_code" not in document:
        return None
    return RateInForce(
        str(document["tax_code"]),
        Decimal(str(document["tax_percent"])),
        str(document["jurisdiction"]),
        tuple(filter(None, map(rate_in, document.get("taxes", ())))),
    )
