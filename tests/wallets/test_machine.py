"""Whatever happens to a customer's credits, in whatever order: books and model agree.

AFORO_MACHINE=500x80 runs 500 customers of 80 steps each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aforo.protocol.idempotency import Answer
from tests import factories
from tests.factories import START
from tests.histories import examples
from tests.wallets import actions, reference_model, reference_records
from tests.wallets.machine_compared import Compared
from tests.wallets.machine_inputs import (
    AMOUNTS,
    CAPPED,
    DAY,
    HALF,
    HOURS,
    LIVES,
    NUMBERS,
    STRATEGIES,
    WALLETS,
    daily_plan,
)
from wallets.debits import engine, reversals
from wallets.grants import grants
from wallets.models import TopUp
from wallets.top_ups import disputes, refunds, sales

pytestmark = pytest.mark.django_db
EXAMPLES, STEPS = (int(n) for n in os.environ.get("AFORO_MACHINE", f"{examples(6)}x30").split("x"))


class Credits(Compared):
    """What may happen to the credits of a customer."""

    @initialize(with_plan=st.booleans())
    def begin(self, with_plan: bool) -> None:
        self.model = reference_model.Customer(START, invoices=not with_plan)
        if with_plan:
            factories.subscription("cust_1", "daily")
            self.model.plan = reference_records.Plan(
                DAY,
                START + DAY,
                [("USD", "PROMO", Fraction(50), CAPPED), ("tokens", "PROMO", Fraction(100), HALF)],
            )
            self.model.start_cycle()
        else:
            self.buy(Decimal(20), Decimal(4), None)
            self.write_rules()

    def write_rules(self) -> None:
        """Write the rules of a customer without a plan of its own, as a subscription would."""
        limit = self.model.limit
        actions.rules(
            self.book,
            billing_mode="HYBRID" if self.model.invoices else "PREPAID",
            overage_limit=None if limit is None else Decimal(limit.numerator),
            spend_state="PAUSED" if self.model.paused else "ACTIVE",
        )

    @precondition(lambda self: self.model.plan is None)
    @rule(
        invoices=st.sampled_from([True, True, False]),
        limit=st.sampled_from([None, None, 0, 10, 40]),
        paused=st.sampled_from([False, False, True]),
    )
    def change_rules(self, invoices: bool, limit: int | None, paused: bool) -> None:
        """Pause, go on, end, begin, raise or lower the limit: what was promised before stays so."""
        self.model.invoices, self.model.paused = invoices, paused
        self.model.limit = None if limit is None else Fraction(limit)
        self.write_rules()

    # Credits in.

    @rule(kind=st.sampled_from(["PROMO", "BONUS"]), wallet=WALLETS, amount=AMOUNTS, lives=LIVES)
    def grant(self, kind: str, wallet: str, amount: Decimal, lives: int | None) -> None:
        dies = None if lives is None else self.model.now + timedelta(hours=lives)
        self.model.grant(wallet, kind, Fraction(amount), dies)
        asked: dict[str, Any] = (
            {"amount": amount, "currency": "USD"}
            if wallet == "USD"
            else {"metric": wallet, "quantity": amount}
        )
        grants.grant(
            livemode=False, customer_id="cust_1", key=actions.fresh("g"), kind=kind, reason="test",
            expires_at=dies, **asked,
        )  # fmt: skip

    @rule(amount=st.integers(1, 80).map(Decimal), bonus=st.integers(0, 20), lives=LIVES)
    def top_up(self, amount: Decimal, bonus: int, lives: int | None) -> None:
        self.buy(amount, Decimal(bonus), lives)

    def buy(self, amount: Decimal, bonus: Decimal, lives: int | None) -> None:
        dies = None if lives is None else self.model.now + timedelta(hours=lives)
        self.model.buy(Fraction(amount), Fraction(bonus), dies)
        sales.top_up(
            livemode=False, customer_id="cust_1", key=actions.fresh("t"), amount=amount,
            currency="USD", bonus=sales.Bonus(amount=bonus) if bonus else None, expires_at=dies,
        )  # fmt: skip

    # Credits out.

    @rule(wallet=WALLETS, amount=AMOUNTS, strategy=STRATEGIES)
    def debit(self, wallet: str, amount: Decimal, strategy: str) -> None:
        ask = engine.DebitRequest(**self.asked(wallet, amount, strategy))
        self.both(ask, lambda: self.model.debit(wallet, Fraction(amount), strategy))

    @rule(
        wallet=WALLETS, amount=AMOUNTS, strategy=STRATEGIES, hours=HOURS, takes=st.booleans(),
        grace=st.sampled_from([0, 5]),
    )  # fmt: skip
    def reserve(
        self, wallet: str, amount: Decimal, strategy: str, hours: int, takes: bool, grace: int
    ) -> None:
        takes = takes and wallet == "USD"
        ask = engine.ReserveRequest(
            **self.asked(wallet, amount, strategy), expires_in=hours * 3_600,
            over_capture="AVAILABLE" if takes else "REFUSE", grace_seconds=grace * 3_600,
        )  # fmt: skip
        terms = {"takes_what_is_there": takes, "grace": timedelta(hours=grace)}
        self.both(
            ask,
            lambda: self.model.reserve(wallet, Fraction(amount), strategy, hours * 3_600, **terms),
        )

    @precondition(lambda self: self.model.holds)
    @rule(which=NUMBERS, amount=st.none() | AMOUNTS, hours=st.none() | HOURS)
    def extend(self, which: int, amount: Decimal | None, hours: int | None) -> None:
        hold = self.model.holds[which % len(self.model.holds)]
        is_money = hold.wallet == "USD"
        seconds = None if hours is None else hours * 3_600
        ask = engine.ExtendRequest(
            reservation=self.ids[hold],
            key=actions.fresh("e"),
            expires_in=seconds,
            amount=amount if is_money else None,
            quantity=None if is_money else amount,
        )
        more = None if amount is None else Fraction(amount)
        self.both(ask, lambda: self.model.extend(hold, more, seconds))

    @precondition(lambda self: self.model.holds)
    @rule(which=NUMBERS, amount=st.none() | AMOUNTS, final=st.booleans(), more=st.booleans())
    def capture(self, which: int, amount: Decimal | None, final: bool, more: bool) -> None:
        hold = self.model.holds[which % len(self.model.holds)]
        is_money = hold.wallet == "USD"
        ask = engine.CaptureRequest(
            reservation=self.ids[hold],
            key=actions.fresh("c"),
            amount=amount if is_money else None,
            quantity=None if is_money else amount,
            final=final,
            allow_more=more,
        )
        asked = None if amount is None else Fraction(amount)
        self.both(ask, lambda: self.model.capture(hold, asked, final=final))

    @precondition(lambda self: self.model.holds)
    @rule(which=NUMBERS)
    def void(self, which: int) -> None:
        hold = self.model.holds[which % len(self.model.holds)]
        ask = engine.VoidRequest(reservation=self.ids[hold], key=actions.fresh("v"))
        self.both(ask, lambda: self.model.void(hold))

    @precondition(lambda self: self.last is not None)
    @rule()
    def again(self) -> None:
        """The same key and content gives the same answer and does nothing."""
        assert self.last is not None
        request, first = self.last
        repeat = actions.take(request)
        assert isinstance(first, Answer)
        assert isinstance(repeat, Answer)
        assert (repeat.replayed, repeat.body) == (True, first.body)

    # Credits back.

    @precondition(lambda self: self.model.debits)
    @rule(which=NUMBERS, amount=st.none() | AMOUNTS)
    def reverse(self, which: int, amount: Decimal | None) -> None:
        debit = self.model.debits[which % len(self.model.debits)]
        name = "amount" if debit.wallet == "USD" else "quantity"
        answer = self.called(
            lambda: reversals.reverse(
                livemode=False, debit_id=self.ids[debit], key=actions.fresh("r"), reason="test",
                **{name: amount},
            ),
            lambda: self.model.reverse(debit, None if amount is None else Fraction(amount)),
        )  # fmt: skip
        if answer is not None:
            body, expected = answer
            assert (Fraction(body["overage"]), Fraction(body["lapsed"])) == expected

    @rule(amount=AMOUNTS)
    def refund(self, amount: Decimal) -> None:
        answer = self.called(
            lambda: refunds.refund(
                livemode=False, customer_id="cust_1", key=actions.fresh("b"), amount=amount,
                currency="USD", reason="test",
            ),
            lambda: self.model.refund(Fraction(amount)),
        )  # fmt: skip
        if answer is not None:
            body, paid = answer
            assert Fraction(body["refunded"]) == paid

    # Contested payments.

    @precondition(lambda self: self.model.purchases)
    @rule(which=NUMBERS)
    def contest(self, which: int) -> None:
        number = which % len(self.model.purchases)
        answer = self.dispute(number, "opened", lambda: self.model.contest(number))
        if answer is not None:
            body, contested = answer
            assert Fraction(body["disputed"]) == contested
            assert (contested * 100).denominator == 1

    @precondition(lambda self: self.model.purchases)
    @rule(which=NUMBERS)
    def win(self, which: int) -> None:
        number = which % len(self.model.purchases)
        self.dispute(number, "won", lambda: self.model.win(number))

    @precondition(lambda self: self.model.purchases)
    @rule(which=NUMBERS)
    def lose(self, which: int) -> None:
        """Where other credits pay what is owed: a claim that stays open suspends, elsewhere."""
        number = which % len(self.model.purchases)
        if self.model.loses(number) <= self.model.has_for_claims(number):
            answer = self.dispute(number, "lost", lambda: self.model.lose(number))
            if answer is not None:
                body, owed = answer
                assert Fraction(body["owed"]) == owed
            if self.model.plan is None:
                # A claim has the rules written anew, of a customer without a subscription.
                self.write_rules()

    def dispute(
        self, number: int, state: str, ask: Callable[[], object]
    ) -> tuple[dict[str, Any], Any] | None:
        top_ups = TopUp.objects.order_by("created_at", "id").values_list("id", flat=True)
        return self.called(
            lambda: disputes.dispute(
                livemode=False, top_up_id=top_ups[number], state=state, key=actions.fresh("d")
            ),
            ask,
        )

    # Time.

    @rule(hours=HOURS)
    def advance(self, hours: int) -> None:
        """Advance time and do what is due: expiry, cycles, rollover, new credits."""
        to = self.model.now + timedelta(hours=hours)
        self.model.move(to)
        factories.advance(self.book, to)
        self.swept = True

    @rule(hours=st.sampled_from([1, 5]))
    def let_time_pass(self, hours: int) -> None:
        """Advance time without a sweep, inside a cycle."""
        to = self.model.now + timedelta(hours=hours)
        if self.model.plan is None or to < self.model.plan.ends:
            self.model.move(to)
            actions.set_clock(to)
            self.swept = False


@pytest.mark.histories
def test_the_wallets_agree_with_a_second_opinion() -> None:
    daily_plan()
    run_state_machine_as_test(
        Credits,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
