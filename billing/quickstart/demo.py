"""The demonstration of quickstart: an AI product, its customer, and a month on a test clock.

Every step calls the same services as the API; repeating it changes nothing that exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from aforo.errors import DomainError
from aforo.protocol.idempotency import Answer
from aforo.sandbox import services as sandbox
from billing.customers import customers
from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.models import Customer, Invoice, Settlement
from billing.usage import ingest
from ledger.models import Book, Entry
from pricing.metrics import metrics
from pricing.models import Metric, Offering, RatePlan
from pricing.offerings import offerings
from pricing.plans import plans, version_spec
from wallets.debits import engine
from wallets.debits.combiner import execute_list
from wallets.top_ups import sales

STARTS_AT = datetime(2026, 9, 1, tzinfo=UTC)
ENDS_AT = datetime(2026, 10, 1, tzinfo=UTC)
PLAN = "ai_starter"
OFFERING = "ai_starter_monthly"
CUSTOMER = "cust_demo"
LANDING_CUSTOMER = "cust_8923"

METRICS = {
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
    "tool_calls": "Tool calls",
}

CHARGES = [
    {
        "code": "input",
        "description": "Input tokens",
        "model": "PER_UNIT",
        "metric": "input_tokens",
        "terms": {"unit_price": "0.0000025"},
    },
    {
        "code": "output",
        "description": "Output tokens",
        "model": "GRADUATED",
        "metric": "output_tokens",
        "terms": {
            "tiers": [
                {"up_to": "1000000", "unit_price": "0.00001"},
                {"up_to": None, "unit_price": "0.000008"},
            ]
        },
    },
    {
        "code": "tools",
        "description": "Tool calls",
        "model": "PER_UNIT",
        "metric": "tool_calls",
        "terms": {"unit_price": "0.01", "included_quantity": "100"},
    },
    {
        "code": "seat",
        "description": "Platform fee",
        "model": "FLAT_RATE",
        "terms": {"flat_fee": "10"},
    },
]

GRANTS = [
    {
        "code": "welcome",
        "kind": "PROMO",
        "amount": Decimal(5),
        "recurrence": "ONCE",
        "expires_after_days": 60,
    },
    {
        "code": "free_tokens",
        "kind": "PROMO",
        "metric": "output_tokens",
        "quantity": Decimal(100_000),
        "recurrence": "EVERY_CYCLE",
        "expires_at_cycle_end": True,
    },
]

# Metered usage of the month: metric, quantity an event, events.
USAGE = [("input_tokens", 400_000, 20), ("output_tokens", 110_000, 15), ("tool_calls", 5, 60)]

# Debits of the month, each in the day it happens: promo pays first, then bonus, then cash.
DEBITS = [(3, "4"), (9, "12.50"), (17, "20")]


@dataclass(frozen=True, slots=True)
class Shown:
    """The objects that quickstart prints."""

    debits: list[Answer]
    settlement: Settlement
    invoice: Invoice
    entries: list[Entry]


def run(modes: Sequence[bool] = (False, True)) -> Shown:
    """Create the demonstration where it is missing, and return what it shows; the catalogue is
    created in both modes, or in the sandbox alone.
    """
    _catalogue(modes)
    book = _customer()
    debits = _month(book)
    settlement = Settlement.objects.filter(book=book).order_by("ends_at").first()
    assert settlement is not None, "the month on the clock has been settled"
    return Shown(
        debits=debits,
        settlement=settlement,
        invoice=Invoice.objects.get(settlement=settlement),
        entries=list(
            Entry.objects.filter(book=book).prefetch_related("postings").order_by("sequence")
        ),
    )


def _catalogue(modes: Sequence[bool]) -> None:
    for livemode in modes:
        for code, name in METRICS.items():
            if not Metric.objects.filter(livemode=livemode, code=code).exists():
                metrics.create_metric(livemode=livemode, code=code, name=name, aggregation="SUM")
        if not RatePlan.objects.filter(livemode=livemode, code=PLAN).exists():
            plans.create_rate_plan(
                livemode=livemode,
                code=PLAN,
                name="AI Starter",
                currency="USD",
                spec=version_spec.VersionSpec(charges=CHARGES, grants=GRANTS),
            )
            plans.publish(livemode=livemode, code=PLAN, now=STARTS_AT)
        if not Offering.objects.filter(livemode=livemode, code=OFFERING).exists():
            offerings.create_offering(
                livemode=livemode,
                code=OFFERING,
                name="AI Starter, monthly",
                rate_plan=PLAN,
                billing_mode="HYBRID",
                interval="MONTH",
            )


def _customer() -> Book:
    """Return the book of the demo customer on a test clock; create it and the landing page's
    customer in real time if need be.
    """
    if not Customer.objects.filter(book__livemode=False, book__key=CUSTOMER).exists():
        clock = sandbox.create_clock(livemode=False, now=STARTS_AT)
        customers.create_customer(
            livemode=False, customer_id=CUSTOMER, name="Demo Robotics", test_clock=clock.pk
        )
        subscribing.subscribe(livemode=False, customer_id=CUSTOMER, offering=OFFERING)
    if not Customer.objects.filter(book__livemode=False, book__key=LANDING_CUSTOMER).exists():
        customers.create_customer(livemode=False, customer_id=LANDING_CUSTOMER, name="Acme Agents")
        sales.top_up(
            livemode=False,
            customer_id=LANDING_CUSTOMER,
            key="quickstart-landing",
            amount=Decimal(1000),
            currency="USD",
        )
    found = customers.get_customer(livemode=False, customer_id=CUSTOMER)
    return found.book


def _month(book: Book) -> list[Answer]:
    """Run September: a top-up with a bonus, debits, metered usage, the month's end."""
    sales.top_up(
        livemode=False,
        customer_id=CUSTOMER,
        key="quickstart-top-up",
        amount=Decimal(50),
        currency="USD",
        bonus=sales.Bonus(amount=Decimal(10)),
    )
    results = []
    for day, amount in DEBITS:
        _advance(book, STARTS_AT + timedelta(days=day))
        request = engine.DebitRequest(
            customer_id=CUSTOMER,
            key=f"quickstart-debit-{day}",
            amount=Decimal(amount),
            currency="USD",
        )
        (result,) = execute_list([request], livemode=False)
        if isinstance(result, DomainError):
            raise result
        results.append(result)
    _advance(book, ENDS_AT - timedelta(hours=1))
    ingest.ingest(livemode=False, events=_events(), received_at=STARTS_AT)
    _advance(book, ENDS_AT)
    return results


def _events() -> list[object]:
    return [
        {
            "customerId": CUSTOMER,
            "metricName": metric,
            "quantity": quantity,
            "occurredAt": (STARTS_AT + timedelta(hours=number)).isoformat(),
            "idempotencyKey": f"quickstart-{metric}-{number}",
        }
        for metric, quantity, events in USAGE
        for number in range(events)
    ]


def _advance(book: Book, to: datetime) -> None:
    """Advance the demo's clock, unless it was there before."""
    clock_id: UUID | None = book.test_clock_id
    assert clock_id is not None, "the demo lives on a clock"
    if sandbox.get_clock(clock_id).now < to:
        test_clocks.advance(clock_id=clock_id, livemode=False, to=to)
