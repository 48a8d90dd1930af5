"""What the dump of a released version has: some of everything that a later version must keep."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing.campaigns import campaign_runs
from billing.finance import closing
from billing.quickstart import demo
from billing.realtime import usage_calls
from billing.realtime.usage_requests import UsageReserveRequest
from ledger.entries import books, entries
from ledger.posting_rules import PostingLine
from tests import campaigns, factories
from tests.factories import FEBRUARY, MARCH, START
from wallets.debits import engine
from wallets.models import TopUp
from wallets.top_ups import disputes, refunds

D = Decimal
DAY = timedelta(days=1)
ROLLING: list[dict[str, Any]] = [
    {"code": "units", "kind": "PROMO", "metric": "tokens", "quantity": D(100),
     "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True, "rollover": {"mode": "ALL"}},
]  # fmt: skip
VOLUME: list[dict[str, Any]] = [
    {"code": "calls", "description": "Calls", "model": "VOLUME", "metric": "calls",
     "terms": {"tiers": [{"up_to": "1000", "unit_price": "0.010"},
                         {"up_to": None, "unit_price": "0.008"}]}},
]  # fmt: skip
# The month of the entity that is closed, and when.
JANUARY, CLOSED_AT = date(2026, 1, 1), datetime(2026, 2, 5, tzinfo=UTC)


def live() -> None:
    """Live through the demonstration of quickstart, and through what it does not show."""
    demo.run()
    _prepaid()
    _hybrid()
    _late()
    _live_month()


def _prepaid() -> None:
    """A customer whose January cost 2.00 and who had 1.00: arrears of 1.00."""
    factories.offering("prepaid_monthly", billing_mode="PREPAID")
    book = factories.clocked_customer("cust_prepaid")
    factories.top_up("cust_prepaid", "1")
    factories.subscription("cust_prepaid", "prepaid_monthly")
    factories.meter(1_000, START, "prepaid-1", key="cust_prepaid")
    factories.advance(book, FEBRUARY)


def _hybrid() -> None:
    """A customer with units that roll on, a campaign's grant, open holds of credits and of usage, a
    refund, a dispute, and usage in the open cycle of February.
    """
    factories.offering("hybrid_monthly", grants=ROLLING)
    book = factories.clocked_customer("cust_hybrid")
    for amount in ("40", "20"):
        factories.top_up("cust_hybrid", amount)
    factories.subscription("cust_hybrid", "hybrid_monthly")
    factories.meter(60, START, "hybrid-1", key="cust_hybrid")
    factories.advance(book, FEBRUARY)
    campaigns.draft("GIFT", trigger="EVERYBODY", expires_after_days=365)
    _, run = campaign_runs.activate(livemode=False, code="GIFT", now=timezone.now())
    assert run is not None
    campaign_runs.execute(run_id=run.pk, clock=timezone.now)
    factories.debit("cust_hybrid", "3")
    held = engine.ReserveRequest(customer_id="cust_hybrid", key="hold", amount=D(2))
    factories.body(engine.execute([held], livemode=False)[0])
    usage = UsageReserveRequest(
        customer_id="cust_hybrid", metric="tokens", quantity=D(300), key="hold-usage",
        expires_in=86_400 * 20,
    )  # fmt: skip
    factories.body(usage_calls.execute(livemode=False, ask=usage))
    refunds.refund(
        livemode=False, customer_id="cust_hybrid", key="refund", amount=D(5), currency="USD",
        reason="asked",
    )  # fmt: skip
    bought = TopUp.objects.get(book=book, amount=40)
    disputes.dispute(livemode=False, top_up_id=bought.pk, state="opened", key="dispute")
    factories.meter(50_000, FEBRUARY, "hybrid-2", key="cust_hybrid")


def _late() -> None:
    """A customer whose January was settled before 200 more calls came, which make it cheaper."""
    factories.metric("calls")
    factories.offering("volume_monthly", charges=VOLUME)
    book = factories.clocked_customer("cust_late")
    factories.subscription("cust_late", "volume_monthly")
    factories.meter(900, START, "late-1", key="cust_late", metric="calls")
    factories.advance(book, FEBRUARY)
    factories.meter(200, START + DAY, "late-2", key="cust_late", metric="calls")
    factories.meter(500, FEBRUARY, "late-3", key="cust_late", metric="calls")
    factories.advance(book, MARCH)


def _live_month() -> None:
    """A live customer, paid for in January, which is closed with its pack; and credits of today."""
    book = factories.customer("cust_live", livemode=True)
    lines = [PostingLine("1000", "2220", D(5), "USD")]
    at = datetime(2026, 1, 20, tzinfo=UTC)
    with transaction.atomic():
        locked = books.lock_book(book_id=book.pk)
        entries.append([entries.EntryDraft(locked, "PAYMENT", at, {}, lines)])
    factories.person("ann")
    closing.close_period(month=JANUARY, by="ann", now=CLOSED_AT, clock=lambda: CLOSED_AT)
    factories.top_up("cust_live", "10", livemode=True)
