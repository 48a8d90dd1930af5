"""Random orders of usage in time and late, pauses, and changes of the tax rate, against a second
opinion that knows nothing of settlements: it adds up all events at the end, each in the cycle in
which it occurred, by that cycle's terms and at the rate of its last instant.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from aforo.errors import DomainError
from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import changes
from billing.models import LateCredit, Subscription
from billing.usage import ingest
from ledger.models import Book
from tests import factories
from tests.factories import START, advance, posted
from tests.histories import examples

pytestmark = pytest.mark.django_db

DAY, HOUR, WEEK = timedelta(days=1), timedelta(hours=1), timedelta(days=7)
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
REVENUE = ("4000", "4010", "4020", "4030", "4040")
# 2.00 each up to 10 a week, else 1.00 each for all of them: more usage may cost less.
VOLUME = {
    "code": "calls", "model": "VOLUME", "metric": "tokens",
    "terms": {"tiers": [{"up_to": "10", "unit_price": "2"}, {"up_to": None, "unit_price": "1"}]},
}  # fmt: skip

Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["use", "late", "late", "wait", "wait", "pause", "resume", "rate"]),
        st.integers(1, 6),
        st.integers(1, 15),
    ),
    min_size=4,
    max_size=12,
)


@dataclass
class Opinion:
    """A second record of the history, as an accountant would write it."""

    served: list[tuple[datetime, datetime]] = field(default_factory=list)
    since: datetime | None = START
    events: list[tuple[datetime, int]] = field(default_factory=list)
    rates: dict[datetime, int] = field(default_factory=dict)

    def stop(self, at: datetime) -> None:
        """Close what was served up to a moment: a cycle for each week, or part of one."""
        if self.since is None:
            return
        start = self.since
        while start < at:
            end = min(at, START + ((start - START) // WEEK + 1) * WEEK)
            self.served.append((start, end))
            start = end
        self.since = None

    def owed(self) -> tuple[int, Fraction]:
        """Add up net and tax of all that was used while the subscription ran."""
        quantities: dict[tuple[datetime, datetime], int] = defaultdict(int)
        for at, quantity in self.events:
            for start, end in self.served:
                if start <= at < end:
                    quantities[start, end] += quantity
        net, tax = 0, Fraction(0)
        for (start, end), quantity in quantities.items():
            bound = Fraction(10) * Fraction((end - start) // HOUR, WEEK // HOUR)
            price = quantity * (2 if quantity <= bound else 1)
            percent = self.rates[max(at for at in self.rates if at < end)]
            net, tax = net + price, tax + Fraction(price * percent, 100)
        return net, tax


class History:
    """Does the steps to a customer, and tells the second opinion."""

    def __init__(self, mode: str) -> None:
        self.opinion, self.now, self.changed_at = Opinion(), START, START
        factories.offering(billing_mode=mode, charges=[VOLUME], interval="WEEK")
        self.book: Book = factories.clocked_customer()
        self.book.customer.country = "EE"
        self.book.customer.save(update_fields=["country"])
        self.rate(START - DAY, 20)
        if mode == "PREPAID":
            factories.top_up("cust_1", "10000")
        self.subscription = factories.subscription("cust_1")

    def rate(self, valid_from: datetime, percent: int) -> None:
        with suppress(DomainError):
            create_tax_rate(
                livemode=False,
                name=f"VAT{percent}",
                country="EE",
                percent=Decimal(percent),
                now=START,
                valid_from=valid_from,
            )
            self.opinion.rates[valid_from] = percent

    def meter(self, at: datetime, quantity: int) -> None:
        if at < START:
            return
        name = f"e{len(self.opinion.events)}"
        sent = [factories.event("cust_1", quantity, name, at)]
        outcome = ingest.ingest(livemode=False, events=sent, received_at=timezone.now())
        assert outcome.accepted == 1
        self.opinion.events.append((at, quantity))

    def change(self, what: str) -> None:
        """Pause or resume, where that is possible; two changes at one instant are told apart by
        their order alone, of which the second opinion knows nothing.
        """
        is_running = self.opinion.since is not None
        if self.changed_at == self.now or is_running != (what == "pause"):
            return
        act = changes.pause if what == "pause" else changes.resume
        act(livemode=False, subscription_id=self.subscription.pk)
        self.changed_at = self.now
        if what == "pause":
            self.opinion.stop(self.now)
        else:
            self.opinion.since = self.now

    def step(self, what: str, days: int, number: int) -> None:
        if what == "use":
            self.meter(self.now - HOUR, number)
        elif what == "late":
            self.meter(self.now - days * number * DAY // 4 - HOUR, number)
        elif what == "rate":
            self.rate(self.now + days * DAY, 15 + number)
        elif what == "wait":
            self.now += days * DAY
            advance(self.book, self.now)
        else:
            self.change(what)

    def cancel(self) -> None:
        self.now += HOUR
        advance(self.book, self.now)
        changes.cancel(livemode=False, subscription_id=self.subscription.pk, at="NOW")
        self.opinion.stop(self.now)


@pytest.mark.histories
@settings(
    max_examples=examples(5), deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck)
)
@given(mode=st.sampled_from(["PREPAID", "HYBRID", "POSTPAID"]), steps=STEPS)
# Late usage that makes a week cheaper, twice, and nothing billed after it.
@example("HYBRID", [("use", 1, 9), ("wait", 2, 1), ("use", 1, 9), ("wait", 6, 1), ("late", 6, 4)])
# Usage from before a pause that comes in it, and after it.
@example(
    "PREPAID", [("wait", 3, 1), ("pause", 1, 1), ("late", 1, 1), ("wait", 2, 1), ("late", 3, 1)]
)
@example("HYBRID", [("wait", 3, 1), ("pause", 1, 1), ("late", 1, 1), ("wait", 2, 1),
                    ("resume", 1, 1), ("late", 3, 4), ("wait", 6, 1)])  # fmt: skip
def test_all_usage_is_charged_once_by_the_terms_of_its_own_cycle(
    mode: str, steps: list[Step]
) -> None:
    with transaction.atomic():
        history = History(mode)
        for step in steps:
            history.step(*step)

        history.cancel()

        net, tax = history.opinion.owed()
        assert -sum(posted(account) for account in REVENUE) == net
        # A credit that two documents share has its tax rounded twice.
        shared = LateCredit.objects.exclude(used=0).count()
        assert abs(Fraction(-posted("2300")) - tax) <= Fraction(shared, 50)
        assert (posted("2200"), posted("1200")) == (0, 0)
        assert Subscription.objects.get().status == "CANCELLED"
        assert verification.verify().ok
        transaction.set_rollback(True)
