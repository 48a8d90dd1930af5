"""Previews and backtests in the back office: the services' figures, refusals on the form."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from billing.models import Backtest
from billing.simulation import backtest
from pricing.models import Metric, RatePlanVersion
from tests import factories
from tests.billing.simulation.backtests import NOW, two_customers

pytestmark = pytest.mark.django_db


def page(client: Client, version: RatePlanVersion, name: str, **query: Any) -> str:
    url = reverse(f"admin:pricing_rateplanversion_{name}", args=[version.pk])
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_version_leads_to_its_preview_and_backtest(admin_client: Client) -> None:
    factories.offering()
    version = RatePlanVersion.objects.get()

    shown = admin_client.get(
        reverse("admin:pricing_rateplanversion_change", args=[version.pk])
    ).content.decode()

    for name in ("preview", "backtest"):
        assert reverse(f"admin:pricing_rateplanversion_{name}", args=[version.pk]) in shown


def test_a_preview_of_typed_in_quantities(admin_client: Client) -> None:
    factories.offering()
    factories.customer()
    factories.grant_units("cust_1", "400")
    factories.top_up("cust_1", "5")
    version, metric = RatePlanVersion.objects.get(), Metric.objects.get()
    before = factories.everything()

    asked = {f"metric_{metric.pk}": "15000", "customer_id": "cust_1", "billing_mode": "HYBRID"}
    shown = page(admin_client, version, "preview", **asked)

    # 14,600 x .002 are 29.20, of which 5 are paid by cash credits.
    for text in ("29.20 USD", "24.20", "9. Route", "tokens: 400 from PROMO units."):
        assert text in shown, text
    assert factories.everything() == before
    assert "There is no customer nobody" in page(
        admin_client, version, "preview", customer_id="nobody", billing_mode="HYBRID"
    )
    negative = {f"metric_{metric.pk}": "-1", "billing_mode": "HYBRID"}
    assert "greater than or equal to 0" in page(admin_client, version, "preview", **negative)


def test_a_backtest_is_asked_and_answered(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = two_customers()
    handed: list[Any] = []
    monkeypatch.setattr("billing.jobs.tasks.enqueue", lambda pk, task: handed.append(pk))
    url = reverse("admin:pricing_rateplanversion_backtest", args=[version.pk])
    body = {"starts_on": "2026-01-01", "ends_on": "2026-06-01", "offering": "", "customers": ""}

    wrong = admin_client.post(url, body | {"customers": "big\nnobody"})
    earlier = admin_client.post(url, body | {"ends_on": "2025-06-01"})
    assert "There is no customer nobody" in wrong.content.decode()
    assert "later than from" in earlier.content.decode()
    assert Backtest.objects.count() == 0

    answer = admin_client.post(url, body | {"customers": "big\nsmall", "with_credits": "on"})
    found = Backtest.objects.get()
    assert handed == [found.pk]
    assert (found.customers, found.with_credits) == (["big", "small"], True)
    waiting = admin_client.get(answer["Location"]).content.decode()
    assert "0 of 0 customers are priced" in waiting

    backtest.execute(backtest_id=found.pk, clock=lambda: NOW)
    shown = admin_client.get(answer["Location"]).content.decode()
    for text in ("64.00", "55.00", "-9.00", "-14.06 %", "2026-02", "1 pay less, 1 more, 0 the same",
                 "-15.00", "+6.00", "down by 10 to 25 %"):  # fmt: skip
        assert text in shown, text
    file = admin_client.get(reverse("admin:billing_backtest_csv", args=[found.pk]))
    assert b"".join(file.streaming_content).count(b"\r\n") == 5  # type: ignore[attr-defined]


def test_who_only_views_plans_cannot_ask_what_customers_paid() -> None:
    version = two_customers()
    reader = get_user_model().objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_rateplanversion"))
    client = Client()
    client.force_login(reader)

    url = reverse("admin:pricing_rateplanversion_backtest", args=[version.pk])
    assert client.get(url).status_code == 403
    assert client.post(url, {}).status_code == 403
    made = backtest.start(version=version, starts_at=factories.START, ends_at=NOW)
    for name in ("billing_backtest_change", "billing_backtest_csv"):
        assert client.get(reverse(f"admin:{name}", args=[made.pk])).status_code == 403
