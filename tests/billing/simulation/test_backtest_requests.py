"""Backtests over the API and by the command: what is asked, answered and refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from billing.models import Backtest, BacktestCycle
from billing.simulation import backtest
from pricing.offerings import offerings
from pricing.plans import plans, version_spec
from tests import factories
from tests.billing.simulation.backtests import NOW, per_token, two_customers
from tests.factories import START

pytestmark = pytest.mark.django_db


def test_over_the_api(api: APIClient, live_api: APIClient) -> None:
    two_customers()
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z", "version": 2,
            "offering": "tokens_monthly"}  # fmt: skip

    url = "/v1/rate-plans/plan_tokens_monthly/backtest"
    started = api.post(url, body, HTTP_IDEMPOTENCY_KEY="b1")
    again = api.post(url, body, HTTP_IDEMPOTENCY_KEY="b1")
    found = Backtest.objects.get()
    backtest.execute(backtest_id=found.pk, clock=lambda: NOW)

    assert (started.status_code, again.content) == (202, started.content)
    assert started.json()["backtest"]["status"] == "QUEUED"
    shown = api.get(f"/v1/backtests/{found.pk}").json()
    assert (shown["status"], shown["summary"]["delta"], shown["from"]) == (
        "DONE", "-9", "2026-01-01T00:00:00Z",
    )  # fmt: skip
    page = api.get(f"/v1/backtests/{found.pk}/cycles?page_size=3").json()
    rest = api.get(page["next"]).json()
    assert [(r["customer_id"], r["paid"], r["priced"], r["delta"])
            for r in page["data"] + rest["data"]] == [
        ("big", "20", "15", "-5"), ("big", "40", "30", "-10"),
        ("small", "2", "5", "3"), ("small", "2", "5", "3"),
    ]  # fmt: skip
    assert page["data"][0]["figures"]["priced"]["total"] == "15"
    assert rest["next"] is None
    assert [b["id"] for b in api.get("/v1/backtests").json()["data"]] == [str(found.pk)]
    assert live_api.get(f"/v1/backtests/{found.pk}").status_code == 404
    assert live_api.get(f"/v1/backtests/{found.pk}/cycles").status_code == 404
    assert live_api.get("/v1/backtests").json()["data"] == []
    assert api.get(f"/v1/backtests/{uuid4()}").json()["code"] == "unknown_backtest"


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"from": None}, 422, "/from"),
        ({"to": "2026-01-01T00:00:00Z"}, 422, "/to"),
        ({"to": "soon"}, 422, "/to"),
        ({"offering": "nothing"}, 422, "/offering"),
        ({"offering": "euros"}, 422, "/offering"),
        ({"customers": ["cust_1", "no\x00body"]}, 422, "/customers/1"),
        ({"customers": ["cust_1", "nobody"]}, 422, "/customers/1"),
        ({"version": 9}, 404, None),
        ({"surprise": 1}, 422, "/surprise"),
    ],
)
def test_a_backtest_that_cannot_be(
    api: APIClient, changes: dict[str, Any], status: int, pointer: str | None
) -> None:
    factories.offering()
    factories.customer()
    plans.create_rate_plan(livemode=False, code="eur", name="eur", currency="EUR",
                             spec=version_spec.VersionSpec(charges=per_token("1")))  # fmt: skip
    plans.publish(livemode=False, code="eur", now=START)
    offerings.create_offering(livemode=False, code="euros", name="euros", rate_plan="eur",
                            billing_mode="HYBRID", interval="MONTH")  # fmt: skip
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"} | changes

    response = api.post("/v1/rate-plans/plan_tokens_monthly/backtest", body)

    assert response.status_code == status, response.content
    assert [e["pointer"] for e in response.json().get("errors", [])] == (
        [pointer] if pointer else []
    )
    assert (Backtest.objects.count(), BacktestCycle.objects.count()) == (0, 0)


def test_the_command_prints_the_answer_and_writes_every_cycle(tmp_path: Path) -> None:
    two_customers()
    printed, file = io.StringIO(), tmp_path / "cycles.csv"

    call_command(
        "backtest", "plan_tokens_monthly", "--version", "2", "--from", "2026-01-01",
        "--to", "2026-06-01", "--mode", "sandbox", "--out", str(file), stdout=printed,
    )  # fmt: skip

    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert "2026-02 2 42.00 35.00 -7.00 -16.67" in lines
    assert "Total 4 64.00 55.00 -9.00 -14.06" in lines
    assert "2 customers: 1 pay less, 1 pay more, 0 the same; 0 cycles could not be priced." in lines
    written = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["customer_id"], row["paid"], row["priced"], row["delta"]) for row in written] == [
        ("big", "20", "15", "-5"), ("big", "40", "30", "-10"),
        ("small", "2", "5", "3"), ("small", "2", "5", "3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--from", "2026-01-01", "--to", "2026-02-01"], "There is no rate plan"),
        (["plan_tokens_monthly", "--from", "2026-01-01"], "Give the plan, --from and --to"),
        (["plan_tokens_monthly", "--from", "2026-02-01", "--to", "2026-01-01"], "later than from"),
        (["--resume", str(uuid4())], "There is no backtest"),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], message: str) -> None:
    factories.offering()

    with pytest.raises(CommandError, match=message):
        call_command("backtest", *arguments, "--mode", "sandbox")
    assert Backtest.objects.count() == 0
