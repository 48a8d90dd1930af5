"""Numbers without gaps or repeats, however many invoices are finalized at once."""

from __future__ import annotations

import pytest
from django.utils import timezone

from billing.finance import verification
from billing.invoicing import invoices
from billing.jobs import due_work
from billing.models import Invoice, IssuedDocument
from tests import factories
from tests.concurrency.threads import at_once
from tests.factories import subscribed_since

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

DRAFTS, CALLS = 20, 30


def test_twenty_drafts_finalized_at_once_have_twenty_numbers_in_a_row() -> None:
    """Half of the drafts are finalized twice at the same moment: one of both is too late, and uses
    no number up.
    """
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "10"}}
    factories.offering(charges=[fee], spec={"draft_hours": 48})
    subscribed_since(32, *(f"cust_{n}" for n in range(DRAFTS)))
    due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)
    drafts = [str(pk) for pk in Invoice.objects.order_by("pk").values_list("pk", flat=True)]
    assert len(drafts) == DRAFTS

    def finalize(n: int) -> bool:
        try:
            invoices.finalize(livemode=False, reference=drafts[n % DRAFTS])
        except invoices.NotDraft:
            return False
        return True

    done = at_once(CALLS, finalize)

    assert sum(done) == DRAFTS
    numbers = [f"TEST-{n:06d}" for n in range(1, DRAFTS + 1)]
    assert [*Invoice.objects.order_by("number").values_list("number", flat=True)] == numbers
    assert sorted(IssuedDocument.objects.values_list("number", flat=True)) == numbers
    assert verification.verify().ok
