"""Many callers find a cycle over at once: it is renewed exactly once, before all of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from billing.jobs import due_work
from billing.models import Settlement, Subscription
from tests.billing.cycle_end.renewals import subscribed
from tests.concurrency.threads import at_once
from tests.factories import FEBRUARY, MARCH, START, meter, set_clock
from wallets.debits import engine
from wallets.debits.combiner import Combiner, execute_list
from wallets.models import CreditLot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


@pytest.mark.parametrize("grace", [0, 24])
def test_fifty_callers_after_a_cycles_end_make_one_renewal_and_one_grant(grace: int) -> None:
    """50 x 1.00 come out of the 100.00 of February, alone, in lists and beside a sweep."""
    book = subscribed("PREPAID", grace)
    meter(5_000, START)
    set_clock(book, FEBRUARY)
    combiner = Combiner()

    def call(number: int) -> engine.Result | None:
        if number == 50:
            due_work.sweep(now=FEBRUARY, clock=lambda: FEBRUARY)
            return None
        asked = engine.DebitRequest("cust_1", f"k{number}", amount=Decimal(1))
        if number % 5 == 0:
            return execute_list([asked], livemode=False)[0]
        return combiner.execute(asked, livemode=False)

    results = at_once(51, call)

    assert sum(isinstance(result, Answer) for result in results) == 50
    current = Subscription.objects.get()
    assert (current.cycle, current.current_ends_at) == (1, MARCH)
    lots = CreditLot.objects.filter(book=book).order_by("effective_at")
    assert [lot.effective_at for lot in lots] == [START, FEBRUARY]
    assert lots[1].remaining == 50
    (only,) = Settlement.objects.all()
    assert only.status == ("SEALED" if grace else "SETTLED")
    assert verification.verify().ok
