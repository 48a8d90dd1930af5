"""Two customers do the same: one is swept at every due instant, the other never, only renewed by
its own requests. They end with the same lots, invoices and sums in the journal.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from billing.finance import verification
from billing.models import Settlement, Subscription
from ledger.models import Book
from tests import factories
from tests.billing.cycle_end.renewals import (
    FEE_30,
    MONTHLY_100,
    balances,
    documents,
    lots,
)
from tests.factories import START, advance, meter, set_clock
from tests.histories import examples

pytestmark = pytest.mark.django_db

D = Decimal
HOUR = timedelta(hours=1)
END = datetime(2026, 6, 3, tzinfo=START.tzinfo)
ROLLOVERS: tuple[dict[str, Any], ...] = (
    {"mode": "ALL", "cycles": 1},
    {"mode": "PERCENT", "percent": "50"},
    {"mode": "CAPPED", "maximum": "70"},
)
# A failing example is shown as it is found; making it smaller would take minutes.
QUICK = (Phase.explicit, Phase.generate)
# Hours until the next step, the amount of a debit, and of usage metered before it.
STEP = st.tuples(st.integers(1, 900), st.integers(1, 60), st.integers(0, 40_000))


@example(
    steps=[(345, 23, 893), (63, 19, 37_145), (335, 6, 307), (263, 44, 209), (35, 44, 201)],
    mode="PREPAID",
    grace=0,
    rollover=ROLLOVERS[0],
    has_fee=True,
)
@pytest.mark.histories
@settings(
    max_examples=examples(3), deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck)
)
@given(
    steps=st.lists(STEP, min_size=1, max_size=6),
    mode=st.sampled_from(["PREPAID", "HYBRID", "POSTPAID"]),
    grace=st.sampled_from([0, 24]),
    rollover=st.sampled_from(ROLLOVERS),
    has_fee=st.booleans(),
)
def test_requests_and_sweeps_renew_to_the_same_end(
    steps: list[tuple[int, int, int]],
    mode: str,
    grace: int,
    rollover: dict[str, Any],
    *,
    has_fee: bool,
) -> None:
    with transaction.atomic():
        factories.offering(
            billing_mode=mode,
            grants=[MONTHLY_100 | {"rollover": rollover}],
            charges=[*([FEE_30] if has_fee else []), *factories.TOKENS_AT_2_MILLS],
            spec={"grace_hours": grace},
        )
        twins = [factories.clocked_customer(key) for key in ("swept", "asked")]
        for twin in twins:
            factories.top_up(twin.key, "400")
            factories.subscription(twin.key)
        moment = START
        for number, (hours, amount, used) in enumerate(steps):
            moment = min(moment + hours * HOUR, END)
            for twin, come_to in zip(twins, (advance, set_clock), strict=True):
                come_to(twin, moment)
                answer = factories.debit(twin.key, str(amount), f"first {number}")
                if used:
                    meter(used, moment, f"used {number}", key=twin.key)
                assert answer is not None
        for twin in twins:
            advance(twin, END)

        swept, asked = twins
        assert lots(asked) == lots(swept)
        assert compared(asked, mode, has_fee=has_fee) == compared(swept, mode, has_fee=has_fee)
        assert documents(asked) == documents(swept)
        assert _settled(asked.pk) == _settled(swept.pk)
        assert verification.verify().ok
        transaction.set_rollback(True)


def compared(book: Book, mode: str, *, has_fee: bool) -> dict[str, Decimal]:
    """Return the balances; with revenue as one account where usage is paid beside a fee in advance.

    PREPAID usage that is burned before it is settled has payers of its own; settled together with
    a fee in advance, each payer carries the same share of both (`credit_application.share_of`).
    """
    found = balances(book)
    if mode == "PREPAID" and has_fee:
        revenue = sum((found.pop(account, D(0)) for account in ("4000", "4030")), D(0))
        found["revenue"] = revenue
    return found


def _settled(book_id: int) -> list[tuple[object, ...]]:
    status = Subscription.objects.get(customer=book_id).status
    done = Settlement.objects.filter(book=book_id).order_by("cycle", "kind")
    return [(status,), *done.values_list("cycle", "kind", "status", "totals__total", "arrears")]
