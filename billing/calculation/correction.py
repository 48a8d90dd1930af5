"""Who gets back what a settled cycle was charged too much: what is open first, then what was paid
(docs/decisions.md#d36). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import floor_amount, proportion, round_amount


@dataclass(frozen=True, slots=True)
class Borne:
    """What somebody still bears of a cycle: `gross`, which is `net` and tax.

    An invoice, named by its `currency`, gives back what its currency can pay.
    """

    source: object
    gross: Decimal
    net: Decimal
    currency: str = ""


@dataclass(frozen=True, slots=True)
class PayerShare:
    """What goes back to one of them."""

    source: object
    gross: Decimal
    net: Decimal

    @property
    def tax(self) -> Decimal:
        return self.gross - self.net


def give_back(bearers: Iterable[Borne], net: Decimal) -> tuple[list[PayerShare], Decimal]:
    """Spread a correction over those who bear the cycle, in turn, each with its own tax; give the
    shares, and what nobody bears.
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

    What an invoice gives back can be paid, and is never less than its net.
    """
    if net == borne.net:
        return borne.gross
    exact = proportion(borne.gross, net, borne.net)
    if not borne.currency:
        return min(max(exact, net), borne.gross)
    least = -floor_amount(-net, borne.currency)
    return min(max(round_amount(exact, borne.currency), least), borne.gross)
