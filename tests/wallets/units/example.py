"""The customer of the worked example: 1,000 credits for 10 USD, 1,000 for 9 EUR, 100 promo."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Sum

from aforo.protocol.idempotency import Answer
from ledger.models import Book, Posting
from pricing.offerings import credit_units
from tests import factories
from tests.wallets import actions
from wallets.grants import grants
from wallets.top_ups import disputes, refunds, sales

D = Decimal
UNIT = "CREDITS"


def register(**terms: Any) -> None:
    """Register the unit: a credit costs .01 USD or .009 EUR; no tax at sale unless asked."""
    fields: dict[str, Any] = {
        "code": UNIT, "name": "Credits", "rates": {"USD": "0.01", "EUR": "0.009"}, **terms
    }  # fmt: skip
    credit_units.create_credit_unit(livemode=False, **fields)


def read(answer: Answer) -> dict[str, Any]:
    """Read an answer's body."""
    found: dict[str, Any] = json.loads(answer.body)
    return found


def buy(amount: str, currency: str = "USD", **terms: Any) -> dict[str, Any]:
    """Buy credits for an amount of money."""
    return read(
        sales.top_up(
            livemode=False, customer_id="cust_1", key=actions.fresh("buy"), amount=D(amount),
            currency=currency, unit=UNIT, **terms,
        )
    )  # fmt: skip


def give(amount: str, **terms: Any) -> dict[str, Any]:
    """Grant promo credits."""
    return read(
        grants.grant(
            livemode=False, customer_id="cust_1", key=actions.fresh("give"), kind="PROMO",
            amount=D(amount), currency=UNIT, reason="Welcome", **terms,
        )
    )  # fmt: skip


def customer(**terms: Any) -> Book:
    """Make the customer of the worked example, who buys dollars' worth first."""
    book = factories.clocked_customer(**terms)
    register()
    buy("10")
    buy("9", "EUR")
    give("100")
    return book


def spend(amount: str, name: str = "") -> dict[str, Any]:
    """Debit credits."""
    return factories.body(factories.debit("cust_1", amount, name, currency=UNIT))


def refund(amount: str, **terms: Any) -> dict[str, Any]:
    """Pay credits back."""
    return read(
        refunds.refund(
            livemode=False, customer_id="cust_1", key=actions.fresh("refund"), amount=D(amount),
            currency=UNIT, reason="Asked for", **terms,
        )
    )  # fmt: skip


def contest(top_up: str, state: str) -> dict[str, Any]:
    """Record a step of a dispute."""
    return read(
        disputes.dispute(
            livemode=False, top_up_id=UUID(top_up), state=state, key=actions.fresh("dispute")
        )
    )


def posted(account: str, currency: str) -> Decimal:
    """Sum an account in a currency: its debits less its credits."""
    lines = Posting.objects.filter(currency=currency)
    debited = lines.filter(debit=account).aggregate(sum=Sum("amount"))["sum"] or D(0)
    credited = lines.filter(credit=account).aggregate(sum=Sum("amount"))["sum"] or D(0)
    return debited - credited
