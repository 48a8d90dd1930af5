"""Short names for the actions and queries of the wallet tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from aforo.sandbox.models import TestClock
from ledger.models import Book, Posting
from tests import factories
from wallets.debits import engine
from wallets.debits.combiner import execute_list
from wallets.models import CreditLot, Wallet
from wallets.top_ups import sales

ZERO = Decimal(0)
MINUTE = timedelta(minutes=1)
_names: Iterator[int] = count()


def fresh(prefix: str) -> str:
    """Return a key that no call before had."""
    return f"{prefix}-{next(_names)}"


def take(request: engine.Request, *, livemode: bool = False) -> engine.Result:
    """Send one request to the engine."""
    (result,) = execute_list([request], livemode=livemode)
    return result


def reserve(amount: str, *, key: str = "cust_1", name: str = "", **terms: Any) -> engine.Result:
    """Reserve money."""
    named = name or fresh("reserve")
    return take(engine.ReserveRequest(customer_id=key, key=named, amount=Decimal(amount), **terms))


def reserve_units(quantity: str, *, key: str = "cust_1", **terms: Any) -> engine.Result:
    """Reserve units of the metric `tokens`."""
    return take(
        engine.ReserveRequest(
            customer_id=key,
            key=fresh("reserve"),
            metric="tokens",
            quantity=Decimal(quantity),
            **terms,
        )
    )


def held(amount: str, **terms: Any) -> str:
    """Reserve money; return the id of the reservation as text."""
    return str(factories.body(reserve(amount, **terms))["id"])


def capture(
    reservation: str, amount: str | None = None, *, name: str = "", **terms: Any
) -> engine.Result:
    """Capture money of a reservation; all that is left of it where nothing is said."""
    asked = None if amount is None else Decimal(amount)
    named = name or fresh("capture")
    return take(
        engine.CaptureRequest(reservation=UUID(reservation), key=named, amount=asked, **terms)
    )


def void(reservation: str, *, name: str = "") -> engine.Result:
    """Void a reservation."""
    return take(engine.VoidRequest(reservation=UUID(reservation), key=name or fresh("void")))


def bundle(amount: str, bonus: str, *, key: str = "cust_1", **terms: Any) -> None:
    """Buy cash credits that come with bonus money."""
    sales.top_up(
        livemode=False,
        customer_id=key,
        key=fresh("bundle"),
        amount=Decimal(amount),
        currency="USD",
        bonus=sales.Bonus(amount=Decimal(bonus)),
        **terms,
    )


def set_clock(moment: datetime) -> None:
    """Set every test clock to a moment without doing what is due, as if no sweep had run."""
    TestClock.objects.update(now=moment)


def rules(book: Book, **rules: Any) -> None:
    """Write spend rules to a customer's money wallets."""
    Wallet.objects.filter(book=book).update(**rules)


def lots(book: Book) -> list[tuple[str, Decimal, Decimal]]:
    """List kind, what remains and what is held of a customer's lots, in the order of granting."""
    found = CreditLot.objects.filter(book=book).order_by("granted_at", "id")
    return [(lot.kind, lot.remaining, lot.held) for lot in found]


def allocations(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """List kind and amount of what an answer says each lot gives."""
    return [(each["kind"], each["amount"]) for each in answer["allocations"]]


def accounts() -> dict[str, Decimal]:
    """Return what every account of the books stands at, debits less credits; none at zero."""
    balances: dict[str, Decimal] = {}
    for posting in Posting.objects.all():
        for code, amount in (
            (posting.debit_id, posting.amount),
            (posting.credit_id, -posting.amount),
        ):
            balances[code] = balances.get(code, ZERO) + amount
    return {code: balance for code, balance in sorted(balances.items()) if balance != 0}
