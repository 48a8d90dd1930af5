"""Captures of usage at 4.39 times the estimate under each policy, and their cycles' settlements.

A token costs .002. 5,000 are reserved, 10.00; 21,950 are captured, 43.90; there are 30.00, so that
13.90 is not there, unless said otherwise. By hand.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.invoicing import tax_rates
from billing.models import (
    Claim,
    InvoiceLine,
    Settlement,
    SubscriptionStatus,
    UsageEvent,
)
from pricing.offerings import coupons
from tests import factories
from tests.billing.realtime.usage_captures import DAY, MINUTE, nothing_is_held, stop
from tests.billing.realtime.usage_overruns import (
    ESTIMATE,
    REAL,
    forgiven,
    limit_debt,
    overrun,
    settled,
    status,
)
from tests.billing.realtime.usage_requests import capture, reserve, use
from tests.factories import FEBRUARY, MARCH, START, advance, meter, set_clock, subscribed
from tests.wallets import actions

pytestmark = pytest.mark.django_db


class TestRefuse:
    def test_takes_nothing(self, api: APIClient) -> None:
        book = subscribed("PREPAID", money="30")
        held = reserve(api, ESTIMATE).json()
        assert held["over_capture"] == "REFUSE"
        before = factories.everything()

        refused = capture(api, held["id"], quantity=REAL)

        assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_funds")
        assert refused.json()["shortfall"] == "13.9"
        assert factories.everything() == before
        assert capture(api, held["id"], "c2", quantity=15_000).json()["amount"] == "30"
        assert factories.available(book) == 0


class TestAvailable:
    def test_takes_what_is_there(self, api: APIClient) -> None:
        subscribed("PREPAID", money="30")

        answer = overrun(api, "AVAILABLE")

        body = answer.json()
        names = ("amount", "overage", "uncovered", "status", "held")
        assert [body[name] for name in names] == ["43.9", "0", "13.9", "CAPTURED", "0"]
        assert "debt" not in body
        assert [(a["kind"], a["amount"]) for a in body["allocations"]] == [("CASH", "30")]
        assert UsageEvent.objects.get().quantity == REAL
        assert actions.accounts() == {"1010": 30, "4000": -30}
        (event,) = OutboxEvent.objects.filter(type="reservation.uncovered")
        assert (event.payload["uncovered"], event.payload["debt"]) == ("13.9", "0")
        assert event.payload["reservation"] == body["reservation"]
        shown = api.get(f"/v1/wallets/reservations/{body['reservation']}").json()
        assert (shown["over_capture"], shown["uncovered"]) == ("AVAILABLE", "13.9")
        assert api.get("/v1/wallets/cust_1").json()["uncovered"] == {"USD": "13.9"}
        assert capture(api, body["reservation"], quantity=REAL).content == answer.content
        assert status() == SubscriptionStatus.ACTIVE
        assert nothing_is_held()
        assert verification.verify().ok

    def test_is_never_billed(self, api: APIClient) -> None:
        """1,000 more cost 2.00 of the next 50; the document has 45.90 less 13.90."""
        book = subscribed("PREPAID", money="30")
        overrun(api, "AVAILABLE")
        factories.top_up("cust_1", "50")
        assert factories.available(book) == 50

        assert use(api, 1_000, "u1").json()["amount"] == "2"

        found = settled(book)
        assert forgiven(found) == "13.9"
        assert (found.totals["subtotal"], found.totals["total"]) == ("32", "32")
        assert (found.arrears, factories.available(book)) == (0, 48)
        assert actions.accounts() == {"1010": 80, "2100": -48, "4000": -32}
        assert not Claim.objects.exists()
        assert verification.verify().ok

    def test_without_any_credits_left_the_settlement_owes_nothing(self, api: APIClient) -> None:
        book = subscribed("PREPAID", money="30")
        overrun(api, "AVAILABLE")

        found = settled(book)

        assert (found.totals["total"], found.arrears, status()) == ("30", 0, "ACTIVE")
        assert verification.verify().ok

    def test_in_parts(self, api: APIClient) -> None:
        """4,000 of 5,000 are 8.00; 12,000 more are 24.00 of 22.00; 1,000 more of nothing 2.00."""
        book = subscribed("PREPAID", money="30")
        held = reserve(api, ESTIMATE, over_capture="AVAILABLE").json()["id"]

        asked = [(4_000, False), (12_000, False), (1_000, True)]
        parts = [
            capture(api, held, f"c{n}", quantity=quantity, final=final).json()
            for n, (quantity, final) in enumerate(asked)
        ]

        assert [part["amount"] for part in parts] == ["8", "24", "2"]
        assert [part.get("uncovered") for part in parts] == [None, "2", "2"]
        assert settled(book).totals["total"] == "30"
        assert verification.verify().ok

    def test_what_was_metered_before_it_pays_first(self, api: APIClient) -> None:
        """20 are free: 10,500 metered are 21.00, 1.00 is owed; the held 10 pay 10 of 11."""
        book = subscribed("PREPAID", money="30")
        held = reserve(api, ESTIMATE, over_capture="AVAILABLE").json()["id"]
        meter(10_500, START)
        set_clock(book, START + MINUTE)

        body = capture(api, held, quantity=5_500).json()

        assert (body["amount"], body["uncovered"]) == ("11", "1")
        found = settled(book)
        assert (found.totals["total"], found.arrears) == ("31", 1)
        assert verification.verify().ok

    def test_in_the_grace(self, api: APIClient) -> None:
        book = subscribed("PREPAID", money="30")
        held = reserve(api, ESTIMATE, expires_in=60, grace_seconds=600, over_capture="AVAILABLE")
        set_clock(book, START + 5 * MINUTE)

        body = capture(api, held.json()["id"], quantity=REAL).json()

        assert (body["amount"], body["uncovered"]) == ("43.9", "13.9")
        assert verification.verify().ok

    def test_by_default_of_the_offering(self, api: APIClient) -> None:
        subscribed("PREPAID", money="30", over_capture="AVAILABLE")
        held = reserve(api, ESTIMATE).json()
        assert held["over_capture"] == "AVAILABLE"
        assert capture(api, held["id"], quantity=REAL).json()["uncovered"] == "13.9"

    def test_with_tax(self, api: APIClient) -> None:
        """43.90 and 20 % are 52.68: 30 pay 25 and 5, the rest is 18.90 and 3.78."""
        tax_rates.create_tax_rate(
            livemode=False, name="IVA", country="ES", percent=Decimal(20), now=START
        )
        book = subscribed("PREPAID", money="30", country="ES")

        body = overrun(api, "AVAILABLE").json()

        assert (body["amount"], body["uncovered"]) == ("52.68", "22.68")
        found = settled(book)
        names = ("subtotal", "tax", "total")
        assert [found.totals[name] for name in names] == ["25", "5", "30"]
        assert forgiven(found) == "18.9"
        assert found.arrears == 0
        assert factories.posted("4000") == -25
        assert verification.verify().ok

    def test_after_a_coupon(self, api: APIClient) -> None:
        """10 % off 43.90 leaves 39.51, of which 9.51 is not there, and 10 % off 2.00 is 1.80."""
        coupons.create_coupon(
            livemode=False, code="TEN", type="PERCENT", value=Decimal(10), duration="FOREVER"
        )
        book = subscribed("PREPAID", money="30", coupon="TEN")

        assert overrun(api, "AVAILABLE").json()["uncovered"] == "9.51"
        factories.top_up("cust_1", "5")
        assert use(api, 1_000, "u1").json()["amount"] == "1.8"

        found = settled(book)
        assert (forgiven(found), found.totals["total"]) == ("9.51", "31.8")
        assert (found.arrears, factories.available(book)) == (0, Decimal("3.2"))
        assert verification.verify().ok

    def test_units_pay_first(self, api: APIClient) -> None:
        """2,000 of 6,000 are units, 6.00 pay 3,000 more, 1,000 are 2.00 of nothing."""
        book = subscribed("PREPAID", money="6")
        factories.grant_units("cust_1", "2000")
        held = reserve(api, ESTIMATE, over_capture="AVAILABLE").json()["id"]

        body = capture(api, held, quantity=6_000).json()

        assert (body["amount"], body["uncovered"]) == ("8", "2")
        assert settled(book).totals["total"] == "6"
        assert verification.verify().ok

    def test_late_usage_costs_what_it_costs(self, api: APIClient) -> None:
        """1,000 more of January, sent in February, are 2.00 of February's document."""
        book = subscribed("PREPAID", money="30")
        overrun(api, "AVAILABLE")
        assert settled(book).totals["total"] == "30"
        meter(1_000, START + DAY)
        factories.top_up("cust_1", "10")

        advance(book, MARCH + DAY)

        later = Settlement.objects.get(subscription__customer=book.pk, starts_at=FEBRUARY)
        assert (later.totals["total"], forgiven(later)) == ("2", None)
        assert factories.available(book) == 8
        assert verification.verify().ok

    def test_a_lapse_before_it_is_priced_without_it(self, api: APIClient) -> None:
        """10 that lapse at 12:00, with 24 hours of grace, pay the 4.00 metered at 06:00, also after
        1,000 were captured at 18:00, when nothing was there.
        """
        book = subscribed("PREPAID", money="1", spec={"lapse_grace_hours": 24})
        asked: dict[str, Any] = {"expires_in": 60, "grace_seconds": 86_400}
        held = reserve(api, 500, over_capture="AVAILABLE", **asked).json()["id"]
        set_clock(book, START + 5 * MINUTE)
        factories.body(factories.debit("cust_1", "1", currency="USD"))
        factories.grant("cust_1", "10", expires_at=START + DAY / 2)
        set_clock(book, START + DAY / 4)
        meter(2_000, START + DAY / 4)
        set_clock(book, START + 3 * DAY / 4)

        assert capture(api, held, quantity=1_000).json()["uncovered"] == "2"

        found = settled(book)
        assert (found.totals["total"], found.arrears) == ("4", 0)
        assert found.totals["from_wallet"] == {"PROMO": "4", "BONUS": "0", "CASH": "0"}
        assert verification.verify().ok

    def test_a_stopped_customer_gets_no_more_than_was_reserved(self, api: APIClient) -> None:
        subscribed("PREPAID", money="30")
        held = reserve(api, ESTIMATE, over_capture="AVAILABLE").json()["id"]
        stop("pause")
        before = factories.everything()

        refused = capture(api, held, quantity=REAL)

        assert (refused.status_code, refused.json()["code"]) == (409, "paused")
        assert factories.everything() == before


class TestBudgets:
    """They count what is taken, and what will be: 30 of 43.90, or all of it as a debt."""

    @pytest.mark.parametrize(("policy", "used"), [("AVAILABLE", 30), ("DEBT", Decimal("43.9"))])
    def test_they_count_and_do_not_refuse_what_was_agreed(
        self, api: APIClient, policy: str, used: Decimal
    ) -> None:
        book = subscribed("PREPAID", money="30")
        limit_debt(api, "20")
        factories.budget("search", "20", match={"team": "search"})
        team = {"team": "search"}
        held = reserve(api, ESTIMATE, over_capture=policy, attributes=team).json()["id"]

        assert capture(api, held, quantity=REAL).status_code == 200

        (shown,) = api.get(f"/v1/budgets/{book.key}/search/usage").json()["data"]
        assert (Decimal(shown["used"]), shown["held"]) == (used, "0")
        assert verification.verify().ok


class TestOverageFirst:
    def test_within_its_limit(self, api: APIClient) -> None:
        """HYBRID with a limit of 10: of 13.90, 10 is overage, 3.90 nobody pays."""
        book = subscribed("HYBRID", money="30", overage_limit=10)

        body = overrun(api, "AVAILABLE").json()

        assert [body[name] for name in ("amount", "overage", "uncovered")] == ["43.9", "10", "3.9"]
        assert use(api, 5, "u1").json()["code"] == "overage_limit"
        found = settled(book)
        assert (found.totals["total"], found.totals["to_invoice"]) == ("40", "10")
        lines = InvoiceLine.objects.order_by("position").values_list("kind", "amount")
        assert list(lines) == [("USAGE", Decimal("43.9")), ("ADJUSTMENT", Decimal("-3.9"))]
        assert verification.verify().ok

    def test_debt_is_for_prepaid(self, api: APIClient) -> None:
        subscribed("HYBRID", money="30")
        before = factories.everything()

        refused = reserve(api, ESTIMATE, over_capture="DEBT")

        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "prepaid_only")
        assert factories.everything() == before
