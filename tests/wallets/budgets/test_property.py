"""Whatever agents do, in whatever order: budgets have counted what an independent model has.

The model knows budgets and windows only: a list of what each hold and debit took, and from which
window. Credits never run out.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from tests import factories
from tests.factories import START
from tests.histories import examples
from tests.wallets import actions
from tests.wallets.budgets.spending import capture, debit, take, void
from wallets.debits import engine, reversals
from wallets.models import BudgetCounter

pytestmark = pytest.mark.django_db

# Code, limit, the attribute that it counts per, and the hours of its window (None: all time).
BUDGETS: list[tuple[str, int, str, int | None]] = [
    ("all", 60, "", None), ("hour", 25, "", 1), ("user", 12, "user", 24),
]  # fmt: skip
Place = tuple[str, str, int]


@dataclass
class Taken:
    """What a debit or hold has in each place, the oldest first."""

    held: dict[str, list[tuple[Place, Fraction]]] = field(default_factory=dict)
    used: dict[str, list[tuple[Place, Fraction]]] = field(default_factory=dict)
    user: str = ""
    left: Fraction = Fraction(0)


class Model:
    def __init__(self) -> None:
        self.used: dict[Place, Fraction] = defaultdict(Fraction)
        self.held: dict[Place, Fraction] = defaultdict(Fraction)
        self.hour = 0

    def place(self, code: str, per: str, hours: int | None, user: str) -> Place:
        return code, user if per else "", 0 if hours is None else self.hour // hours

    def allows(self, user: str, amount: Fraction) -> bool:
        return all(
            self.used[place] + self.held[place] + amount <= limit
            for code, limit, per, hours in BUDGETS
            for place in [self.place(code, per, hours, user)]
        )

    def count(self, into: dict[Place, Fraction], user: str, amount: Fraction) -> dict[str, Any]:
        parts = {}
        for code, _, per, hours in BUDGETS:
            place = self.place(code, per, hours, user)
            into[place] += amount
            parts[code] = [(place, amount)]
        return parts

    def capture(self, of: Taken, amount: Fraction) -> bool:
        reserved = min(amount, of.left)
        if amount > reserved and not self.allows(of.user, amount - reserved):
            return False
        for code, parts in of.held.items():
            need, used = reserved, of.used.setdefault(code, [])
            for place, part in parts:
                moved = min(part, need)
                need -= moved
                self.held[place] -= part
                self.used[place] += moved
                used.append((place, moved))
        if amount > reserved:
            for code, parts in self.count(self.used, of.user, amount - reserved).items():
                of.used[code] += parts
        of.held, of.left = {}, Fraction(0)
        return True

    def release(self, of: Taken) -> None:
        for parts in of.held.values():
            for place, part in parts:
                self.held[place] -= part
        of.held, of.left = {}, Fraction(0)

    def reverse(self, of: Taken) -> None:
        for parts in of.used.values():
            for place, part in parts:
                self.used[place] -= part


ACTS = ["debit", "debit", "reserve", "reserve", "capture", "void", "reverse", "hour"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTS),
        st.sampled_from(["ann", "bob"]),
        st.integers(1, 900),
        st.integers(0, 100),
    ),
    min_size=10,
    max_size=30,
)


class Run:
    """One customer beside its model."""

    def __init__(self) -> None:
        self.book = factories.clocked_customer()
        factories.top_up("cust_1", "100000")
        for code, limit, per, hours in BUDGETS:
            window = {None: "TOTAL", 1: "HOUR", 24: "DAY"}[hours]
            factories.budget(code, str(limit), per=per, window=window, match={"user": "*"})
        self.model = Model()
        self.holds: list[tuple[UUID, Taken]] = []
        self.debits: list[tuple[UUID, Taken]] = []

    def step(self, what: str, user: str, cents: int, which: int) -> None:
        amount = Fraction(cents, 100)
        match what:
            case "debit":
                self.debit(user, amount)
            case "reserve":
                self.reserve(user, amount)
            case "capture" if self.holds:
                self.capture(self.holds.pop(which % len(self.holds)), amount)
            case "void" if self.holds:
                made, of = self.holds.pop(which % len(self.holds))
                assert isinstance(void(made), Answer)
                self.model.release(of)
            case "reverse" if self.debits:
                made, of = self.debits.pop(which % len(self.debits))
                reversals.reverse(
                    livemode=False, debit_id=made, key=actions.fresh("x"), reason="failed"
                )
                self.model.reverse(of)
            case "hour":
                self.model.hour += 1
                factories.set_clock(self.book, START + timedelta(hours=self.model.hour))

    def debit(self, user: str, amount: Fraction) -> None:
        allowed = self.model.allows(user, amount)
        result = debit(str(decimal(amount)), {"user": user})
        assert isinstance(result, Answer) is allowed
        if allowed:
            of = Taken(used=self.model.count(self.model.used, user, amount), user=user)
            self.debits.append((UUID(factories.body(result)["id"]), of))

    def reserve(self, user: str, amount: Fraction) -> None:
        allowed = self.model.allows(user, amount)
        asked = engine.ReserveRequest(
            customer_id="cust_1",
            key=actions.fresh("r"),
            amount=decimal(amount),
            currency="USD",
            expires_in=engine.MAX_HOLD,
            attributes={"user": user},
        )
        result = take(asked)
        assert isinstance(result, Answer) is allowed
        if allowed:
            parts = self.model.count(self.model.held, user, amount)
            of = Taken(held=parts, user=user, left=amount)
            self.holds.append((UUID(factories.body(result)["id"]), of))

    def capture(self, hold: tuple[UUID, Taken], amount: Fraction) -> None:
        made, of = hold
        accepted = self.model.capture(of, amount)
        result = capture(made, str(decimal(amount)))
        assert isinstance(result, Answer) is accepted
        if accepted:
            self.debits.append((UUID(factories.body(result)["id"]), of))
        else:
            self.holds.append(hold)

    def check(self) -> None:
        """Compare each counter, and the sums of the budgets, with the model."""
        found: dict[str, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
        for counter in BudgetCounter.objects.select_related("budget"):
            code, hours = counter.budget.code, {b[0]: b[3] for b in BUDGETS}[counter.budget.code]
            hour = int((counter.starts_at - START).total_seconds() // 3600)
            place = (code, counter.value, 0 if hours is None else hour // hours)
            assert Fraction(counter.used) == self.model.used[place]
            assert Fraction(counter.held) == self.model.held[place]
            found[code][0] += Fraction(counter.used)
            found[code][1] += Fraction(counter.held)
        # Each of them counts all that agents do.
        assert len({tuple(sums) for sums in found.values()}) <= 1
        assert verification.verify().ok


def decimal(amount: Fraction) -> Decimal:
    return Decimal(amount.numerator) / amount.denominator


@given(steps=STEPS)
@settings(
    max_examples=examples(6),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_budgets_have_counted_what_the_model_has(steps: list[tuple[str, str, int, int]]) -> None:
    with suppress(_Undone), transaction.atomic():
        run = Run()
        for step in steps:
            run.step(*step)
        run.check()
        raise _Undone


class _Undone(Exception):
    """Leaves the database as it was."""
