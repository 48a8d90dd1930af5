"""Books, then coupons and campaigns, then the counters of documents, whoever comes how.

Each transaction is stopped where it has taken its first common row until the other has too, so that
any second order would end in a deadlock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing import locks
from billing.finance import verification
from billing.invoicing import numbering, statement_numbers
from billing.jobs import due_work
from billing.models import Invoice, Settlement, Subscription
from ledger.models import Book
from pricing.campaigns import campaigns as pricing_campaigns
from pricing.models import Campaign, Offering
from tests import campaigns, factories
from tests.concurrency.threads import at_once
from wallets.grants import campaign_grants

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

FEE = {"code": "fee", "model": "FLAT_RATE", "timing": "ADVANCE", "terms": {"flat_fee": "5"}}
WELCOME: dict[str, Any] = {
    "name": "Welcome",
    "trigger": "SUBSCRIPTION",
    "amount": "10",
    "currency": "USD",
    "budget": "1000",
}


class Meeting:
    """A barrier: each of two transactions waits, once, until the other has locked its first row
    too.
    """

    def __init__(self) -> None:
        self.taken = {"campaign": threading.Event(), "counter": threading.Event()}
        self.mine = threading.local()

    def take(self, what: str) -> None:
        if getattr(self.mine, "first", None) is None:
            self.mine.first = what
            self.taken[what].set()
            other = "counter" if what == "campaign" else "campaign"
            # In one order nobody holds the other row first, and the wait ends by itself.
            self.taken[other].wait(1)


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> Meeting:
    met = Meeting()
    claim, next_number = pricing_campaigns.claim, locks.next_number

    def claimed(**terms: Any) -> Any:
        found = claim(**terms)
        met.take("campaign")
        return found

    def numbered(**terms: Any) -> str:
        number = next_number(**terms)
        met.take("counter")
        return number

    monkeypatch.setattr(pricing_campaigns, "claim", claimed)
    monkeypatch.setattr(locks, "next_number", numbered)
    return met


def prepare(billing_mode: str) -> None:
    """Sell with a fee in advance and without; a campaign welcomes every subscriber."""
    factories.metric("tokens")
    factories.offering("with_fee", billing_mode=billing_mode, charges=[FEE])
    factories.offering("waits", billing_mode="PREPAID", charges=[FEE])
    factories.offering("without_fee", billing_mode="PREPAID")
    campaigns.running("W", WELCOME, now=timezone.now() - timedelta(hours=1))
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
    factories.top_up("cust_1", "20")


def subscribe_with_fee() -> Subscription:
    """Subscribe, which locks the counter for the fee's document, and the campaign's row for the
    welcome.
    """
    return factories.subscription("cust_1", "with_fee")


def subscribe_and_start_another() -> Subscription:
    """Subscribe, which locks the campaign's row; its grant pays the fee of another subscription,
    which has a document.
    """
    return factories.subscription("cust_2", "without_fee")


def redeem() -> Any:
    """Redeem a code, which locks another campaign's row; its grant starts the waiting subscription,
    which is welcomed.
    """
    return campaign_grants.redeem(livemode=False, customer_id="cust_2", code="CODE", key="r")


@pytest.mark.parametrize("billing_mode", ["PREPAID", "HYBRID"])
@pytest.mark.parametrize("other", [subscribe_and_start_another, redeem])
def test_a_subscription_and_a_grant_in_opposite_orders(
    meeting: Meeting, billing_mode: str, other: Callable[[], Any]
) -> None:
    prepare(billing_mode)
    code = {"name": "C", "trigger": "CODE", "redemption_code": "CODE"}
    campaigns.running("C", {**WELCOME, **code}, now=timezone.now() - timedelta(hours=1))
    waiting = factories.subscription("cust_2", "waits")
    assert waiting.status == "CREATED"
    meeting.mine.first = None
    jobs: list[Callable[[], Any]] = [subscribe_with_fee, other]

    at_once(2, lambda n: jobs[n]())

    waiting.refresh_from_db()
    assert waiting.status == "ACTIVE"
    assert Subscription.objects.get(customer__book__key="cust_1").status == "ACTIVE"
    # Each fee has its document, and each document its number, without gaps.
    openings = Settlement.objects.filter(billing_mode="PREPAID", kind="OPENING")
    prepaid = 2 if billing_mode == "PREPAID" else 1
    assert sorted(str(opening.statement_number) for opening in openings) == [
        f"TEST-STM-{n:06d}" for n in range(1, prepaid + 1)
    ]
    invoices = Invoice.objects.values_list("number", flat=True)
    assert list(invoices) == ([] if billing_mode == "PREPAID" else ["TEST-000001"])
    assert verification.verify().ok


def test_several_campaigns_are_taken_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One customer is welcomed by B alone, then A comes in by what B gives; the other by both."""
    prepare("PREPAID")
    first = Campaign.objects.get()
    second = {**WELCOME, "name": "Second"}
    campaigns.running("V", second, now=timezone.now() - timedelta(hours=1))
    held: list[list[int]] = []
    hold = pricing_campaigns.lock_in_order

    def listed(running: list[Campaign]) -> None:
        held.append([campaign.pk for campaign in running])
        hold(running)

    monkeypatch.setattr(pricing_campaigns, "lock_in_order", listed)
    jobs = [subscribe_with_fee, subscribe_and_start_another]
    at_once(2, lambda n: jobs[n]())

    assert all(taken == sorted(taken) and taken[0] == first.pk for taken in held)
    assert campaigns.counters("W") == campaigns.counters("V") == (Decimal(20), 2)


def test_a_document_that_a_kill_left_without_number_gets_it_from_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare("PREPAID")
    factories.subscription("cust_2", "waits")

    def die(**terms: Any) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(numbering, "number", die)
        factories.top_up("cust_2", "5")
    opening = Settlement.objects.get(book__key="cust_2")
    assert opening.statement_number is None

    swept = due_work.sweep(now=timezone.now(), clock=timezone.now)

    assert swept.failures == []
    opening.refresh_from_db()
    assert opening.statement_number == "TEST-STM-000001"
    assert numbering.unnumbered_books(now=timezone.now()) == []


def test_numbering_takes_the_book_before_the_counter() -> None:
    """Many number the documents of one customer at once: each has one, and none is used up."""
    prepare("PREPAID")
    Offering.objects.filter(code="with_fee").update(several_per_customer=True)
    for _ in range(2):
        factories.subscription("cust_1", "with_fee")
    book = Book.objects.get(key="cust_1")

    at_once(4, lambda _: statement_numbers.number_statements(book_id=book.pk))

    numbers = Settlement.objects.values_list("statement_number", flat=True)
    assert sorted(str(n) for n in numbers) == ["TEST-STM-000001", "TEST-STM-000002"]
