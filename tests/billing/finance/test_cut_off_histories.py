"""The same months, whoever comes when (docs/decisions.md#d45): a customer whose months are swept
and closed at once, closed late, or brought up after the worker was down all the time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.finance import verification
from billing.finance.closing import tie_outs
from billing.lifecycle import subscribing
from billing.usage import ingest
from ledger.models import Seal
from ledger.reports import trial_balance
from ledger.seals import seals
from tests import factories
from tests.histories import examples

pytestmark = [pytest.mark.django_db, pytest.mark.histories]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# A failing example is shown as it is found; making it smaller would take minutes.
QUICK = (Phase.explicit, Phase.generate)
MONTHS = [date(2026, month, 1) for month in (1, 2, 3)]
ENDS = [datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4)]
EARNED = ("4000", "4010", "4020", "4030")

# The hour of the year at which 500 tokens (1.00) are used so often, and received so much later;
# months are closed no sooner than all has come.
USED = st.tuples(st.integers(24 * 20, 24 * 88), st.integers(1, 40), st.integers(0, 40))

Used = Sequence[tuple[int, int, int]]
Story = Callable[["Company"], None]
SEAL = Seal(number=1, hash="0" * 64)


class Company:
    """A live customer, subscribed on a day of January, and the real time, which a story moves."""

    def __init__(self, mode: str, day: int, charges: Sequence[dict[str, Any]], used: Used) -> None:
        self.now = datetime(2026, 1, day, tzinfo=UTC)
        factories.person("ann")
        with self.clock():
            factories.offering(
                billing_mode=mode, livemode=True, charges=[*charges, *factories.TOKENS_AT_2_MILLS]
            )
            factories.customer(livemode=True)
            factories.top_up("cust_1", "1500" if mode == "PREPAID" else "30", livemode=True)
            subscribing.subscribe(livemode=True, customer_id="cust_1", offering="tokens_monthly")
        came = [
            (
                factories.START + (hours + delay) * HOUR,
                factories.START + hours * HOUR,
                quantity * 500,
            )
            for hours, quantity, delay in used
        ]
        self.coming = sorted(came)

    def clock(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(mock.patch.object(timezone, "now", self._time))
        # A seal is a transaction of its own, and this is inside of one.
        stack.enter_context(mock.patch.object(seals, "_seal", return_value=SEAL))
        return stack

    def _time(self) -> datetime:
        return self.now

    def reach(self, moment: datetime, *commands: Sequence[str], sweeps: bool) -> None:
        """Receive what comes by a moment, sweeping after each if so, then run commands."""
        with self.clock():
            while self.coming and self.coming[0][0] <= moment:
                self.now, used_at, quantity = self.coming.pop(0)
                event = factories.event("cust_1", quantity, f"{len(self.coming)}", used_at)
                found = ingest.ingest(livemode=True, events=[event], received_at=self.now)
                assert found.accepted == 1
                if sweeps:
                    call_command("sweep", stdout=io.StringIO())
            self.now = moment
            for command in commands:
                call_command(*command, stdout=io.StringIO())


def _close(month: date) -> list[str]:
    return ["close_period", f"{month:%Y-%m}", "--by", "ann"]


def at_once(company: Company) -> None:
    """Sweep whenever something comes and at each month's end, and close two days after it."""
    for month, end in zip(MONTHS, ENDS, strict=True):
        company.reach(end, ["sweep"], sweeps=True)
        company.reach(end + 2 * DAY, _close(month), sweeps=True)


def closed_late(company: Company) -> None:
    """Sweep in time, and close all months in the middle of April."""
    for end in ENDS:
        company.reach(end + 7 * HOUR, ["sweep"], sweeps=True)
    company.reach(ENDS[-1] + 14 * DAY, *map(_close, MONTHS), sweeps=True)


def worker_down(company: Company) -> None:
    """Sweep never, until all months are closed in the middle of April."""
    company.reach(ENDS[-1] + 14 * DAY, *map(_close, MONTHS), sweeps=False)


def worker_down_over_an_end(company: Company) -> None:
    """Sweep never from the day before each month's end until the second of the next."""
    for month, end in zip(MONTHS, ENDS, strict=True):
        company.reach(end - DAY, ["sweep"], sweeps=True)
        company.reach(end + 33 * HOUR, ["sweep"], sweeps=False)
        company.reach(end + 2 * DAY, _close(month), sweeps=True)


def earned(until: date) -> dict[str, Decimal]:
    """Return the revenue of usage and of fees up to a day."""
    stands = {row.account: row.balance for row in trial_balance(livemode=True, as_of=until)}
    usage = sum((stands.get(account, Decimal(0)) for account in EARNED[:3]), Decimal(0))
    return {"usage": usage, "fees": stands.get(EARNED[3], Decimal(0))}


def told(story: Story, *terms: Any) -> list[dict[str, Decimal]]:
    """Return what was earned by each month's end, at the end of a story."""
    with transaction.atomic():
        company = Company(*terms)
        story(company)
        assert not company.coming
        days = [end.date() - DAY for end in ENDS]
        months = [earned(day) for day in days]
        for day in days:
            ties = tie_outs.of_day(livemode=True, until=day)
            assert [tie for tie in ties if not tie.holds] == []
        proof = verification.verify(livemode=True, customer_id="cust_1")
        assert proof.ok, proof.first_bad
        transaction.set_rollback(True)
    return months


FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "62"}}
CHARGES = {
    "usage alone": [],
    "a fee in arrears": [FEE],
    "a fee in advance": [FEE | {"timing": "ADVANCE"}],
}


@settings(
    max_examples=examples(3), deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck)
)
@given(
    used=st.lists(USED, min_size=2, max_size=6),
    mode=st.sampled_from(["PREPAID", "HYBRID", "POSTPAID"]),
    day=st.integers(1, 20),
    charges=st.sampled_from(sorted(CHARGES)),
)
def test_months_do_not_depend_on_who_comes_when(
    used: Used, mode: str, day: int, charges: str
) -> None:
    terms = (mode, day, CHARGES[charges], used)
    stories = (at_once, closed_late, worker_down, worker_down_over_an_end)

    months = {story.__name__: told(story, *terms) for story in stories}

    for name, found in months.items():
        assert found == months["at_once"], name
    if charges == "usage alone":
        # By hand: what was used by a month's end is earned by then.
        for end, month in zip(ENDS, months["at_once"], strict=True):
            until = (end - factories.START) // HOUR
            assert month["usage"] == sum(count for hours, count, _ in used if hours < until)
