"""Plain functions that build state through the services that everything else calls too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Sum

from aforo.errors import DomainError
from aforo.protocol.idempotency import Answer
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import create_clock
from billing.customers import customers
from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.models import Subscription
from ledger.controls import policies
from ledger.controls.policies import Decision
from ledger.models import Book, Entry, Posting
from pricing.metrics import metrics
from pricing.models import Metric, Offering
from pricing.offerings import offerings
from pricing.plans import plans, version_spec
from wallets.debits import engine
from wallets.debits.combiner import execute_list
from wallets.grants import grants
from wallets.models import CreditLot, Debit, Hold, Movement, Operation, Reservation
from wallets.top_ups import sales

START = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)

TOKENS_AT_2_MILLS: list[dict[str, Any]] = [
    {
        "code": "tokens",
        "description": "Tokens",
        "model": "PER_UNIT",
        "metric": "tokens",
        "terms": {"unit_price": "0.002"},
    }
]


def metric(code: str = "tokens", *, livemode: bool = False, aggregation: str = "SUM") -> Metric:
    """Return a metric, created if need be."""
    found = Metric.objects.filter(livemode=livemode, code=code).first()
    return found or metrics.create_metric(
        livemode=livemode, code=code, name=code, aggregation=aggregation
    )


def offering(
    code: str = "tokens_monthly",
    *,
    billing_mode: str = "HYBRID",
    livemode: bool = False,
    charges: Sequence[dict[str, Any]] = TOKENS_AT_2_MILLS,
    grants: Sequence[dict[str, Any]] = (),
    spec: dict[str, Any] | None = None,
    **terms: Any,
) -> Offering:
    """Publish a plan and sell it by the month."""
    metric("tokens", livemode=livemode)
    plans.create_rate_plan(
        livemode=livemode,
        code=f"plan_{code}",
        name=code,
        currency="USD",
        spec=version_spec.VersionSpec(charges=charges, grants=grants, **(spec or {})),
    )
    plans.publish(livemode=livemode, code=f"plan_{code}", now=START)
    return offerings.create_offering(
        livemode=livemode,
        code=code,
        name=code,
        rate_plan=f"plan_{code}",
        billing_mode=billing_mode,
        interval=terms.pop("interval", "MONTH"),
        **terms,
    )


def customer(
    key: str = "cust_1", *, livemode: bool = False, clock: TestClock | None = None
) -> Book:
    """Create a customer and give its book."""
    made = customers.create_customer(
        livemode=livemode,
        customer_id=key,
        name=key.title(),
        test_clock=None if clock is None else clock.pk,
    )
    return made.book


def clocked_customer(key: str = "cust_1", now: datetime = START) -> Book:
    """Create a sandbox customer on a clock of its own."""
    return customer(key, clock=create_clock(livemode=False, now=now))


def advance(book: Book, to: datetime) -> None:
    """Advance a customer's clock, doing what is due on the way."""
    assert book.test_clock_id is not None
    assert test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=to).done


def sold(key: str, amount: Decimal | int, *, expires_at: datetime) -> Book:
    """Sell cash credits in USD to a customer on a clock."""
    book = clocked_customer(key)
    sales.top_up(
        livemode=False,
        customer_id=key,
        key="sale",
        amount=Decimal(amount),
        currency="USD",
        expires_at=expires_at,
    )
    return book


def subscription(key: str, code: str = "tokens_monthly") -> Subscription:
    """Subscribe a sandbox customer."""
    return subscribing.subscribe(livemode=False, customer_id=key, offering=code)


def top_up(key: str, amount: str, *, livemode: bool = False, name: str = "") -> None:
    """Buy cash credits in USD."""
    sales.top_up(
        livemode=livemode,
        customer_id=key,
        key=name or f"top-up-{key}-{amount}",
        amount=Decimal(amount),
        currency="USD",
        payment=sales.TopUpPayment("wire") if livemode else None,
    )


def bundle(key: str, amount: str, *, bonus: str, **terms: Any) -> None:
    """Buy cash credits in USD with a bonus in money."""
    sales.top_up(
        livemode=False,
        customer_id=key,
        key=f"bundle-{key}-{amount}-{bonus}",
        amount=Decimal(amount),
        currency="USD",
        bonus=sales.Bonus(amount=Decimal(bonus)),
        **terms,
    )


def grant(key: str, amount: str, kind: str = "PROMO", **terms: Any) -> None:
    """Grant money credits in USD."""
    grants.grant(
        livemode=terms.pop("livemode", False),
        customer_id=key,
        key=terms.pop("name", f"grant-{key}-{kind}-{amount}"),
        kind=kind,
        amount=Decimal(amount),
        currency="USD",
        reason="test",
        **terms,
    )


def grant_units(key: str, quantity: str, kind: str = "PROMO", **terms: Any) -> None:
    """Grant units of the metric `tokens`."""
    grants.grant(
        livemode=False,
        customer_id=key,
        key=f"units-{key}-{kind}-{quantity}",
        kind=kind,
        metric="tokens",
        quantity=Decimal(quantity),
        reason="test",
        **terms,
    )


def debit(key: str, amount: str, name: str = "", **terms: Any) -> engine.Result:
    """Debit money; give the answer or the refusal."""
    request = engine.DebitRequest(
        customer_id=key, key=name or f"debit-{amount}", amount=Decimal(amount), **terms
    )
    (result,) = execute_list([request], livemode=False)
    return result


def body(result: engine.Result) -> dict[str, Any]:
    """Read an accepted answer."""
    assert isinstance(result, Answer), result
    read: dict[str, Any] = json.loads(result.body)
    return read


def refusal(result: engine.Result) -> DomainError:
    """Return the refusal that a result must be."""
    assert isinstance(result, DomainError), result
    return result


def everything() -> tuple[Any, ...]:
    """Picture all that credits are made of, to see that a refusal changed nothing."""
    return (
        Book.objects.count(),
        Entry.objects.count(),
        Posting.objects.count(),
        Movement.objects.count(),
        Debit.objects.count(),
        Operation.objects.count(),
        sorted(CreditLot.objects.values_list("id", "remaining", "held", "carrying_remaining")),
        sorted(Book.objects.values_list("key", "sequence", "head_hash")),
        sorted(Reservation.objects.values_list("id", "status", "captured")),
        sorted(Hold.objects.values_list("id", "quantity", "captured", "released")),
    )


def available(book: Book) -> Decimal:
    """Sum what remains of a book's money lots."""
    lots = CreditLot.objects.filter(book=book, wallet__isnull=False)
    return sum((lot.remaining - lot.held for lot in lots), Decimal(0))


def person(name: str) -> User:
    """Return a member of staff, created if need be."""
    return User.objects.get_or_create(username=name, defaults={"is_staff": True})[0]


def decide(model: type[Decision], *, by: str = "bob", **terms: Any) -> Decision:
    """Propose a policy or a rate as Ann, and approve it as another."""
    proposed = model._default_manager.create(
        proposed_by=person("ann"),
        proposed_at=START,
        evidence="A memo.",
        **{"livemode": False, "starts_on": START.date(), **terms},
    )
    return policies.approve(proposed, by=person(by), now=START)


def posted(account: str, *, livemode: bool = False) -> Decimal:
    """Sum an account: its debits less its credits."""
    lines = Posting.objects.filter(entry__book__livemode=livemode)
    debited = lines.filter(debit=account).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    credited = lines.filter(credit=account).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    return debited - credited


def event(key: str, quantity: object, name: str, at: datetime, metric: str = "tokens") -> object:
    """Write a metered event as the vendor's client does."""
    return {
        "customerId": key,
        "metricName": metric,
        "quantity": quantity,
        "idempotencyKey": name,
        "occurredAt": at.isoformat(),
        "productType": "API",
    }
