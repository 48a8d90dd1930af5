"""The sentences that a document without tax needs, from the evidence it keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def sentences(rates: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return, each once, what a document states of rates that its customer is not charged: a
    reversed charge with the customer's number (Directive 2006/112/EC, article 226 (11a)), an
    exemption with its certificate.
    """
    return list(dict.fromkeys(found for rate in rates for found in _sentences(rate)))


def _sentences(rate: Mapping[str, Any]) -> Iterator[str]:
    if rate.get("parts"):
        yield from sentences(rate["parts"])
        return
    match rate.get("evidence", {}):
        case {"treatment": "REVERSE_CHARGE", "tax_id": tax_id}:
            yield (
                "Reverse charge: the customer owes the tax (Directive 2006/112/EC, article 196). "
                f"VAT number of the customer: {tax_id}."
            )
        case {"treatment": "EXEMPT", "certificate": certificate}:
            yield f"Exempt from tax in {rate['jurisdiction']}: certificate {certificate}."
