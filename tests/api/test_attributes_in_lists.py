"""Attributes in lists and sums: what was used for whom."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests import factories
from tests.factories import START, subscribed

pytestmark = pytest.mark.django_db

WHO = {"customer_id": "cust_1"}
SEARCH, SALES = {"team": "search", "model": "large"}, {"team": "sales"}


@pytest.fixture(autouse=True)
def company(api: APIClient) -> None:
    """Search spends 3.00 and 2,000 tokens (4.00), of which 1.00 comes back; sales 5.00; and 1.00 is
    spent without attributes. The units of 100 tokens go first.
    """
    subscribed("PREPAID")
    factories.top_up("cust_1", "100")
    factories.grant_units("cust_1", "100")
    for key, amount, attributes in (("a", "3", SEARCH), ("b", "5", SALES), ("c", "1", {})):
        money = {**WHO, "amount": amount, "currency": "USD", "attributes": attributes}
        made = post(api, "wallets/debit", key, **money)
        if key == "a":
            post(api, f"wallets/debits/{made['id']}/reverse", "back", amount="1", reason="x")
    post(api, "usage/debit", "u", **WHO, metric="tokens", quantity=2_100, attributes=SEARCH)
    held = {**WHO, "amount": "2", "currency": "USD"}
    post(api, "wallets/reservations", "r1", **held, attributes=SALES)
    post(api, "wallets/reservations", "r2", **held)


def post(api: APIClient, path: str, key: str, **body: Any) -> Any:
    answer = api.post(f"/v1/{path}", {**body, "idempotency_key": key})
    assert answer.status_code in {200, 201}, answer.content
    return answer.json()


def get(api: APIClient, path: str, status: int = 200, **asked: Any) -> Any:
    named = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in asked.items()}
    answer = api.get(f"/v1/{path}", named)
    assert answer.status_code == status, answer.content
    return answer.json()


class TestLists:
    def test_movements(self, api: APIClient) -> None:
        path = "wallets/cust_1/movements"
        found = get(api, path, attributes=SEARCH)["data"]

        assert {each["kind"] for each in found} == {"BURN", "REVERSE"}
        assert all(each["attributes"] == SEARCH for each in found)
        assert get(api, path, attributes={"team": "search"})["data"] == found
        assert get(api, path, attributes={"team": "search", "model": "small"})["data"] == []
        assert get(api, path, kind="GRANT")["data"][0]["attributes"] is None

    def test_entries(self, api: APIClient) -> None:
        found = get(api, "ledger/entries", attributes=SALES)["data"]

        assert [each["event"] for each in found] == ["HOLD", "DEBIT"]

    @pytest.mark.parametrize("path", ["wallets/reservations", "usage/reservations"])
    def test_reservations(self, api: APIClient, path: str) -> None:
        found = get(api, path, attributes=SALES)["data"]

        assert len(found) == (1 if path.startswith("wallets") else 0)

    @pytest.mark.parametrize(
        "wrong",
        ["team", "[]", "{}", '{"Team": "a"}', '{"team": 1}', '{"team": ""}', '{"a": "\\u0000"}',
         '{"a": "\\ud800"}', '{"team": "a", "team": "b"}', '{"team": null}'],
    )  # fmt: skip
    def test_what_is_no_object_of_texts(self, api: APIClient, wrong: str) -> None:
        for path, who in (
            ("wallets/cust_1/movements", {}),
            ("ledger/entries", {}),
            ("wallets/reservations", {}),
            ("wallets/cust_1/spending", {}),
            ("usage", WHO),
        ):
            asked: dict[str, Any] = {**who, "attributes": wrong}
            problem = get(api, path, 422, **asked)
            assert [each["pointer"] for each in problem["errors"]] == ["/attributes"], path


class TestSpending:
    PATH = "wallets/cust_1/spending"

    def test_by_team(self, api: APIClient) -> None:
        found = get(api, self.PATH, group_by="attributes.team")["data"]

        assert found == [
            {"value": "search", "currency": "USD", "spent": "6"},
            {"value": "sales", "currency": "USD", "spent": "5"},
            {"value": None, "currency": "USD", "spent": "1"},
            {"value": "search", "metric": "tokens", "spent": "100"},
        ]

    def test_in_all_and_of_some(self, api: APIClient) -> None:
        assert get(api, self.PATH)["data"] == [
            {"currency": "USD", "spent": "12"}, {"metric": "tokens", "spent": "100"},
        ]  # fmt: skip
        assert get(api, self.PATH, attributes=SALES)["data"] == [{"currency": "USD", "spent": "5"}]
        assert get(api, self.PATH, to=START.isoformat())["data"] == []

    def test_what_cannot_be_asked(self, api: APIClient) -> None:
        assert get(api, self.PATH, 422, group_by="team")["code"] == "invalid_choice"
        assert get(api, self.PATH, 422, group_by="attributes.Team")["code"] == "invalid_choice"
        times: dict[str, Any] = {"from": START.isoformat(), "to": START.isoformat()}
        assert get(api, self.PATH, 422, **times)["code"] == "not_after_from"
        assert get(api, "wallets/nobody/spending", 404)["code"] == "unknown_customer"

    def test_it_takes_two_statements(self, api: APIClient) -> None:
        with CaptureQueriesContext(connection) as captured:
            get(api, self.PATH, group_by="attributes.team")
        asked = [q["sql"] for q in captured.captured_queries if "access_apikey" not in q["sql"]]
        assert len(asked) == 2


class TestUsage:
    SPAN: ClassVar[dict[str, Any]] = {
        "to": (START + timedelta(days=1)).isoformat(),
        "from": START.isoformat(),
    }

    def ask(self, api: APIClient, status: int = 200, **asked: Any) -> Any:
        return get(api, "usage", status, customer_id="cust_1", **self.SPAN, **asked)

    def test_by_an_attribute(self, api: APIClient) -> None:
        """What is metered counts by its properties."""
        factories.meter(30, START, "m", team="sales")
        factories.meter(7, START, "n")

        found = self.ask(api, group_by="attributes.team")["data"]

        assert [(each["value"], each["quantity"], each["events"]) for each in found] == [
            (None, "7", 1), ("sales", "30", 1), ("search", "2100", 1),
        ]  # fmt: skip
        both = self.ask(api, group_by="hour,attributes.team")["data"]
        assert [(each["value"], each["quantity"]) for each in both] == [
            (None, "7"), ("sales", "30"), ("search", "2100"),
        ]  # fmt: skip
        (whole,) = self.ask(api)["data"]
        assert (whole["quantity"], "value" in whole) == ("2137", False)

    def test_of_some(self, api: APIClient) -> None:
        factories.meter(30, START, "m", team="sales")

        (found,) = self.ask(api, attributes={"team": "sales"}, group_by="day")["data"]

        assert (found["quantity"], "value" in found) == ("30", False)
        (none,) = self.ask(api, attributes={"team": "law"}, metric="tokens")["data"]
        assert (none["quantity"], none["events"]) == ("0", 0)

    @pytest.mark.parametrize("wrong", ["team", "day,hour", "attributes.a,attributes.b", "week"])
    def test_no_such_group(self, api: APIClient, wrong: str) -> None:
        assert self.ask(api, 422, group_by=wrong)["code"] == "invalid_choice"
