"""Customers whose cycles end, what they ask then, and what is looked at."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from rest_framework.test import APIClient

from billing.models import Invoice, Subscription
from ledger.models import Book
from tests import factories
from wallets.models import CreditLot

D = Decimal
HOUR = timedelta(hours=1)
MODES = ("PREPAID", "HYBRID", "POSTPAID")
MONTHLY_100: dict[str, Any] = {
    "code": "monthly", "kind": "PROMO", "amount": D(100), "recurrence": "EVERY_CYCLE",
    "expires_at_cycle_end": True,
}  # fmt: skip
FEE_30: dict[str, Any] = {
    "code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "30"}, "timing": "ADVANCE",
}  # fmt: skip


def subscribed(mode: str = "HYBRID", grace: int = 0, key: str = "cust_1", **plan: Any) -> Book:
    if not Subscription.objects.exists():
        grants = plan.pop("grants", [MONTHLY_100])
        factories.offering(billing_mode=mode, grants=grants, spec={"grace_hours": grace}, **plan)
    book = factories.clocked_customer(key)
    factories.subscription(key)
    return book


def lots(book: Book) -> list[tuple[str, Decimal, Decimal, datetime, datetime | None]]:
    found = CreditLot.objects.filter(book=book).order_by("effective_at", "cause", "id")
    return [
        (lot.cause.rpartition(":")[2], lot.remaining, lot.held, lot.effective_at, lot.expires_at)
        for lot in found
    ]


def balances(book: Book) -> dict[str, D]:
    found: dict[str, D] = {}
    for line in book.entries.values_list("postings__debit", "postings__credit", "postings__amount"):
        debited, credited, amount = line
        if amount is not None:
            found[debited] = found.get(debited, D(0)) + amount
            found[credited] = found.get(credited, D(0)) - amount
    return {account: total for account, total in found.items() if total != 0}


def documents(book: Book) -> list[tuple[D, list[tuple[str, D]]]]:
    found = Invoice.objects.filter(customer=book.pk).prefetch_related("lines")
    return sorted(
        (each.amount_due, sorted((line.kind, line.amount) for line in each.lines.all()))
        for each in found
    )


def ask(api: APIClient, what: str, key: str = "cust_1") -> Any:
    """Spend 60.00 in one of the ways in which credits are spent."""
    base = {"customer_id": key, "idempotency_key": f"ask-{what}"}
    money = base | {"amount": "60", "currency": "USD"}
    usage = base | {"metric": "tokens", "quantity": 30_000}
    match what:
        case "debit":
            return api.post("/v1/wallets/debit", money)
        case "list":
            return api.post("/v1/wallets/debits/batch", {"debits": [money]})
        case "reservation":
            return api.post("/v1/wallets/reservations", money)
        case "usage debit":
            return api.post("/v1/usage/debit", usage)
        case "usage reservation":
            return api.post("/v1/usage/reserve", usage)
    raise AssertionError(what)


def ask_for(api: APIClient, amount: str, key: str, name: str) -> Any:
    body = {"customer_id": key, "amount": amount, "currency": "USD", "idempotency_key": name}
    return api.post("/v1/wallets/debit", body)
