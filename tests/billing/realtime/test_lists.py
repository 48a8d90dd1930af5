"""A list of real-time usage is priced as if each request had come alone and everything had been
read anew from the database, to the last digit; and it costs hardly more statements than one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from aforo import money
from aforo.errors import DomainError
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import now_for
from billing.calculation.calculation import Calculation
from billing.customers import customers
from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import subscribing
from billing.models import Subscription, UsageEvent
from billing.realtime.usage_pricing import UsagePricing
from billing.realtime.usage_requests import UsageRequest, UsageReserveRequest
from billing.settlement import cycle_burns, usage_burn
from billing.subscriptions import cycles
from billing.usage import ingest, rollup_upkeep, rollups
from billing.usage.events import read_event
from ledger.entries import books
from ledger.models import Book, LedgerEvent
from pricing.metrics import metrics
from pricing.models import Metric
from pricing.offerings import coupons
from pricing.terms import Beyond, parse_caps
from tests import factories
from tests.factories import START
from wallets.debits import engine
from wallets.debits.combiner import execute_list
from wallets.grants import grants
from wallets.lots import queries
from wallets.lots.credit_journal import CreditJournal
from wallets.models import Operation, Wallet

pytestmark = pytest.mark.django_db

D = Decimal
MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
BIG = {"filters": [{"property": "size", "op": "gte", "value": "5"}]}
# Every aggregation, with and without a property, and one with a filter.
METRICS: list[dict[str, Any]] = [
    {"aggregation": "SUM"},
    {"aggregation": "SUM", "property": "size"},
    {"aggregation": "SUM", **BIG},
    {"aggregation": "COUNT"},
    {"aggregation": "MAX"},
    {"aggregation": "AVERAGE", "property": "size"},
    {"aggregation": "LATEST"},
    {"aggregation": "P95", "property": "size"},
    {"aggregation": "UNIQUE", "property": "size"},
]
TIERS = [
    {"up_to": "20", "unit_price": "0.07"},
    {"up_to": "60", "unit_price": "0.05", "flat_fee": "0.3"},
    {"up_to": None, "unit_price": "0.013"},
]
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("PER_UNIT", {"unit_price": "0.037"}),
    ("PER_UNIT", {"unit_price": "0.21", "included_quantity": "30"}),
    ("GRADUATED", {"tiers": TIERS}),
    ("VOLUME", {"tiers": TIERS}),
]
Outcome = tuple[dict[UUID, Decimal], Decimal] | str


def execute(requests: Sequence[engine.Request]) -> list[engine.Result]:
    return execute_list(requests, livemode=False, pricing=UsagePricing)


def company(dice: random.Random) -> tuple[Book, Subscription]:
    """Sell a plan over every metric, with whatever may change a price."""
    charges = []
    for n, metric in enumerate(METRICS):
        metrics.create_metric(livemode=False, code=f"m{n}", name=f"m{n}", **metric)
        model, terms = dice.choice(MODELS)
        charges.append({"code": f"c{n}", "model": model, "metric": f"m{n}", "terms": terms})
    caps = {f"m{dice.randrange(9)}": {"quantity": "40", "beyond": dice.choice(list(Beyond))}}
    spec: dict[str, Any] = {"caps": caps, "minimum_spend": D(2)}
    if dice.random() < 0.4:
        spec["maximum_spend"] = D(dice.randint(3, 9))
    factories.offering(
        billing_mode=dice.choice(["PREPAID", "HYBRID", "POSTPAID"]),
        charges=charges,
        spec=spec,
        overage_limit=dice.choice([None, D(4)]),
    )
    book = factories.clocked_customer()
    coupon = None
    if dice.random() < 0.6:
        coupon = "OFF"
        kind, value, currency = dice.choice([("PERCENT", "12.5", ""), ("FIXED", "1.1", "USD")])
        coupons.create_coupon(
            livemode=False,
            code=coupon,
            type=kind,
            value=D(value),
            currency=currency,
            duration="FOREVER",
        )
    if dice.random() < 0.6:
        create_tax_rate(livemode=False, name="IVA", country="ES", percent=D("20"), now=START)
        customers.update_customer(livemode=False, customer_id="cust_1", changes={"country": "ES"})
    subscription = subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon=coupon
    )
    return book, subscription


def credit(dice: random.Random) -> None:
    """Grant credits of every kind, of which some lapse, and units."""
    factories.top_up("cust_1", str(dice.randint(1, 6)))
    factories.bundle("cust_1", "2", bonus="0.7")
    factories.grant("cust_1", "1.3", expires_at=START + HOUR * dice.randint(1, 30))
    factories.grant("cust_1", "0.9", "BONUS", priority=dice.randint(1, 200))
    for n in dice.sample(range(9), 3):
        grants.grant(
            livemode=False,
            customer_id="cust_1",
            key=f"units {n}",
            kind="PROMO",
            metric=f"m{n}",
            quantity=D(dice.randint(3, 12)),
            reason="test",
            expires_at=dice.choice([None, START + HOUR * dice.randint(1, 30)]),
        )


def meter(dice: random.Random, name: str, now: Any) -> None:
    """Send metered events, of which some are dated ahead."""
    events = [
        {
            "customerId": "cust_1",
            "metricName": f"m{dice.randrange(9)}",
            "quantity": D(dice.randint(1, 9_000)) / 1_000,
            "idempotencyKey": f"{name}-{n}",
            "occurredAt": (now + timedelta(minutes=dice.choice([0, 0, 3]))).isoformat(),
            "metadata": {"size": dice.choice(["7", "2.125", "huge", "-3"])},
        }
        for n in range(dice.randint(0, 6))
    ]
    ingest.ingest(livemode=False, events=events, received_at=now, read=read_event)


def ask(dice: random.Random, name: str, now: Any) -> UsageRequest:
    """Return a request of any metric; one in four only reserves, and one in six is dated apart."""
    asked: dict[str, Any] = {
        "customer_id": "cust_1",
        "key": name,
        "metric": f"m{dice.randrange(9)}",
        "quantity": D(dice.randint(1, 30_000)) / 1_000,
        "properties": {"size": dice.choice(["7", "5", "2.125", "huge", "-3"])},
    }
    if dice.random() < 0.25:
        return UsageReserveRequest(**asked)
    if dice.random() < 0.16:
        asked["occurred_at"] = max(now + timedelta(minutes=dice.choice([-90, 3])), START)
    return UsageRequest(**asked)


@money.exact
def alone(book: Book, request: UsageRequest) -> Outcome:
    """Return what a request alone costs, everything read from the database and written to it: the
    burn by lot, and the overage; or why it is refused.
    """
    undo = transaction.savepoint()
    now = now_for(book)
    drafts = {each.pk: draft for each, draft in usage_burn.burn_through(book=book, until=now)}
    subscription = Subscription.objects.select_related("version__plan", "customer__book").get()
    before = drafts[subscription.pk]
    event = UsageEvent(
        book=book,
        metric=Metric.objects.get(code=request.metric),
        key=request.key,
        quantity=request.quantity,
        occurred_at=request.occurred_at or now,
        counted_at=request.occurred_at or now,
        received_at=now,
        properties=dict(request.properties),
    )
    mark = rollups.marks(book_ids=[book.pk]).get((book.pk, event.metric_id))
    event.behind = rollups.behind(mark, event.occurred_at)
    event.save(force_insert=True)
    after = usage_burn.forecast(
        book=book,
        subscription=subscription,
        until=max(now, event.occurred_at) + MICROSECOND,
        pays=lambda lot: queries.is_alive(lot, now),
    )
    refusal = why_refused(book, subscription, event.metric, before, after)
    entry = CreditJournal().entry(
        book=book, event=LedgerEvent.USAGE_BURNED, occurred_at=now, document={}
    )
    if refusal is None:
        changes = cycle_burns.adjust_to(
            entry,
            settlement=usage_burn.stand_in(subscription),
            draft=after,
            may_lower=lambda lot: False,
            keep=True,
        )
        if entry.movements or entry.lines:
            entry.journal.write()
    if refusal is not None:
        transaction.savepoint_rollback(undo)
        return refusal
    burned = {change.lot.id: change.quantity for change in changes}
    return burned, max(after.to_invoice - before.to_invoice, D(0))


def why_refused(
    book: Book, subscription: Subscription, metric: Metric, before: Calculation, after: Calculation
) -> str | None:
    cap = parse_caps(subscription.version.caps).get(metric.code)
    if cap is not None and cap.beyond == Beyond.REFUSED:
        until = cycles.counted_until(subscription)
        used = rollups.usage_so_far(subscription=subscription, until=until, only=metric)
        if used[metric.code].quantity > cap.quantity:
            return "quota_exceeded"
    if after.arrears > before.arrears:
        return "insufficient_funds"
    wallet = Wallet.objects.get(book=book, currency="USD")
    if wallet.overage_limit is None or after.to_invoice <= before.to_invoice:
        return None
    promised = queries.promised_overage([wallet.pk], {book.pk: now_for(book)})
    run_up = after.to_invoice + promised.get(wallet.pk, D(0))
    return "overage_limit" if run_up > wallet.overage_limit else None


def one_by_one(book: Book, requests: Sequence[UsageRequest]) -> list[Outcome]:
    """Return what each request costs alone after those before it; then nothing has happened."""
    undo, outcomes = transaction.savepoint(), list[Outcome]()
    for request in requests:
        inner = transaction.savepoint()
        outcomes.append(alone(books.lock_book(book_id=book.pk), request))
        if isinstance(request, UsageReserveRequest):
            # What is reserved is priced as a debit that is taken back; the holds stay.
            transaction.savepoint_rollback(inner)
            execute([request])
    transaction.savepoint_rollback(undo)
    return outcomes


def outcome_of(result: engine.Result) -> Outcome:
    if isinstance(result, DomainError):
        return result.code
    body = factories.body(result)
    burned = {UUID(part["lot"]): D(part["amount"]) for part in body["allocations"]}
    return burned, D(body["overage"] if "overage" in body else body["overage_expected"])


@pytest.mark.parametrize("seed", range(10))
def test_a_list_costs_what_its_requests_cost_alone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    book, _ = company(dice)
    credit(dice)
    now, seen = START, list[Outcome]()
    for turn in range(6):
        monkeypatch.setattr(rollup_upkeep, "MANY", dice.choice([0, 3, 500]))
        now += HOUR * dice.choice([0, 1, 7])
        TestClock.objects.update(now=now)
        meter(dice, f"m{turn}", now)
        requests = [ask(dice, f"u{turn}-{n}", now) for n in range(dice.randint(1, 4))]

        alone_each = one_by_one(book, requests)
        together = [outcome_of(result) for result in execute(requests)]

        assert together == alone_each
        refused = [
            r.key for r, each in zip(requests, together, strict=True) if isinstance(each, str)
        ]
        assert not Operation.objects.filter(key__in=refused).exists()
        assert not UsageEvent.objects.filter(key__in=refused).exists()
        seen += together
    assert any(not isinstance(each, str) and sum(each[0].values()) > 0 for each in seen)
    assert verification.verify().ok
