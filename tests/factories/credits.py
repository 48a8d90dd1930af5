"""Credits that customers buy, get and spend."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from factory.declarations import LazyAttribute

from aforo.errors import DomainError
from aforo.protocol.idempotency import Answer
from billing.realtime import usage_calls
from billing.realtime.usage_requests import UsageRequest
from tests.factories.making import ServiceFactory
from wallets.budgets import budgets
from wallets.debits import engine
from wallets.debits.combiner import execute_list
from wallets.grants import grants
from wallets.models import Budget
from wallets.top_ups import sales


class TopUpFactory(ServiceFactory[Answer]):
    """Cash credits in USD; live ones are paid by card elsewhere, sandbox ones by the gateway."""

    class Meta:
        model = Answer

    livemode = False
    customer_id = "cust_1"
    key = LazyAttribute(lambda sale: f"top-up-{sale.customer_id}-{sale.amount}")
    amount = Decimal(10)
    currency = "USD"
    payment = LazyAttribute(lambda sale: sales.TopUpPayment("card") if sale.livemode else None)

    @classmethod
    def _create(cls, model_class: type[Answer], *args: Any, **fields: Any) -> Answer:
        return sales.top_up(**fields)


class GrantFactory(ServiceFactory[Answer]):
    """Credits that cost nothing: money in USD, or units of a metric."""

    class Meta:
        model = Answer

    livemode = False
    customer_id = "cust_1"
    kind = "PROMO"
    reason = "test"

    @classmethod
    def _create(cls, model_class: type[Answer], *args: Any, **fields: Any) -> Answer:
        return grants.grant(**fields)


def budget(code: str, limit: str, *, customer: str = "cust_1", **terms: Any) -> Budget:
    """Limit a customer's use, of any team unless it says else, in USD in all."""
    if "metric" not in terms:
        terms.setdefault("currency", "USD")
    named = {"match": {"team": "*"}, "window": "TOTAL", **terms}
    return budgets.create_budget(
        livemode=False, customer_id=customer, code=code, limit=Decimal(limit), **named
    )


def top_up(key: str, amount: str, *, name: str = "", **terms: Any) -> None:
    """Buy cash credits in USD."""
    named = {"key": name} if name else {}
    TopUpFactory.make(customer_id=key, amount=Decimal(amount), **named, **terms)


def bundle(key: str, amount: str, *, bonus: str, **terms: Any) -> None:
    """Buy cash credits in USD with a bonus in money."""
    name = f"bundle-{key}-{amount}-{bonus}"
    top_up(key, amount, name=name, bonus=sales.Bonus(amount=Decimal(bonus)), **terms)


def grant(key: str, amount: str, kind: str = "PROMO", *, name: str = "", **terms: Any) -> None:
    """Grant money credits, in USD unless the terms say else."""
    named = name or f"grant-{key}-{kind}-{amount}"
    money = {"amount": Decimal(amount), "currency": "USD"}
    GrantFactory.make(customer_id=key, key=named, kind=kind, **(money | terms))


def grant_units(key: str, quantity: str, kind: str = "PROMO", **terms: Any) -> None:
    """Grant units of the metric `tokens`."""
    named = f"units-{key}-{kind}-{quantity}"
    units = {"metric": "tokens", "quantity": Decimal(quantity)}
    GrantFactory.make(customer_id=key, key=named, kind=kind, **units, **terms)


def debit(key: str, amount: str, name: str = "", **terms: Any) -> engine.Result:
    """Debit money; return the answer or the refusal."""
    request = engine.DebitRequest(
        customer_id=key, key=name or f"debit-{amount}", amount=Decimal(amount), **terms
    )
    (result,) = execute_list([request], livemode=False)
    return result


def use(
    key: str, quantity: Decimal, name: str, *, metric: str = "tokens", at: datetime | None = None
) -> Answer:
    """Use something in real time."""
    ask = UsageRequest(customer_id=key, metric=metric, quantity=quantity, key=name, occurred_at=at)
    return usage_calls.execute(livemode=False, ask=ask)


def body(result: engine.Result) -> dict[str, Any]:
    """Read an accepted answer."""
    assert isinstance(result, Answer), result
    read: dict[str, Any] = json.loads(result.body)
    return read


def refusal(result: engine.Result) -> DomainError:
    """Return the refusal that a result must be."""
    assert isinstance(result, DomainError), result
    return result
