"""Usage captured beyond the credits there are, which the next credits pay; by hand.

A token costs .002. 5,000 are reserved, 10.00; 21,950 are captured, 43.90; there are 30.00, so that
13.90 is owed, unless said otherwise.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.invoicing import tax_rates
from billing.models import (
    Claim,
    SubscriptionStatus,
)
from tests import factories
from tests.billing.realtime.usage_captures import MINUTE
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
from tests.factories import START, meter, set_clock, subscribed
from tests.wallets import actions

pytestmark = pytest.mark.django_db


class TestDebt:
    def test_is_paid_before_the_settlement(self, api: APIClient) -> None:
        book = subscribed("PREPAID", money="30")
        limit_debt(api, "13.9")

        answer = overrun(api, "DEBT")

        body = answer.json()
        assert (body["amount"], body["debt"], body["overage"]) == ("43.9", "13.9", "0")
        assert "uncovered" not in body
        assert actions.accounts() == {"1010": 30, "4000": -30}
        claim = Claim.objects.get()
        assert (claim.amount, claim.paid) == (Decimal("13.9"), 0)
        assert status() == SubscriptionStatus.SUSPENDED
        assert use(api, 1, "u1").json()["code"] == "suspended"
        assert capture(api, body["reservation"], quantity=REAL).content == answer.content

        factories.top_up("cust_1", "20")

        assert (status(), factories.available(book)) == ("ACTIVE", Decimal("6.1"))
        entries = {"1010": 50, "2100": Decimal("-6.1"), "4000": Decimal("-43.9")}
        assert actions.accounts() == entries
        found = settled(book)
        assert (found.totals["total"], found.arrears) == ("30", 0)
        assert forgiven(found) == "13.9"
        assert actions.accounts() == entries
        assert verification.verify().ok

    def test_is_paid_after_the_settlement(self, api: APIClient) -> None:
        book = subscribed("PREPAID", money="30")
        limit_debt(api, "20")
        overrun(api, "DEBT")

        found = settled(book)

        assert (found.totals["total"], found.arrears, status()) == ("30", 0, "SUSPENDED")
        assert actions.accounts() == {"1010": 30, "4000": -30}
        factories.top_up("cust_1", "20")
        assert (status(), factories.available(book)) == ("ACTIVE", Decimal("6.1"))
        assert factories.posted("4000") == Decimal("-43.9")
        assert verification.verify().ok

    @pytest.mark.parametrize("limit", ["0", "13.89"])
    def test_is_bounded(self, api: APIClient, limit: str) -> None:
        subscribed("PREPAID", money="30")
        limit_debt(api, limit)
        held = reserve(api, ESTIMATE, over_capture="DEBT").json()["id"]
        before = factories.everything()

        refused = capture(api, held, quantity=REAL)

        body = refused.json()
        assert (refused.status_code, body["code"]) == (402, "debt_limit")
        assert [body[name] for name in ("shortfall", "owed", "debt_limit")] == ["13.9", "0", limit]
        assert factories.everything() == before

    @pytest.mark.parametrize(("limit", "code"), [("1.99", 402), ("2", 200)])
    def test_what_is_owed_for_metered_usage_counts(
        self, api: APIClient, limit: str, code: int
    ) -> None:
        """20 are free: 10,500 metered are 21.00, so 1.00 is owed; 5,500 captured owe 1.00 more."""
        book = subscribed("PREPAID", money="30")
        limit_debt(api, limit)
        held = reserve(api, ESTIMATE, over_capture="DEBT").json()["id"]
        meter(10_500, START)
        set_clock(book, START + MINUTE)

        answer = capture(api, held, quantity=5_500)

        assert answer.status_code == code
        assert Claim.objects.count() == (code == 200)
        if code == 200:
            factories.top_up("cust_1", "3")
            assert factories.available(book) == 1
        assert verification.verify().ok

    def test_with_tax(self, api: APIClient) -> None:
        """18.90 and 3.78 of tax are owed, and paid with the tax inside: 43.90 and 8.78 in all."""
        tax_rates.create_tax_rate(
            livemode=False, name="IVA", country="ES", percent=Decimal(20), now=START
        )
        book = subscribed("PREPAID", money="30", country="ES")
        limit_debt(api, "30")
        assert overrun(api, "DEBT").json()["debt"] == "22.68"

        factories.top_up("cust_1", "22.68")

        assert factories.available(book) == 0
        assert factories.posted("4000") == Decimal("-43.9")
        assert settled(book).totals["total"] == "30"
        assert factories.posted("4000") == Decimal("-43.9")
        assert verification.verify().ok


def test_in_a_list_each_finds_what_the_one_before_left(api: APIClient) -> None:
    """30.00: 10 and 10 are held. 11,000 are 22 of 20; of 5,500, 10 of 11; then it is suspended."""
    subscribed("PREPAID", money="30")
    limit_debt(api, "5")
    held = [
        reserve(api, ESTIMATE, f"r{n}", over_capture=policy).json()["id"]
        for n, policy in enumerate(["AVAILABLE", "DEBT"])
    ]
    captures = [
        {"reservation": held[0], "quantity": "11000", "idempotency_key": "c1"},
        {"reservation": held[1], "quantity": "5500", "idempotency_key": "c2"},
    ]

    answer = api.post("/v1/wallets/captures/batch", {"captures": captures})

    results = answer.json()["results"]
    assert [result.get("uncovered") for result in results] == ["2", None]
    assert [result.get("debt") for result in results] == [None, "1"]
    assert status() == SubscriptionStatus.SUSPENDED
    assert verification.verify().ok
