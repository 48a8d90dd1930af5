"""The OpenAPI document and the answers agree, for every operation that there is."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aforo.api.schema_document import EXAMPLES
from aforo.webhooks.models import DeliveryStatus, WebhookDelivery
from ledger.models import ApprovalLimit
from tests.api import examples
from tests.api.contract import CheckedClient, document
from tests.factories import person

pytestmark = pytest.mark.django_db

START, DAY_2, DAY_3 = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))
FEBRUARY, MARCH = "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"
WHO = {"customer_id": "acme"}


class Caller:
    """Sends requests that have to succeed, each with a key of its own."""

    def __init__(self, client: CheckedClient) -> None:
        self.client = client
        self.number = 0

    def post(self, path: str, body: Any, **more: Any) -> dict[str, Any]:
        self.number += 1
        headers = {"HTTP_IDEMPOTENCY_KEY": f"k{self.number}"} | more
        response = self.client.post(f"/v1/{path}", body, **headers)
        assert response.status_code < 300, (path, response.content)
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str) -> Any:
        response = self.client.get(f"/v1/{path}")
        assert response.status_code == 200, (path, response.content)
        is_json = response["Content-Type"] == "application/json" and not response.streaming
        return response.json() if is_json else None

    def change(self, method: str, path: str, body: Any) -> Any:
        response = getattr(self.client, method)(f"/v1/{path}", body)
        assert response.status_code == 200, (path, response.content)
        return response.json()


def sold_in_credits(call: Caller) -> None:
    call.post("credit-units", {"code": "CREDITS", "name": "Credits", "rates": {"USD": "0.01"}})
    call.change("patch", "credit-units/CREDITS", {"rates": {"USD": "0.01", "EUR": "0.009"}})
    pack = {"name": "Pack", "unit": "CREDITS", "quantity": 1000, "prices": {"USD": "10.00"}}
    call.post("packs", {"code": "c", **pack, "bonus_quantity": 100})
    call.change("patch", "packs/c", {"bonus_quantity": 250})
    call.post("packs", {"code": "old", **pack})
    call.post("packs/old/archive", {})


def catalogue(call: Caller) -> int:
    call.post("metrics", {"code": "tokens", "name": "Tokens", "aggregation": "SUM"})
    call.post("metrics", {
        "code": "size", "name": "Size", "aggregation": "MAX", "property": "size",
        "filters": [{"property": "size", "op": "gt", "value": 0}],
    })  # fmt: skip
    plan: dict[str, Any] = {
        "name": "P", "currency": "USD", "caps": {"tokens": 10_000_000}, "minimum_spend": 1,
        "charges": [
            {"code": "t", "model": "GRADUATED", "metric": "tokens", "terms": {
                "tiers": [{"up_to": 1000, "unit_price": 0.01},
                          {"up_to": None, "unit_price": 0.005}]}},
            {"code": "s", "model": "PER_UNIT", "metric": "size", "terms": {"unit_price": 1}},
            {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": 5}},
        ],
        "grants": [{"kind": "PROMO", "amount": 2, "recurrence": "EVERY_CYCLE"},
                   {"kind": "BONUS", "metric": "tokens", "quantity": 10, "recurrence": "ONCE"}],
    }  # fmt: skip
    call.post("rate-plans", {"code": "p", **plan})
    call.change("patch", "rate-plans/p", {"grace_hours": 0, "draft_hours": 1})
    call.post("rate-plans/p/publish", {})
    call.post("rate-plans/p/versions", {})
    call.post("rate-plans", {"code": "q", **plan})
    call.post("rate-plans/q/publish", {})
    call.post("rate-plans/q/versions/1/retire", {})
    call.post("offerings", {"code": "o", "name": "O", "rate_plan": "p", "interval": "MONTH",
                            "billing_mode": "HYBRID", "overage_limit": "1000"})  # fmt: skip
    call.post("offerings", {"code": "o2", "name": "O", "rate_plan": "p", "interval": "YEAR",
                            "billing_mode": "HYBRID"})  # fmt: skip
    call.post("offerings", {"code": "o3", "name": "O", "rate_plan": "p", "interval": "MONTH",
                            "billing_mode": "HYBRID"})  # fmt: skip
    call.change("patch", "offerings/o", {"name": "Offering"})
    call.change("patch", "metrics/size", {"name": "Greatest size"})
    call.post("pricing/preview", {"charge": plan["charges"][0], "quantity": 1500})
    call.post("rate-plans/p/preview", {"usage": {"tokens": 1500}, "billing_mode": "POSTPAID"})
    sold_in_credits(call)
    call.post("coupons", {"code": "ten", "type": "PERCENT", "value": 10, "duration": "ONCE"})
    call.post("tax-rates", {"name": "VAT", "country": "DE", "percent": 19, "valid_from": START})
    rate = call.post("tax-rates", {"name": "Former", "country": "DE", "region": "be", "percent": 7,
                                   "product_class": "ebook", "valid_from": START})  # fmt: skip
    call.post(f"tax-rates/{rate['id']}/end", {"valid_until": MARCH})
    campaign = {"name": "C", "trigger": "CODE", "kind": "PROMO", "amount": 1, "currency": "USD"}
    call.post("campaigns", {"code": "c", **campaign, "redemption_code": "hello", "budget": 50})
    call.change("patch", "campaigns/c", {"max_per_customer": 1})
    call.post("campaigns", {"code": "all", **campaign, "trigger": "EVERYBODY"})
    for step in ("c/activate", "c/pause", "c/activate", "all/activate", "all/run"):
        call.post(f"campaigns/{step}", {})
    return int(rate["id"])


def certify(call: Caller) -> None:
    made = call.post("customers/acme/tax-exemptions", {"number": "X-1", "country": "FR",
                                                       "valid_from": START})  # fmt: skip
    call.post(f"customers/acme/tax-exemptions/{made['id']}/end", {"valid_until": MARCH})


def units(call: Caller) -> None:
    """Buy credits of a unit, spend some, and pay some back."""
    sold = {**WHO, "amount": 9, "currency": "EUR", "unit": "CREDITS"}
    bought = call.post("wallets/top-ups", sold)
    call.post("wallets/debit", {**WHO, "amount": 150, "currency": "CREDITS"})
    back = {**WHO, "amount": 500, "currency": "CREDITS", "top_up": bought["id"], "reason": "x"}
    # 4.50, and 19 % of tax that was due at sale.
    assert call.post("wallets/refunds", back)["refunded"] == "5.36"
    call.post("wallets/top-ups", {**WHO, "pack": "c", "currency": "USD"})


def back_and_above_a_limit(call: Caller) -> None:
    call.post("wallets/refunds", {**WHO, "amount": 1, "currency": "EUR", "reason": "x"})
    ApprovalLimit.objects.create(
        livemode=False, action="GOODWILL", currency="USD", amount=5, starts_at=START,
        evidence="x", proposed_by=person("ann"), proposed_at=START, approved_by=person("bob"),
        approved_at=START,
    )  # fmt: skip
    call.post("wallets/grants", {**WHO, "kind": "PROMO", "source": "GOODWILL", "amount": 6,
                                         "currency": "USD", "reason": "outage"})  # fmt: skip


def wallets(call: Caller) -> str:
    certify(call)
    paid = call.post("wallets/top-ups", {
        **WHO, "amount": 50, "currency": "USD", "bonus": {"amount": 5},
        "expires_at": "2027-01-01"})  # fmt: skip
    call.post("wallets/top-ups", {**WHO, "amount": 7, "currency": "EUR"})
    units(call)
    call.post("wallets/grants", {**WHO, "kind": "PROMO", "metric": "tokens", "quantity": 100,
                                 "reason": "x"})  # fmt: skip
    debit = call.post("wallets/debit", {**WHO, "amount": 3, "currency": "USD"})
    call.post("wallets/debit", {**WHO, "metric": "tokens", "quantity": 3})
    call.post(f"wallets/debits/{debit['id']}/reverse", {"amount": 1, "reason": "x"})
    batch = [{**WHO, "amount": 1, "currency": "USD", "idempotency_key": "b"}, {}, 7]
    call.post("wallets/debits/batch", {"debits": batch})
    for end in ("capture", "void"):
        held = call.post("wallets/reservations", {**WHO, "amount": 2, "currency": "USD"})
        call.post(f"wallets/reservations/{held['id']}/extend", {"expires_in": 3600, "amount": 1})
        call.post(f"wallets/reservations/{held['id']}/{end}", {})
    held = call.post("wallets/reservations", {**WHO, "amount": 2, "currency": "USD"})
    captures = [{"reservation": held["id"], "amount": 1, "idempotency_key": "cb"}, {}]
    call.post("wallets/captures/batch", {"captures": captures})
    call.post("budgets", {**WHO, "code": "c", "match": {"team": "*"}, "per": "team", "limit": 9,
                          "currency": "USD", "window": "DAY", "alert_at": [50]})  # fmt: skip
    call.change("patch", "budgets/acme/c", {"max_per_call": 5})
    call.post("wallets/debit", {**WHO, "amount": 2, "attributes": {"team": "a"}})
    call.post("budgets", {**WHO, "code": "d", "match": {"a": "b"}, "limit": 9, "metric": "tokens",
                          "window": "TOTAL"})  # fmt: skip
    call.change("delete", "budgets/acme/d", {})
    back_and_above_a_limit(call)
    call.get("wallets/refunds?customer_id=acme")
    call.post("campaigns/redeem", {**WHO, "code": "hello"})
    call.change("patch", "wallets/acme/limits", {"currency": "USD", "low_balance_threshold": 1})
    call.change("put", "wallets/acme/alerts", {
        "currency": "USD", "thresholds": [{"at": 20, "unit": "PERCENT"}]})  # fmt: skip
    call.change("put", "wallets/acme/auto-refill", {
        "currency": "EUR", "threshold": 1, "amount": 5, "enabled": True})  # fmt: skip
    lot = next(each for each in call.get("wallets/top-ups")["data"] if each["currency"] == "EUR")
    call.post(f"wallets/top-ups/{lot['id']}/dispute", {"state": "opened"})
    assert paid["lots"]
    return str(lot["id"])


def event(key: str, **more: Any) -> dict[str, Any]:
    return {"customerId": "acme", "metricName": "tokens", "quantity": 2.5, "occurredAt": START,
            "idempotencyKey": key, **more}  # fmt: skip


def usage(call: Caller) -> None:
    for path in ("ingest", "ingest/events"):
        call.post(path, event(path))
        response = call.client.post(f"/api/v1/{path}", event(f"api {path}"))
        assert response.status_code == 202
    batch = {"events": [event("e"), event("e"), {}, event("s", metricName="size", size=3),
                        event("n", metricName="size", size="?")]}  # fmt: skip
    call.post("ingest/batch", batch)
    assert call.client.post("/api/v1/ingest/batch", batch).status_code == 202
    cloud = {"specversion": "1.0", "id": "1", "source": "/s", "type": "tokens", "subject": "acme"}
    call.post("events", cloud)
    call.post("wallets/check", {**WHO, "metric": "tokens", "quantity": 1})
    quota = {"customerId": "acme", "metricName": "tokens", "quantity": 1}
    call.post("quota/check", quota)
    assert call.client.post("/api/v1/quota/check", quota).status_code == 200
    call.post("usage/debit", {**WHO, "metric": "tokens", "quantity": 1, "properties": {"a": 1.5}})
    call.post("usage/reserve", {**WHO, "metric": "tokens", "quantity": 1})
    for end in ("capture", "void"):
        held = call.post("usage/reserve", {**WHO, "metric": "tokens", "quantity": 2})
        call.post(f"usage/reservations/{held['id']}/extend", {"quantity": 1})
        call.post(f"usage/reservations/{held['id']}/{end}", {})
    call.get(f"usage?customer_id=acme&from={START}&to={MARCH}")
    call.get(f"wallets/acme/spending?group_by=attributes.team&from={START}&to={MARCH}")


def settle(call: Caller, clock: str, made: str) -> dict[str, Any]:
    """Preview a change of, pause and settle a subscription; correct and pay what came of it."""
    call.post(f"test-clocks/{clock}/advance", {"now": DAY_2})
    call.post(f"subscriptions/{made}/migrate", {"offering": "o2", "preview": True})
    call.post(f"subscriptions/{made}/migrate", {"offering": "o3", "at": "PERIOD_END"})
    call.post(f"subscriptions/{made}/unmigrate", {"reason": "Stays as it was"})
    call.post("offerings/o/migration-preview", {"to_offering": "o2"})
    call.post(f"subscriptions/{made}/pause", {})
    call.post(f"test-clocks/{clock}/advance", {"now": DAY_3})
    call.post(f"subscriptions/{made}/resume", {"reason": "Back from holiday"})
    call.post(f"subscriptions/{made}/cancel", {"at": "PERIOD_END"})
    call.post(f"subscriptions/{made}/uncancel", {})
    call.post(f"test-clocks/{clock}/advance", {"now": FEBRUARY})
    run = call.post("settlements/run", {**WHO})["run"]["id"]
    settled = call.get("settlements?customer_id=acme")["data"][0]["id"]
    for draft in call.get("invoices?customer_id=acme&status=DRAFT")["data"]:
        call.post(f"invoices/{draft['id']}/finalize", {})
    first = call.get("invoices?customer_id=acme")["data"][-1]
    call.post(f"invoices/{first['number']}/void", {"reason": "Billed by mistake"})
    line = {"description": "More", "amount": 3_000}
    call.post(f"settlements/{settled}/adjust", {"reason": "x", "lines": [line]})
    found = call.get("invoices?customer_id=acme")["data"]
    invoice = next(each for each in found if each["status"] == "OPEN")
    call.post(f"invoices/{invoice['id']}/pay", {"amount": invoice["open"], "reference": "r"})
    call.post(f"invoices/{invoice['id']}/send", {})
    call.get("mails?customer_id=acme")
    paid = bank(call, invoice["number"])
    noted = collect(call, settled)
    return {"run_id": run, "settlement_id": settled, "reference": invoice["id"], "payment_id": paid,
            "note": noted}  # fmt: skip


def bank(call: Caller, number: str) -> str:
    """Record payments of the bank that nothing is open for; assign one, and send one back."""
    said = {"account": "ES91", "booked_on": "2026-02-01", "amount": 5, "currency": "USD",
            "text": f"invoice {number}", "payer": "Acme"}  # fmt: skip
    first, second = (
        call.post("payments", {**said, "bank_reference": name})["id"] for name in ("b1", "b2")
    )
    call.post(f"payments/{second}/send-back", {"reason": "Paid already"})
    return str(first)


def collect(call: Caller, settled: str) -> str:
    """Correct a settlement upwards, and do with each invoice what else can become of it; return the
    number of a credit note.
    """

    def invoice() -> str:
        line = {"description": "More", "amount": 50}
        call.post(f"settlements/{settled}/adjust", {"reason": "x", "lines": [line]})
        found = call.get("invoices?customer_id=acme&status=OPEN")["data"]
        return str(found[0]["number"])

    noted = call.post(f"invoices/{invoice()}/credit-notes", {"reason": "x", "amount": 1})["number"]
    call.post(f"invoices/{invoice()}/write-off", {"reason": "insolvent"})
    waiting = call.get("payments?state=UNMATCHED")["data"][0]["id"]
    call.post(f"payments/{waiting}/assign", {"invoice": invoice()})
    call.post(f"invoices/{invoice()}/pay", {"amount": 90, "reference": "too much"})
    call.post(f"invoices/{invoice()}/apply-credit", {"amount": 1})
    call.post("customers/acme/credit/refund", {"amount": 1, "currency": "USD", "reason": "asked",
                                               "reference": "wire"})  # fmt: skip
    return str(noted)


def webhooks(call: Caller) -> dict[str, Any]:
    made = call.post(
        "webhook-endpoints", {"url": "http://127.0.0.1:9/hook", "events": ["credits.*"]}
    )
    address = f"webhook-endpoints/{made['id']}"
    call.change("patch", address, {"description": "x"})
    call.post(f"{address}/rotate-secret", {})
    call.post("wallets/grants", {"customer_id": "other", "kind": "PROMO", "amount": 1,
                                 "currency": "USD", "reason": "x"})  # fmt: skip
    call.get("webhook-events")
    WebhookDelivery.objects.update(status=DeliveryStatus.FAILED)
    sent = call.get(f"{address}/deliveries")["data"][0]["id"]
    call.post(f"{address}/deliveries/{sent}/replay", {})
    gone = call.post("webhook-endpoints", {"url": "http://127.0.0.1:9/hook"})["id"]
    call.change("delete", f"webhook-endpoints/{gone}", None)
    return {"endpoint_id": made["id"]}


def keys(call: Caller) -> dict[str, Any]:
    terms = {"networks": ["203.0.113.0/24"], "requests_per_minute": 6_000}
    made = call.post("api-keys", {"name": "Agents", "scopes": ["wallets", "usage"], **terms})
    address = f"api-keys/{made['id']}"
    call.change("patch", address, {"networks": ["203.0.113.7"]})
    call.post(f"{address}/rotate", {"previous_expires_in": 3_600})
    call.change("delete", address, None)
    return {"key_id": made["id"]}


def read(call: Caller, ids: dict[str, Any]) -> None:
    """Read from every address that there is."""
    queries = {"/diff": "?from=1&to=2", "/auto-refill": "?currency=EUR"}
    queries["/reports/{name}"] = "?period=2026-01"
    queries["/v1/usage"] = f"?customer_id=acme&from={START}"
    for form in ("", ".csv", ".html", ".pdf"):
        queries[f"/v1/statements{form}"] = "?customer_id=acme&period=2026-01"
    codes = {"metrics": "tokens", "rate-plans": "p", "offerings": "o", "coupons": "ten",
             "credit-units": "CREDITS"}  # fmt: skip
    for template, operations in document()["paths"].items():
        if "get" not in operations or template.startswith("/v1/openapi"):
            continue
        path = template.removeprefix("/v1/")
        ids["code"] = codes.get(path.split("/")[0], "c")
        path = path.replace("credit-notes/{reference}", f"credit-notes/{ids['note']}")
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", str(value))
        query = next((more for end, more in queries.items() if template.endswith(end)), "")
        call.get(path + query)


def coupons(call: Caller, plain: dict[str, Any]) -> None:
    assert (plain["coupon"], plain["coupons"]) == (None, [])
    mine = f"subscriptions/{plain['id']}/coupons"
    call.post("coupons", {"code": "five", "type": "FIXED", "value": 5, "currency": "USD",
                          "duration": "FOREVER", "charges": ["fee"], "carries_rest": True,
                          "starts_at": START, "ends_at": MARCH})  # fmt: skip
    call.change("patch", "coupons/five", {"ends_at": None, "max_redemptions": 100})
    call.post(mine, {"coupon": "five"})
    left = call.change("delete", f"{mine}/five", None)
    assert left["coupons"] == []


def dunning(call: Caller, plain: dict[str, Any]) -> None:
    mine = f"customers/{plain['customer_id']}/dunning"
    call.change("put", "dunning-schedule", {"reminder_days": [0, 3, 7], "suspend_day": 14})
    call.change("put", mine, {"until": "2100-01-01T00:00:00Z", "reason": "Agreed"})
    resumed = call.change("delete", mine, None)
    assert resumed == {"paused_until": None, "reason": None, "suspended": False}
    call.get("invoices?overdue=true")


def test_every_operation(sandbox_key: str, eager_tasks: None) -> None:
    client = CheckedClient(sandbox_key)
    call = Caller(client)
    rate = catalogue(call)
    clock = call.post("test-clocks", {"now": START})["id"]
    call.post("customers", {"id": "acme", "name": "Acme", "email": "ann@acme.example",
                           "country": "DE", "test_clock": clock})  # fmt: skip
    call.change("patch", "customers/acme", {"tags": ["a"]})
    made = call.post("subscriptions", {**WHO, "offering": "o", "coupon": "ten"})["id"]
    call.post("customers", {"id": "other", "name": "Other"})
    plain = call.post("subscriptions", {"customer_id": "other", "offering": "o"})
    for also in (coupons, dunning):
        also(call, plain)
    ids = {"subscription_id": made, "customer_id": "acme", "number": 1, "name": "trial-balance"}
    ids |= {"top_up_id": wallets(call), "rate_id": rate}
    usage(call)
    ids |= settle(call, clock, made)
    backtest = call.post("rate-plans/p/backtest", {"version": 1, "from": START, "to": MARCH})
    call.post(f"subscriptions/{plain['id']}/cancel", {"at": "NOW"})
    call.post("campaigns/all/end", {})
    ids |= {"backtest_id": backtest["backtest"]["id"], **webhooks(call), **keys(call)}
    for name, listed in (("reservation_id", "wallets/reservations"), ("request_id", "approvals")):
        ids[name] = call.get(listed)["data"][0]["id"]
    read(call, ids)
    call.get(f"wallets/acme?as_of={DAY_2}")
    too_much = {**WHO, "metric": "tokens", "quantity": 10**6, "idempotency_key": "x"}
    assert client.post("/v1/wallets/debit", too_much).status_code == 402

    operations = {
        (method, template)
        for template, operations in document()["paths"].items()
        for method in operations
        if not template.startswith("/v1/openapi")
    }
    assert client.faults == set()
    assert operations - client.seen == set()
    made = examples.text_of(client.examples)
    if "AFORO_WRITE_EXAMPLES" in os.environ:
        EXAMPLES.write_text(made)
    assert EXAMPLES.read_text() == made, "write them anew: AFORO_WRITE_EXAMPLES=1"
