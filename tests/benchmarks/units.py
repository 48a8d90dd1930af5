"""The units of work that are measured, as callers of the API do them; any version can be asked."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Final

from tests.benchmarks import loads
from tests.benchmarks.loads import Caller, Unit

SUBSCRIBED: Final = 48
MOVEMENTS: Final = 100
MUCH: Final = "100000000"


def prepare(caller: Caller) -> None:
    """Make the customers, the plan and the credits that the units work on."""
    for name in ("hot", "bought", "read"):
        buy_much(caller, name)
    single = debits("read", 1)
    for _ in range(MOVEMENTS):
        caller.call("POST", "/v1/wallets/debit", next(single))
    metric = {"code": "bench_tokens", "name": "Tokens", "aggregation": "SUM"}
    post(caller, "/v1/metrics", metric)
    charge = {"code": "tokens", "description": "Tokens", "model": "PER_UNIT"}
    charge |= {"metric": "bench_tokens", "terms": {"unit_price": "0.002"}}  # type: ignore[dict-item]
    plan = {"code": "bench_plan", "name": "Bench", "currency": "USD", "charges": [charge]}
    post(caller, "/v1/rate-plans", plan)
    post(caller, "/v1/rate-plans/bench_plan/publish", {})
    offering = {"code": "bench", "name": "Bench", "rate_plan": "bench_plan"}
    post(caller, "/v1/offerings", {**offering, "billing_mode": "HYBRID", "interval": "MONTH"})
    for name in ("metered_0", *(f"subscribed_{n}" for n in range(SUBSCRIBED - 1))):
        buy_much(caller, name)
        post(caller, "/v1/subscriptions", {"customer_id": name, "offering": "bench"})


def buy_much(caller: Caller, name: str) -> None:
    """Create the customer `name_0` or, where it is numbered, itself; sell it much."""
    key = name if name[-1].isdigit() else f"{name}_0"
    post(caller, "/v1/customers", {"id": key, "name": key})
    body = {"customer_id": key, "amount": MUCH, "currency": "USD", "idempotency_key": "much"}
    post(caller, "/v1/wallets/top-ups", body)


def keys() -> Callable[[], str]:
    """Return a maker of idempotency keys that never repeat."""
    caller, numbers = uuid.uuid4().hex, itertools.count()
    return lambda: f"{caller}-{next(numbers)}"


def debits(name: str, number: int) -> Iterator[bytes]:
    """Write debits of 1 over the customers `name_0` and on, in turn."""
    key = keys()
    for n in itertools.count():
        body = {"customer_id": f"{name}_{n % number}", "amount": "1", "currency": "USD"}
        yield json.dumps({**body, "idempotency_key": key()}).encode()


def lists(name: str, number: int, size: int) -> Iterator[bytes]:
    """Write lists of debits over all the wallets in turn."""
    single = debits(name, number)
    while True:
        written = b",".join(next(single) for _ in range(size))
        yield b'{"debits":[' + written + b"]}"


def debit() -> Unit:
    """Debit 1 of the hot wallet."""
    bodies = debits("hot", 1)
    return lambda caller: caller.call("POST", "/v1/wallets/debit", next(bodies))


def do_nothing() -> Unit:
    """Send a debit that its own validation refuses: key, parsing, a fixed answer."""
    body = json.dumps({"debits": [{"customer_id": "hot_0", "amount": "1"}]}).encode()
    return lambda caller: caller.call("POST", "/v1/wallets/debits/batch", body)


def reserve_and_capture() -> Unit:
    """Reserve 2 of the hot wallet and capture 1 of them."""
    key = keys()

    def unit(caller: Caller) -> None:
        body = {"customer_id": "hot_0", "amount": "2", "currency": "USD"}
        held = post(caller, "/v1/wallets/reservations", {**body, "idempotency_key": key()})
        capture = f"/v1/wallets/reservations/{held}/capture"
        post(caller, capture, {"amount": "1", "idempotency_key": key()})

    return unit


def usage_debit() -> Unit:
    """Debit metered usage at its marginal price."""
    key = keys()

    def unit(caller: Caller) -> None:
        body = {"customer_id": "metered_0", "metric": "bench_tokens", "quantity": "3"}
        post(caller, "/v1/usage/debit", {**body, "idempotency_key": key()})

    return unit


def usage_reserve_and_capture() -> Unit:
    """Reserve metered usage and capture less of it."""
    key = keys()

    def unit(caller: Caller) -> None:
        body = {"customer_id": "metered_0", "metric": "bench_tokens", "quantity": "3"}
        held = post(caller, "/v1/usage/reserve", {**body, "idempotency_key": key()})
        capture = f"/v1/usage/reservations/{held}/capture"
        post(caller, capture, {"quantity": "2", "idempotency_key": key()})

    return unit


def top_up() -> Unit:
    """Buy credits."""
    key = keys()

    def unit(caller: Caller) -> None:
        body = {"customer_id": "bought_0", "amount": "1", "currency": "USD"}
        post(caller, "/v1/wallets/top-ups", {**body, "idempotency_key": key()})

    return unit


def check() -> Unit:
    """Ask whether a debit of the customer that is read would be covered."""
    body = json.dumps({"customer_id": "read_0", "amount": "1", "currency": "USD"}).encode()
    return lambda caller: caller.call("POST", "/v1/wallets/check", body)


def check_usage() -> Unit:
    """Ask whether usage would be covered."""
    body = {"customer_id": "subscribed_0", "metric": "bench_tokens", "quantity": "3"}
    return lambda caller: caller.call("POST", "/v1/wallets/check", json.dumps(body).encode())


def get(path: str) -> Callable[[], Unit]:
    """Read a page."""
    return lambda: lambda caller: caller.call("GET", path)


def post(caller: Caller, path: str, body: object) -> str:
    """Post, and return the id of what was made, where it has one."""
    answer = loads.read(caller.call("POST", path, json.dumps(body).encode()))
    return str(answer.get("id", ""))


SINGLE: Final[dict[str, Callable[[], Unit]]] = {
    "debit, one hot wallet": debit,
    "reserve + capture, one hot wallet": reserve_and_capture,
    "usage/debit, one customer": usage_debit,
    "usage/reserve + capture, one customer": usage_reserve_and_capture,
    "top-up, one customer": top_up,
    "check of a debit": check,
    "check of usage": check_usage,
    "wallet read": get("/v1/wallets/read_0"),
    f"movements, 50 of {MOVEMENTS + 1}": get("/v1/wallets/read_0/movements"),
    f"subscriptions, {SUBSCRIBED}": get("/v1/subscriptions"),
    "a call that does nothing": do_nothing,
}
