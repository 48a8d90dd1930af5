"""How an overcharge of a settled cycle is returned: what is open first, then what was paid
(docs/decisions.md#d36). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import floor_amount, proportion, round_amount


@dataclass(frozen=True, slots=True)
class Borne:
    """The part of a cycle that a payer still bears: `gross`, which is `net` and tax.

    An invoice, marked by its `currency`, returns only what its currency can pay.
    """

    source: object
    gross: Decimal
    net: Decimal
    currency: str = ""


@dataclass(frozen=True, slots=True)
class PayerShare:
    """The part that goes back to one payer."""

    source: object
    gross: Decimal
    net: Decimal

    @property
    def tax(self) -> Decimal:
        return self.gross - self.net


def give_back(bearers: Iterable[Borne], net: Decimal) -> tuple[list[PayerShare], Decimal]:
    """Spread a correction over the payers of the cycle, in turn, each with its own tax; return the
    shares, and the rest that nobody bears.
    """
    shares, left = [], net
    for borne in bearers:
        part = min(borne.net, left)
        if part > 0:
            shares.append(PayerShare(borne.source, _gross(borne, part), part))
            left -= part
    return shares, left


def _gross(borne: Borne, net: Decimal) -> Decimal:
    """Return a part of the net with the tax in it; the last part takes what is left of it.

    What an invoice returns can be paid, and is never less than its net.
    """
    if net == borne.net:
        return borne.gross
    exact = proportion(borne.gross, net, borne.net)
    if not borne.currency:
        return min(max(exact, net), borne.gross)
    least = -floor_amount(-net, borne.currency)
    return min(max(round_amount(exact, borne.currency), least), borne.gross)
