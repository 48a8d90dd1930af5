"""Credits in the second opinion: lots, holds and debits, and the accounts that they move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from tests.wallets.reference_records import Debit, Hold, Lot, Refused, first_of

REVENUE = {"CASH": "4000", "BONUS": "4010", "PROMO": "4000"}
LOSSES = {"CASH": "4940", "BONUS": "4940"}
BREAKAGE = {"CASH": "4200", "BONUS": "4210", "PROMO": "4200"}
LIABILITY = {"CASH": "2100", "BONUS": "2110"}
ORDER = ["PROMO", "BONUS", "CASH"]


@dataclass
class Credits:
    now: datetime
    invoices: bool = False
    limit: Fraction | None = None
    paused: bool = False
    lots: list[Lot] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    debits: list[Debit] = field(default_factory=list)
    accounts: dict[str, Fraction] = field(default_factory=dict)

    def _kinds(self, strategy: str) -> list[str]:
        return ORDER if strategy == "WATERFALL" else [strategy]

    def _find(
        self,
        wallet: str,
        need: Fraction,
        kinds: list[str],
        waterfall: bool,
        own: Fraction = Fraction(0),
    ) -> tuple[list[tuple[Lot, Fraction]], Fraction]:
        """Return the parts that lots pay of a need, and the shortfall; `own` was promised to the
        asker and is honoured whatever the rules are now.
        """
        parts, short = self._there(wallet, need, kinds)
        if short > own and not (self.invoices and waterfall and wallet == "USD"):
            raise Refused("insufficient_funds")
        if short > own and self.limit is not None and self._run_up() - own + short > self.limit:
            raise Refused("overage_limit")
        return parts, short

    def _allowed(self, wallet: str, short: Fraction, waterfall: bool, own: Fraction) -> Fraction:
        """Return how much of a shortfall may go to an invoice."""
        if not (self.invoices and waterfall and wallet == "USD"):
            return min(short, own)
        if self.limit is None:
            return short
        return min(short, max(self.limit - (self._run_up() - own), own))

    def _there(
        self, wallet: str, need: Fraction, kinds: list[str]
    ) -> tuple[list[tuple[Lot, Fraction]], Fraction]:
        alive = [lot for lot in self.lots if lot.wallet == wallet and lot.lives(self.now)]
        alive.sort(key=lambda lot: (lot.dies is None, lot.dies or lot.granted, lot.granted))
        queue = [(lot, lot.free) for kind in kinds for lot in alive if lot.kind == kind]
        parts = first_of(queue, need)
        return parts, need - sum((part for _, part in parts), Fraction(0))

    def _run_up(self) -> Fraction:
        """Sum the overage of debits, less what was taken back of it, and what holds promise."""
        debits = (max(debit.overage - debit.back, Fraction(0)) for debit in self.debits)
        holds = (hold.promised for hold in self.holds if hold.status == "HELD")
        return sum((*debits, *holds), Fraction(0))

    def _burn(
        self, wallet: str, need: Fraction, parts: list[tuple[Lot, Fraction]], overage: Fraction
    ) -> Debit:
        for lot, part in parts:
            self._change(lot, -part, REVENUE)
        debit = Debit(wallet, need, overage, parts)
        self.debits.append(debit)
        return debit

    def _must_not_be_paused(self, wallet: str) -> None:
        if self.paused and wallet == "USD":
            raise Refused("paused")

    def _end(self, hold: Hold, status: str) -> None:
        for lot, part in hold.parts:
            doomed = self._let_go(lot, part)
            # What times out comes first at its instant: a cycle that ends then may still take it,
            # it may roll, and what is left lapses with the lot.
            if status != "EXPIRED" and not lot.lives(self.now) and not lot.frozen:
                self._change(lot, -part, BREAKAGE)
            elif doomed > 0 and lot.lives(self.now):
                self._change(lot, -doomed, BREAKAGE)
        hold.parts, hold.status = [], status

    def _let_go(self, lot: Lot, part: Fraction) -> Fraction:
        """Release part of a hold, doomed credits first, as sooner expiry burns first; return how
        much of it was doomed.
        """
        doomed = min(part, lot.doomed)
        lot.doomed -= doomed
        lot.held -= part
        return doomed

    def _change(self, lot: Lot, by: Fraction, against: dict[str, str]) -> None:
        before = lot.carried
        lot.left += by
        self._post(against[lot.kind], lot.carried - before)

    def _post(self, account: str, amount: Fraction) -> None:
        self.accounts[account] = self.accounts.get(account, Fraction(0)) + amount

    def balances(self) -> Iterator[tuple[str, Fraction]]:
        """Return what every account stands at, debits less credits."""
        yield from self.accounts.items()
        for kind, account in LIABILITY.items():
            yield account, -sum((lot.carried for lot in self.lots if lot.kind == kind), Fraction(0))
