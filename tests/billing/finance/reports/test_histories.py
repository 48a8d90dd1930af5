"""What has to hold (docs/accounting.md#invariants) on random histories of a customer, at every
moment of their past.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aforo.errors import DomainError
from billing.finance import reports, verification
from ledger.models import Book
from ledger.reports import trial_balance
from ledger.reports.report_table import ReportScope, Row
from tests import factories
from tests.factories import START
from tests.histories import examples
from tests.wallets import actions
from wallets.debits import reversals
from wallets.models import CreditLot, Movement
from wallets.top_ups import refunds

pytestmark = pytest.mark.django_db

ZERO = Decimal(0)
# A history is short already, and making it shorter takes minutes.
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
HOUR = timedelta(hours=1)
MIDDLE = {
    "top_ups", "to_bonus", "granted", "billed", "usage", "tax", "breakage", "expired", "refunds",
    "credit_notes", "reclass", "migrated", "fx", "manual", "other",
}  # fmt: skip
# Where the consideration goes with each kind of movement; all else is what was paid or repaid.
REVENUE, BREAKAGE = {"CASH": "4000", "BONUS": "4010"}, {"CASH": "4200", "BONUS": "4210"}
OWED = {"CASH": "2100", "BONUS": "2110"}
OTHER = "what was paid or repaid"

amounts = st.one_of(st.integers(1, 40).map(Decimal), st.decimals("0.000000000001", "30", places=12))
steps = st.lists(
    st.tuples(
        st.sampled_from(["buy", "give", "debit", "debit", "hold", "reverse", "refund", "wait"]),
        amounts,
        st.integers(1, 40),
    ),
    min_size=3,
    max_size=9,
)


@dataclass
class History:
    """The steps of one customer on a clock, and the account balances after each."""

    book: Book = field(default_factory=factories.clocked_customer)
    now: datetime = START
    debits: list[UUID] = field(default_factory=list)
    stood: dict[datetime, Mapping[str, Decimal]] = field(default_factory=dict)

    def step(self, what: str, amount: Decimal, number: int) -> None:
        """Run one random step; a refusal changes nothing."""
        with suppress(DomainError):
            getattr(self, what)(amount, number)
        recorded = Book.objects.get(pk=self.book.pk).last_recorded_at
        if recorded is not None:
            self.stood[recorded] = actions.accounts()

    def buy(self, amount: Decimal, number: int) -> None:
        cents = max(amount.quantize(Decimal("0.01")), Decimal("0.01"))
        actions.bundle(f"{cents}", f"{number}", expires_at=self.now + 2 * number * HOUR)

    def give(self, amount: Decimal, number: int) -> None:
        expires_at = self.now + number * HOUR
        factories.grant("cust_1", f"{amount:f}", name=actions.fresh("g"), expires_at=expires_at)

    def debit(self, amount: Decimal, number: int) -> None:
        name = actions.fresh("d")
        answers = [factories.debit("cust_1", f"{amount:f}", name) for _ in range(2)]
        if not isinstance(answers[0], DomainError):
            bodies = [factories.body(answer) for answer in answers]
            assert bodies[0] == bodies[1], "a repeat gives the first answer"
            self.debits.append(UUID(bodies[0]["id"]))

    def hold(self, amount: Decimal, number: int) -> None:
        held = actions.reserve(f"{amount:f}", expires_in=number * 3_600)
        if not isinstance(held, DomainError) and number % 2:
            actions.capture(factories.body(held)["id"])

    def reverse(self, amount: Decimal, number: int) -> None:
        if self.debits:
            reversals.reverse(
                livemode=False, debit_id=self.debits[number % len(self.debits)],
                key=actions.fresh("r"), reason="test", amount=amount if number % 2 else None,
            )  # fmt: skip

    def refund(self, amount: Decimal, number: int) -> None:
        refunds.refund(
            livemode=False, customer_id="cust_1", key=actions.fresh("b"), amount=Decimal(number),
            currency="USD", reason="test",
        )  # fmt: skip

    def wait(self, amount: Decimal, number: int) -> None:
        self.now += number * HOUR
        factories.advance(self.book, self.now)


def balances(found: Any) -> dict[str, Decimal]:
    """Return what accounts stand at, debits less credits; none at zero."""
    return {row.account: row.debit - row.credit for row in found if row.debit != row.credit}


def recomputed(until: date) -> dict[str, Decimal]:
    """Return what accounts must stand at after a day, from the movements alone."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    moved = Movement.objects.filter(entry__accounting_date__lte=until, carrying__gt=0)
    for kind, credit, carrying in moved.values_list("kind", "lot__kind", "carrying"):
        other = {"BURN": REVENUE, "REVERSE": REVENUE, "EXPIRE": BREAKAGE}.get(kind, {})
        amount = carrying if kind in {"GRANT", "REVERSE"} else -carrying
        found[OWED[credit]] -= amount
        found[other.get(credit, OTHER)] += amount
    return {account: amount for account, amount in found.items() if amount != 0}


def rows(name: str, **scope: Any) -> list[Row]:
    return list(reports.find(name).make(ReportScope(livemode=False, **scope)).rows)


def check_moments(history: History) -> None:
    """As recorded until any moment, the books are what they were at that moment."""
    for recorded, stood in history.stood.items():
        then = rows("trial-balance", recorded_until=recorded)
        assert {
            row["account"]: row["closing_debit"] - row["closing_credit"]  # type: ignore[operator]
            for row in then
            if row["closing_debit"] != row["closing_credit"]
        } == stood


def check_day(day: date) -> None:
    found = trial_balance(livemode=False, as_of=day)
    assert sum(row.debit for row in found) == sum(row.credit for row in found)
    grouped: dict[str, Decimal] = defaultdict(Decimal)
    known = {*REVENUE.values(), *BREAKAGE.values(), *OWED.values()}
    for account, amount in balances(found).items():
        grouped[account if account in known else OTHER] += amount
    assert {account: amount for account, amount in grouped.items() if amount} == recomputed(day)


def check_span(starts_on: date, ends_on: date) -> None:
    """Roll-forward and journals of a span foot, and tie to the trial balance."""
    span = {"starts_on": starts_on, "ends_on": ends_on}
    turnover = {row["account"]: row for row in rows("trial-balance", **span)}
    for row in rows("contract-liability", **span):
        assert row["opening"] + sum(row[name] for name in MIDDLE) == row["closing"]  # type: ignore[misc, operator]
        assert row["closing"] == turnover[row["account"]]["closing"]
        assert (row["difference"] or 0, row["other"]) == (0, 0)
        assert row["from_opening"] <= row["opening"]  # type: ignore[operator]
    for side in ("debit", "credit"):
        lines: dict[object, Any] = defaultdict(Decimal)
        for line in rows("journal-detail", **span):
            lines[line["account_code"]] += line[side] or ZERO
        detail = {account: amount for account, amount in lines.items() if amount}
        assert detail == {r["account"]: r[side] for r in rows("journal-summary", **span) if r[side]}
        assert detail == {account: row[side] for account, row in turnover.items() if row[side]}


def check_life(history: History) -> None:
    """Once all has lapsed, what was earned is what was paid less what was repaid."""
    history.step("wait", ZERO, 24 * 30)
    for lot in CreditLot.objects.all():
        assert (lot.remaining, lot.held, lot.carrying_remaining) == (0, 0, 0)
    stands = actions.accounts()
    earned = -sum(stands.pop(a, ZERO) for a in (*REVENUE.values(), *BREAKAGE.values()))
    assert earned == sum(stands.values()), "the rest is cash, and the cents it was rounded by"
    assert not {*OWED.values(), "2130"} & set(stands)


@pytest.mark.histories
@settings(
    max_examples=examples(4), deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck)
)
@given(steps=steps)
def test_the_past_of_a_random_history(steps: list[tuple[str, Decimal, int]]) -> None:
    with transaction.atomic():
        history = History()
        history.step("buy", Decimal(30), 20)
        for step in steps:
            history.step(*step)
        check_life(history)

        check_moments(history)
        days = sorted(
            {moved.entry.accounting_date for moved in Movement.objects.select_related("entry")}
        )
        for day in days:
            check_day(day)
        middle = days[len(days) // 2]
        check_span(date.min, middle)
        check_span(middle, date.max)
        assert verification.verify().ok
        transaction.set_rollback(True)
