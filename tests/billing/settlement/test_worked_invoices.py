"""The worked cases of documents, each as a company would come to it: through the API alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from tests.factories import posted

pytestmark = pytest.mark.django_db

D = Decimal
JANUARY, FEBRUARY = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


class Company:
    """A customer on a clock, and what is sold to it."""

    def __init__(self, api: APIClient, *, country: str = "") -> None:
        self.api = api
        self.clock = self.post("test-clocks", now=JANUARY)["id"]
        self.post("metrics", code="calls", name="Calls", aggregation="SUM")
        self.post("customers", id="c", name="C", country=country, test_clock=self.clock)

    def post(self, path: str, **body: Any) -> Any:
        key = f"{path} {body}"[:200]
        answer = self.api.post(f"/v1/{path}", body, HTTP_IDEMPOTENCY_KEY=key)
        assert answer.status_code < 300, (path, answer.json())
        return answer.json()

    def subscribe(self, *charges: dict[str, Any], **terms: Any) -> str:
        """Sell a plan of some charges; return the subscription."""
        self.post("rate-plans", code="p", name="P", currency="USD", charges=charges)
        self.post("rate-plans/p/publish")
        self.post("offerings", code="o", name="O", rate_plan="p", billing_mode="HYBRID",
                  interval="MONTH")  # fmt: skip
        made = self.post("subscriptions", customer_id="c", offering="o", **terms)
        return str(made["id"])

    def to(self, moment: str) -> None:
        self.post(f"test-clocks/{self.clock}/advance", now=moment)

    def use(self, quantity: int, at: str) -> None:
        sent = {"customerId": "c", "metricName": "calls", "quantity": quantity, "occurredAt": at,
                "idempotencyKey": f"{quantity} {at}"}  # fmt: skip
        assert self.api.post("/v1/ingest", sent).status_code == 202

    def invoices(self) -> list[dict[str, Any]]:
        """Return the invoices, the oldest first."""
        found: list[dict[str, Any]] = self.api.get("/v1/invoices?customer_id=c").json()["data"]
        return sorted(found, key=lambda invoice: invoice["period"]["starts_at"])


def fee(amount: str) -> dict[str, Any]:
    return {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": amount}}


CALLS = {"code": "calls", "model": "PER_UNIT", "metrics": [{"metric": "calls"}],
         "terms": {"unit_price": "1"}}  # fmt: skip


def test_what_january_has_too_much_is_kept_until_june(api: APIClient) -> None:
    """Above 1,000 all calls are .05 instead of .10: 1,000 of January were 100; with 400 late, 1,400
    are 70. June's 4,000 are 200, and 170 are billed.
    """
    company = Company(api)
    volume = {**CALLS, "model": "VOLUME", "terms": {"tiers": [
        {"up_to": "1000", "unit_price": "0.10"}, {"up_to": None, "unit_price": "0.05"},
    ]}}  # fmt: skip
    company.subscribe(volume)
    company.use(1_000, JANUARY)
    company.to(FEBRUARY)
    company.use(400, JANUARY)
    for month in (3, 4, 5, 6):
        company.to(f"2026-0{month}-01T00:00:00Z")
    assert -posted("2200") == 30
    company.use(4_000, "2026-06-01T00:00:00Z")

    company.to("2026-07-01T00:00:00Z")

    billed = [invoice for invoice in company.invoices() if invoice["total"] != "0"]
    assert [invoice["amount_due"] for invoice in billed] == ["100", "170"]
    lines = [(line["kind"], line["amount"]) for line in billed[1]["lines"]]
    assert lines == [("USAGE", "200"), ("ADJUSTMENT", "-30")]
    assert posted("2200") == 0
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("duration", "cycles", "off"),
    [("REPEATING", 3, ["3.23", "45.16", "50", "50", "0"]), ("ONCE", None, ["3.23", "45.16"])],
)
def test_a_pause_uses_up_no_period_of_a_coupon(
    api: APIClient, duration: str, cycles: int | None, off: list[str]
) -> None:
    """Fee 100, 50 % off, paused 3 to 4 January: 2 and 28 of 31 days are 6.45 and 90.32."""
    company = Company(api)
    terms = {"code": "HALF", "type": "PERCENT", "value": "50", "duration": duration}
    company.post("coupons", **terms, **({} if cycles is None else {"cycles": cycles}))
    made = company.subscribe(fee("100"), coupon="HALF")
    company.to("2026-01-03T00:00:00Z")
    company.post(f"subscriptions/{made}/pause")
    company.to("2026-01-04T00:00:00Z")
    company.post(f"subscriptions/{made}/resume")

    company.to("2026-05-01T00:00:00Z")

    taken = [invoice["discount"] for invoice in company.invoices()]
    assert taken[: len(off)] == off
    assert sum(map(D, taken)) == D("148.39" if cycles else "48.39")


def test_promo_and_cash_pay_a_part_of_a_taxed_discounted_price(api: APIClient) -> None:
    """100 list, 10 % coupon, 20 % tax: net 90, promo 30 of it untaxed, 12 on 60, total 102: promo
    30, cash 30 (25 and 5), invoice 42 (35 and 7).
    """
    company = Company(api, country="ES")
    company.post("tax-rates", name="IVA", country="ES", percent="20", valid_from=JANUARY)
    company.post("coupons", code="TEN", type="PERCENT", value="10", duration="FOREVER")
    company.subscribe(CALLS, coupon="TEN")
    money = {"customer_id": "c", "amount": "30", "currency": "USD"}
    company.post("wallets/grants", **money, kind="PROMO", reason="welcome")
    company.post("wallets/top-ups", **money)
    company.use(100, JANUARY)

    company.to(FEBRUARY)

    (invoice,) = company.invoices()
    shown = ("subtotal", "discount", "tax", "total", "from_wallet", "amount_due")
    assert [invoice[name] for name in shown] == ["100", "10", "12", "102", "60", "42"]
    (settled,) = api.get("/v1/settlements?customer_id=c").json()["data"]
    totals = api.get(f"/v1/settlements/{settled['id']}").json()["totals"]
    assert totals["from_wallet"] == {"PROMO": "30", "BONUS": "0", "CASH": "30"}
    assert totals["due"] == {"net": "35", "tax": "7"}
    assert (-posted("4000"), -posted("2300"), posted("1100")) == (25, 12, 42)
    assert verification.verify().ok


def test_19_percent_of_787_50_are_149_63(api: APIClient) -> None:
    company = Company(api, country="DE")
    company.post("tax-rates", name="USt", country="DE", percent="19", valid_from=JANUARY)
    company.subscribe(fee("787.50"))

    company.to(FEBRUARY)

    (invoice,) = company.invoices()
    assert [invoice[name] for name in ("subtotal", "tax", "total")] == ["787.5", "149.63", "937.13"]
    assert -posted("2300") == D("149.63")
