"""Whatever happens to a subscription, in whatever order, at whatever instant: each cycle ends where
the calendar says, no two overlap, and every token and every day of a fee is billed once.

AFORO_MACHINE=500x80 runs 500 customers of 80 steps each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aforo.errors import DomainError
from billing.customers import customers
from billing.finance import verification
from billing.lifecycle import changes, subscribing
from billing.models import Invoice, Settlement, Subscription
from billing.usage import ingest
from tests import factories
from tests.billing.lifecycle import contract
from tests.factories import START, advance
from tests.histories import examples

pytestmark = pytest.mark.django_db

EXAMPLES, STEPS = (int(n) for n in os.environ.get("AFORO_MACHINE", f"{examples(5)}x16").split("x"))
ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati"]
NUMBERS = count(1)
SPANS = st.one_of(
    st.sampled_from([timedelta(days=1), timedelta(days=31), timedelta(days=70)]),
    st.timedeltas(timedelta(hours=1), timedelta(days=45)),
)


def offer(ahead: bool, trial_days: int) -> str:
    """Return the code of an offering of the plan: its fee in advance or in arrears, with a trial or
    without.
    """
    return f"{'ahead' if ahead else 'after'}_{trial_days}"


def sell() -> None:
    for ahead in (False, True):
        for trial_days in (0, 14):
            fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": str(contract.FEE)},
                   "timing": "ADVANCE" if ahead else "ARREARS"}  # fmt: skip
            included = {"included_quantity": str(contract.INCLUDED), "unit_price": "1"}
            quota = {"code": "tokens", "model": "INCLUDED_QUOTA", "metric": "tokens",
                     "terms": included}  # fmt: skip
            terms: dict[str, Any] = {"trial_days": trial_days} if trial_days else {}
            factories.offering(offer(ahead, trial_days), charges=[fee, quota], **terms)


class Subscribing(RuleBasedStateMachine):
    """One customer on a test clock, beside its model; each run leaves the database as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(transaction.atomic())
        self.book = factories.clocked_customer()
        self.model = contract.Customer(START)

    def teardown(self) -> None:
        try:
            assert verification.verify().ok
        finally:
            transaction.set_rollback(True)
            self.stack.close()

    def both(self, call: Callable[[], object], ask: Callable[[], object]) -> None:
        """Run an operation in both, which accept it or refuse it alike."""
        is_refused = False
        try:
            ask()
        except contract.Refused:
            is_refused = True
        before = factories.everything(), Settlement.objects.count()
        if is_refused:
            with pytest.raises(DomainError):
                call()
            assert (factories.everything(), Settlement.objects.count()) == before
        else:
            call()

    def found(self) -> Subscription:
        return Subscription.objects.latest("created_at")

    @precondition(lambda self: self.model.contract is None)
    @rule(
        ahead=st.booleans(),
        trial_days=st.sampled_from([0, 0, 14]),
        anchor_day=st.sampled_from([None, None, 1, 15, 31]),
    )
    def subscribe(self, ahead: bool, trial_days: int, anchor_day: int | None) -> None:
        subscribing.subscribe(
            livemode=False,
            customer_id="cust_1",
            offering=offer(ahead, trial_days),
            anchor_day=anchor_day,
        )
        self.model.subscribe(ahead=ahead, trial_days=trial_days, anchor_day=anchor_day)

    @rule(quantity=st.integers(1, 400))
    def meter(self, quantity: int) -> None:
        event = factories.event("cust_1", quantity, f"meter {next(NUMBERS)}", self.model.now)
        outcome = ingest.ingest(livemode=False, events=[event], received_at=self.model.now)
        assert outcome.accepted == 1
        self.model.use(quantity)

    @rule(quantity=st.integers(1, 400))
    def debit(self, quantity: int) -> None:
        name = f"debit {next(NUMBERS)}"
        self.both(
            lambda: factories.use("cust_1", Decimal(quantity), name),
            lambda: self.model.use_at_once(quantity),
        )

    @precondition(lambda self: Subscription.objects.exists())
    @rule()
    def pause(self) -> None:
        key = self.found().pk
        self.both(lambda: changes.pause(livemode=False, subscription_id=key), self.model.pause)

    @precondition(lambda self: Subscription.objects.exists())
    @rule()
    def resume(self) -> None:
        key = self.found().pk
        self.both(lambda: changes.resume(livemode=False, subscription_id=key), self.model.resume)

    @precondition(lambda self: Subscription.objects.exists())
    @rule(at=st.sampled_from(["NOW", "PERIOD_END"]))
    def cancel(self, at: str) -> None:
        key = self.found().pk
        self.both(
            lambda: changes.cancel(livemode=False, subscription_id=key, at=at),
            lambda: self.model.cancel(now=at == "NOW"),
        )

    @rule(zone=st.sampled_from(ZONES))
    def move(self, zone: str) -> None:
        changes: dict[str, object] = {"timezone": zone}
        customers.update_customer(livemode=False, customer_id="cust_1", changes=changes)
        self.model.zone = zone

    @rule(span=SPANS)
    def wait(self, span: timedelta) -> None:
        advance(self.book, self.model.now + span)
        self.model.advance(self.model.now + span)

    @precondition(lambda self: self.model.contract is not None and self.model.state != "PAUSED")
    @rule()
    def wait_for_the_end(self) -> None:
        assert self.model.contract is not None
        end = self.model.contract.cycle.end
        advance(self.book, end)
        self.model.advance(end)

    @invariant()
    def agree(self) -> None:
        settled = Settlement.objects.filter(kind="CYCLE").order_by("subscription", "cycle")
        assert [_shown(each) for each in settled] == self.model.settled
        opened = Settlement.objects.filter(kind="OPENING").order_by("subscription", "cycle")
        assert [_shown(each) for each in opened if each.totals["subtotal"] != "0"] == (
            self.model.opened
        )
        owed = sum(amount for _, _, amount in [*self.model.settled, *self.model.opened])
        billed = sum(Invoice.objects.values_list("total", flat=True), Decimal(0))
        assert Fraction(billed) == owed
        if self.model.contract is not None:
            found, cycle = self.found(), self.model.contract.cycle
            assert found.status == self.model.state
            if found.status != "PAUSED":
                assert (found.current_starts_at, found.current_ends_at) == (cycle.start, cycle.end)


def _shown(each: Settlement) -> tuple[object, object, Fraction]:
    return each.starts_at, each.ends_at, Fraction(each.totals["subtotal"])


@pytest.mark.histories
def test_subscriptions_agree_with_a_second_opinion() -> None:
    sell()
    run_state_machine_as_test(
        Subscribing,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
