"""A second opinion on wallets, in plain Python and fractions, written from the design alone.

It knows nothing of the project's code. It is always up to date: what is due at a moment has
happened when its time is past that moment, whoever has swept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.wallets.reference_credits import BREAKAGE, LOSSES, ORDER, REVENUE, Credits
from tests.wallets.reference_records import (
    Debit,
    Hold,
    Lot,
    Plan,
    Purchase,
    Refused,
    first_of,
    in_cents,
    must_be_open,
    rounded,
    without,
)


@dataclass
class Customer(Credits):
    plan: Plan | None = None
    purchases: list[Purchase] = field(default_factory=list)

    # Credits in.

    def grant(
        self, wallet: str, kind: str, quantity: Fraction, dies: datetime | None = None, **more: Any
    ) -> Lot:
        lot = Lot(len(self.lots), wallet, kind, quantity, Fraction(0), self.now, dies, **more)
        lot.left = quantity
        self.lots.append(lot)
        return lot

    def buy(self, amount: Fraction, bonus: Fraction, dies: datetime | None) -> None:
        self.purchases.append(Purchase(amount))
        number = len(self.purchases) - 1
        cash = self.grant("USD", "CASH", amount, dies, bought=number)
        cash.paid = amount if bonus == 0 else rounded(amount * amount / (amount + bonus))
        if bonus > 0:
            extra = self.grant("USD", "BONUS", bonus, dies, bought=number)
            extra.paid = amount - cash.paid
        self._post("1010", amount)

    def start_cycle(self) -> None:
        assert self.plan is not None
        for number, (wallet, kind, quantity, _) in enumerate(self.plan.grants):
            self.grant(wallet, kind, quantity, self.plan.ends, grant=number)

    # Credits out.

    def debit(self, wallet: str, need: Fraction, strategy: str) -> Debit:
        self._must_not_be_paused(wallet)
        parts, overage = self._find(wallet, need, self._kinds(strategy), strategy == "WATERFALL")
        return self._burn(wallet, need, parts, overage)

    def reserve(
        self, wallet: str, need: Fraction, strategy: str, seconds: int, **terms: Any
    ) -> Hold:
        kinds = self._kinds(strategy)
        self._must_not_be_paused(wallet)
        parts, short = self._find(wallet, need, kinds, strategy == "WATERFALL")
        for lot, part in parts:
            lot.held += part
        ends = self.now + timedelta(seconds=seconds)
        hold = Hold(wallet, need, kinds, parts, ends, self.now, promised=short, **terms)
        self.holds.append(hold)
        return hold

    def extend(self, hold: Hold, more: Fraction | None, seconds: int | None) -> Hold:
        """More is of the lots there are now, and burns after what was held."""
        must_be_open(hold)
        ends = hold.ends
        if seconds is not None:
            ends = max(ends, self.now + timedelta(seconds=seconds))
            if hold.ends < ends > hold.made + timedelta(days=7):
                raise Refused("held_too_long")
        if more is not None:
            self._must_not_be_paused(hold.wallet)
            parts, short = self._find(hold.wallet, more, hold.kinds, hold.kinds == ORDER)
            for lot, part in parts:
                lot.held += part
            hold.parts, hold.asked = hold.parts + parts, hold.asked + more
            hold.promised += short
        hold.ends = ends
        return hold

    def capture(self, hold: Hold, asked: Fraction | None, *, final: bool) -> Debit:
        late = hold.status == "EXPIRED" and self.now < hold.ends + hold.grace
        if not late:
            must_be_open(hold)
        left = max(hold.asked - hold.captured, Fraction(0))
        need = left if asked is None else asked
        if need == 0:
            raise Refused("nothing_left")
        taken = first_of(hold.parts, need)
        rest = need - sum((part for _, part in taken), Fraction(0))
        is_more = late or need > hold.asked - hold.captured
        own = Fraction(0) if late else hold.promised
        lost = Fraction(0)
        if hold.takes_what_is_there:
            beyond, short = self._there(hold.wallet, rest, hold.kinds)
            overage = self._allowed(hold.wallet, short, hold.kinds == ORDER, own)
            lost = short - overage
        else:
            if rest > 0 and is_more:
                self._must_not_be_paused(hold.wallet)
            beyond, overage = self._find(hold.wallet, rest, hold.kinds, hold.kinds == ORDER, own)
        for lot, part in taken:
            self._let_go(lot, part)
        hold.parts = without(hold.parts, need)
        hold.captured += need
        uncovered = max(hold.asked - hold.captured - hold.open, Fraction(0))
        hold.promised = min(hold.promised, uncovered)
        debit = self._burn(hold.wallet, need, taken + beyond, overage)
        debit.uncovered = lost
        if final:
            self._end(hold, "CAPTURED")
        return debit

    def void(self, hold: Hold) -> None:
        must_be_open(hold)
        self._end(hold, "VOIDED")

    def reverse(self, debit: Debit, asked: Fraction | None) -> tuple[Fraction, Fraction]:
        """Return how much of it was overage, and how much lapsed at once."""
        left = debit.asked - debit.uncovered - debit.back
        if left == 0:
            raise Refused("already_reversed")
        if asked is not None and asked > left:
            raise Refused("exceeds_debit")
        need = left if asked is None else asked
        overage = min(need, max(debit.overage - debit.back, Fraction(0)))
        debit.back += need
        before = max(debit.back - need - debit.overage, Fraction(0))
        lapsed = Fraction(0)
        back = first_of(without(debit.burned[::-1], before), need - overage)
        for lot, part in back:
            self._change(lot, part, REVENUE)
            if not lot.lives(self.now) and not lot.frozen:
                self._change(lot, -part, BREAKAGE)
                lapsed += part
        return overage, lapsed

    def refund(self, amount: Fraction) -> Fraction:
        """Return what is paid, in cents: of each purchase the growth of one rounded sum."""
        plans = self._to_refund(amount)
        owed: dict[int, Fraction] = {}
        for lot, part in plans:
            gone = lot.carried - rounded(lot.paid * (lot.left - part) / lot.face)
            owed[lot.bought or 0] = owed.get(lot.bought or 0, Fraction(0)) + gone
        paid = {
            number: in_cents(self.purchases[number].gone + gone) - self.purchases[number].paid_back
            for number, gone in owed.items()
        }
        if not any(paid.values()) and not any(map(in_cents, owed.values())):
            raise Refused("not_payable")
        for lot, part in plans:
            lot.left -= part
            self._purchase(lot).cash_back += part if lot.kind == "CASH" else 0
        for number, gone in owed.items():
            self.purchases[number].gone += gone
            self.purchases[number].paid_back += paid[number]
            self._post("1010", -paid[number])
            self._post("7900", paid[number] - gone)
        return sum(paid.values(), Fraction(0))

    def _to_refund(self, amount: Fraction) -> list[tuple[Lot, Fraction]]:
        plans = []
        bought = [lot for lot in self.lots[::-1] if self._can_come_back(lot)]
        bought.sort(key=lambda lot: lot.granted, reverse=True)
        left = amount
        for cash in (lot for lot in bought if lot.kind == "CASH"):
            part = min(cash.free, left)
            left -= part
            if part == 0:
                continue
            plans.append((cash, part))
            before = self._purchase(cash).cash_back
            for bonus in (b for b in bought if b.kind == "BONUS" and b.bought == cash.bought):
                due = rounded(bonus.face * (before + part) / cash.face)
                due -= rounded(bonus.face * before / cash.face)
                plans.append((bonus, min(due, bonus.free)))
        if left > 0:
            raise Refused("insufficient_funds")
        return plans

    def _can_come_back(self, lot: Lot) -> bool:
        is_bought = lot.bought is not None and self._purchase(lot).dispute in {"", "won"}
        return is_bought and lot.lives(self.now) and lot.free > 0

    def _purchase(self, lot: Lot) -> Purchase:
        assert lot.bought is not None
        return self.purchases[lot.bought]

    def _lots_of(self, number: int) -> list[Lot]:
        return [lot for lot in self.lots if lot.bought == number]

    # Contested payments.

    def contest(self, number: int) -> Fraction:
        """Freeze what a payment bought, spent or not; give what the bank takes."""
        bought = self.purchases[number]
        if bought.dispute:
            raise Refused("dispute_state")
        if bought.amount == bought.paid_back:
            raise Refused("not_disputable")
        bought.dispute, bought.contested = "opened", bought.amount - bought.paid_back
        for lot in self._lots_of(number):
            lot.frozen = True
        self._post("1020", bought.contested)
        self._post("1010", -bought.contested)
        return bought.contested

    def win(self, number: int) -> None:
        bought = self._ended(number, "won")
        self._post("1010", bought.contested)

    def loses(self, number: int) -> Fraction:
        """Return what would be owed for the spent part of a lost payment."""
        bought = self.purchases[number]
        there = (
            lot.carried - rounded(lot.paid * lot.held / lot.face) for lot in self._lots_of(number)
        )
        return bought.amount - bought.gone - sum(there, Fraction(0))

    def has_for_claims(self, number: int) -> Fraction:
        """Return what other BONUS and CASH could pay."""
        return sum(
            (
                lot.free
                for lot in self.lots
                if lot.wallet == "USD"
                and lot.kind != "PROMO"
                and lot.lives(self.now)
                and lot.bought != number
            ),
            Fraction(0),
        )

    def lose(self, number: int) -> Fraction:
        """Revoke the rest; what was spent is paid from other BONUS and CASH."""
        owed = self.loses(number)
        bought = self._ended(number, "lost")
        for lot in self._lots_of(number):
            lot.left = lot.held
        self._post("4940", owed)
        self._post("7900", bought.gone - bought.paid_back)
        for lot, part in self._find("USD", owed, ["BONUS", "CASH"], False)[0]:
            self._change(lot, -part, LOSSES)
        return owed

    def _ended(self, number: int, state: str) -> Purchase:
        bought = self.purchases[number]
        if bought.dispute != "opened":
            raise Refused("dispute_state")
        bought.dispute = state
        for lot in self._lots_of(number):
            lot.frozen = False
        self._post("1020", -bought.contested)
        return bought

    # Time.

    def move(self, to: datetime) -> None:
        """Do everything that is due by then, instant by instant."""
        while (instant := self._next(to)) is not None:
            self.now = max(instant, self.now)
            for hold in sorted(self.holds, key=lambda h: h.ends):
                if hold.status == "HELD" and hold.ends <= self.now:
                    self._end(hold, "EXPIRED")
            self._end_cycle()
        self.now = to

    def _end_cycle(self) -> None:
        is_over = self.plan is not None and self.plan.ends <= self.now
        if self.plan is not None and is_over:
            self.plan.ends += self.plan.length
            for number, (*_, rule) in enumerate(self.plan.grants):
                same = [
                    lot
                    for lot in self.lots[::-1]
                    if lot.grant == number
                    and lot.dies == self.now
                    and lot.left > 0
                    and lot.rolled < int(rule.get("cycles", 10**9))
                ]
                self._roll(same, rule, self.plan.ends)
        for lot in self.lots:
            if not lot.lives(self.now) and lot.free > 0:
                self._change(lot, -lot.free, BREAKAGE)
        if is_over:
            self.start_cycle()

    def _roll(self, youngest_first: list[Lot], rule: dict[str, Any], until: datetime) -> None:
        """One rule, one sum: what is held takes its room first, then what is free."""
        there = sum((lot.left - lot.doomed for lot in youngest_first), Fraction(0))
        room = there
        if rule["mode"] == "PERCENT":
            room = rounded(there * Fraction(rule["percent"]) / 100)
        elif rule["mode"] == "CAPPED":
            below = there < Fraction(rule.get("minimum", 0))
            room = Fraction(0) if below else min(there, Fraction(rule["maximum"]))
        kept: dict[Lot, Fraction] = {}
        for lot in youngest_first:
            kept[lot] = min(lot.held - lot.doomed, room)
            room -= kept[lot]
        free: dict[Lot, Fraction] = {}
        for lot in youngest_first:
            free[lot] = min(lot.free, room)
            room -= free[lot]
        for lot in youngest_first:
            if kept[lot] + free[lot] > 0:
                self._change(lot, free[lot] - lot.free, BREAKAGE)
                lot.doomed = lot.held - kept[lot]
                lot.dies, lot.rolled = until, lot.rolled + 1

    def _next(self, to: datetime) -> datetime | None:
        due = [hold.ends for hold in self.holds if hold.status == "HELD"]
        due += [lot.dies for lot in self.lots if lot.dies is not None and lot.free > 0]
        due += [self.plan.ends] if self.plan is not None else []
        return min((moment for moment in due if moment <= to), default=None)
