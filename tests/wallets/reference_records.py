"""What the second opinion on wallets keeps: lots, holds, debits, purchases and the plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

PLACES = 10**12
CENTS = 100


class Refused(Exception):
    """The refusal that the design asks for."""


def rounded(value: Fraction, places: int = PLACES) -> Fraction:
    """Round half even."""
    return Fraction(round(value * places), places)


def in_cents(value: Fraction) -> Fraction:
    """Round half up to cents, as what is paid is."""
    return Fraction((2 * value * CENTS + 1) // 2, CENTS)


@dataclass(eq=False)
class Lot:
    number: int
    wallet: str
    kind: str
    face: Fraction
    paid: Fraction
    granted: datetime
    dies: datetime | None
    bought: int | None = None
    grant: int | None = None
    left: Fraction = Fraction(0)
    held: Fraction = Fraction(0)
    rolled: int = 0
    frozen: bool = False
    # Held when its time came and beyond what could roll: it goes when it is let go.
    doomed: Fraction = Fraction(0)

    @property
    def carried(self) -> Fraction:
        return rounded(self.paid * self.left / self.face)

    @property
    def free(self) -> Fraction:
        return Fraction(0) if self.frozen else self.left - self.held

    def lives(self, now: datetime) -> bool:
        return self.dies is None or now < self.dies


@dataclass(eq=False)
class Hold:
    wallet: str
    asked: Fraction
    kinds: list[str]
    parts: list[tuple[Lot, Fraction]]
    ends: datetime
    made: datetime
    status: str = "HELD"
    captured: Fraction = Fraction(0)
    # The overage that it may still come to, accepted when it was made.
    promised: Fraction = Fraction(0)
    grace: timedelta = timedelta(0)
    takes_what_is_there: bool = False

    @property
    def open(self) -> Fraction:
        return sum((part for _, part in self.parts), Fraction(0))


@dataclass(eq=False)
class Debit:
    wallet: str
    asked: Fraction
    overage: Fraction
    burned: list[tuple[Lot, Fraction]]
    uncovered: Fraction = Fraction(0)
    back: Fraction = Fraction(0)


@dataclass
class Purchase:
    """What was paid for credits, how much of it is gone, exact, and what was paid back in cents."""

    amount: Fraction
    gone: Fraction = Fraction(0)
    paid_back: Fraction = Fraction(0)
    cash_back: Fraction = Fraction(0)
    dispute: str = ""
    contested: Fraction = Fraction(0)


@dataclass
class Plan:
    """Grants of every cycle: wallet, kind, quantity and rollover rule."""

    length: timedelta
    ends: datetime
    grants: list[tuple[str, str, Fraction, dict[str, Any]]]


def first_of(queue: list[tuple[Lot, Fraction]], need: Fraction) -> list[tuple[Lot, Fraction]]:
    """Return the parts of the lots in a queue that cover a need, the first ones first."""
    parts = []
    for lot, there in queue:
        part = min(there, need)
        need -= part
        if part > 0:
            parts.append((lot, part))
    return parts


def without(queue: list[tuple[Lot, Fraction]], gone: Fraction) -> list[tuple[Lot, Fraction]]:
    """Return what is left of a queue once its first parts are gone."""
    rest = []
    for lot, there in queue:
        part = min(there, gone)
        gone -= part
        if there > part:
            rest.append((lot, there - part))
    return rest


def must_be_open(hold: Hold) -> None:
    if hold.status == "EXPIRED":
        raise Refused("reservation_expired")
    if hold.status != "HELD":
        raise Refused("reservation_closed")
