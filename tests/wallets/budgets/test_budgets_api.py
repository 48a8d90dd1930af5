"""`/v1/budgets`: made, changed, ended and read; what is wrong is named and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from ledger.models import Book
from tests import factories
from wallets.models import Budget, BudgetChange

pytestmark = pytest.mark.django_db

PATH = "/v1/budgets"
BODY = {
    "customer_id": "cust_1", "code": "search-day", "match": {"team": "search"}, "currency": "USD",
    "limit": "100", "window": "DAY",
}  # fmt: skip


@pytest.fixture(autouse=True)
def book() -> Book:
    made = factories.clocked_customer()
    factories.top_up("cust_1", "1000")
    return made


def spend(api: APIClient, key: str, amount: str, **attributes: str) -> Any:
    body = {"customer_id": "cust_1", "amount": amount, "idempotency_key": key}
    return api.post("/v1/wallets/debit", body | {"attributes": attributes})


def test_made_read_changed_and_ended(api: APIClient, book: Book) -> None:
    made = api.post(PATH, BODY | {"per": "user", "name": "Search", "alert_at": [50, 100]})

    assert made.status_code == 201, made.content
    terms = {
        "code": "search-day", "name": "Search", "match": {"team": "search"}, "per": "user",
        "currency": "USD", "limit": "100", "window": "DAY", "hard": True, "max_per_call": None,
        "alert_at": [50, 100], "active": True,
    }  # fmt: skip
    assert made.json().items() >= {"customer_id": "cust_1", **terms}.items()
    one = f"{PATH}/cust_1/search-day"
    assert api.get(one).json() == made.json()
    assert api.get(PATH, {"customer_id": "cust_1"}).json()["data"] == [made.json()]
    changed = api.patch(one, {"limit": 5, "max_per_call": "2", "alert_at": []})
    assert changed.json().items() >= {"limit": "5", "max_per_call": "2", "alert_at": []}.items()
    assert api.delete(one).json() == changed.json()
    assert api.get(one).status_code == 404
    assert api.get(PATH).json()["data"] == []
    assert api.post(PATH, BODY).status_code == 201


def test_who_changed_it_is_on_record(api: APIClient) -> None:
    api.post(PATH, BODY)
    api.patch(f"{PATH}/cust_1/search-day", {"limit": "5"})
    api.delete(f"{PATH}/cust_1/search-day")

    changes = list(BudgetChange.objects.order_by("id"))
    assert [change.terms["limit"] for change in changes] == ["100", "5", "5"]
    assert [change.terms.get("ended", False) for change in changes] == [False, False, True]
    assert {change.actor_kind for change in changes} == {"API_KEY"}


def test_a_repeat_is_the_same_budget(api: APIClient) -> None:
    first = api.post(PATH, BODY, headers={"Idempotency-Key": "k"})
    again = api.post(PATH, BODY, headers={"Idempotency-Key": "k"})
    twice = api.post(PATH, BODY)

    assert again.json() == first.json()
    assert (twice.status_code, twice.json()["code"]) == (409, "budget_exists")
    assert Budget.objects.count() == 1


def test_usage_by_value(api: APIClient) -> None:
    api.post(PATH, BODY | {"per": "user"})
    spend(api, "a", "30", team="search", user="ann")
    spend(api, "b", "20", team="search", user="bob")

    rows = api.get(f"{PATH}/cust_1/search-day/usage").json()["data"]

    day = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"}
    assert rows == [
        {"value": "ann", "window": day, "limit": "100", "used": "30", "held": "0",
         "available": "70"},
        {"value": "bob", "window": day, "limit": "100", "used": "20", "held": "0",
         "available": "80"},
    ]  # fmt: skip
    earlier = api.get(f"{PATH}/cust_1/search-day/usage", {"at": "2025-12-31T00:00:00Z"})
    assert earlier.json() == {"data": []}


def test_one_total_is_shown_before_anything_is_counted(api: APIClient) -> None:
    api.post(PATH, BODY)

    (row,) = api.get(f"{PATH}/cust_1/search-day/usage").json()["data"]

    assert (row["used"], row["available"], "value" in row) == ("0", "100", False)


def test_a_402_names_it(api: APIClient) -> None:
    api.post(PATH, BODY)
    spend(api, "a", "80", team="search")

    answer = spend(api, "b", "30", team="search")

    assert answer.status_code == 402
    assert answer.json().items() >= {
        "code": "budget_exceeded", "budget": "search-day", "value": None, "limit": "100",
        "used": "80", "held": "0", "resets_at": "2026-01-02T00:00:00Z", "also": [],
    }.items()  # fmt: skip


def test_wallet_reads_show_them_where_there_are_any(api: APIClient) -> None:
    assert "budgets" not in api.get("/v1/wallets/cust_1").json()
    api.post(PATH, BODY)
    api.post(PATH, BODY | {"code": "users", "per": "user", "match": {"user": "*"}})
    api.post(PATH, BODY | {"code": "none", "per": "task"})
    spend(api, "a", "30", team="search", user="ann")
    spend(api, "b", "40", team="ads", user="bob")

    shown = api.get("/v1/wallets/cust_1").json()["budgets"]

    assert [each["code"] for each in shown] == ["none", "search-day", "users"]
    assert [each["usage"] and each["usage"]["used"] for each in shown] == [None, "30", "40"]
    assert shown[2]["usage"]["value"] == "bob"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"match": {}}, "/match"),
        ({"match": None}, "/match"),
        ({"match": {"Team": "a"}}, "/match/Team"),
        ({"match": {"team": ""}}, "/match/team"),
        ({"match": {"team": 7}}, "/match/team"),
        ({"match": {f"n{n}": "a" for n in range(17)}}, "/match"),
        ({"per": "User"}, "/per"),
        ({"code": "a b"}, "/code"),
        ({"limit": "-1"}, "/limit"),
        ({"limit": None}, "/limit"),
        ({"window": "YEAR"}, "/window"),
        ({"currency": "XXX"}, "/currency"),
        ({"metric": "tokens"}, "/currency"),
        ({"metric": "unknown", "currency": ...}, "/metric"),
        ({"metric": "peak", "currency": ...}, "/metric"),
        ({"currency": ...}, "/currency"),
        ({"max_per_call": "-1"}, "/max_per_call"),
        ({"alert_at": [0]}, "/alert_at/0"),
        ({"alert_at": [101]}, "/alert_at/0"),
        ({"alert_at": [50, 50]}, "/alert_at"),
        ({"hard": "maybe"}, "/hard"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_bad_ones_are_named(api: APIClient, change: dict[str, object], pointer: str) -> None:
    factories.metric()
    factories.metric("peak", aggregation="MAX", property="size")
    body = {name: value for name, value in (BODY | change).items() if value is not ...}

    answer = api.post(PATH, body)

    assert answer.status_code == 422, answer.content
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (Budget.objects.count(), BudgetChange.objects.count()) == (0, 0)


def test_nobody_else_sees_it(api: APIClient, live_api: APIClient) -> None:
    api.post(PATH, BODY)

    assert api.post(PATH, BODY | {"customer_id": "nobody"}).status_code == 404
    for answer in (
        live_api.get(f"{PATH}/cust_1/search-day"),
        live_api.patch(f"{PATH}/cust_1/search-day", {"limit": 1}),
        live_api.delete(f"{PATH}/cust_1/search-day"),
        api.get(f"{PATH}/cust_1/other/usage"),
    ):
        assert answer.status_code == 404
    assert live_api.get(PATH).json()["data"] == []
    assert Budget.objects.get().ended_at is None


def test_there_are_at_most_so_many(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallets.budgets.budgets.MAX_BUDGETS", 1)
    api.post(PATH, BODY)

    answer = api.post(PATH, BODY | {"code": "other"})

    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_budgets")


def test_a_new_time_zone_counts_from_the_next_window(api: APIClient, book: Book) -> None:
    api.post(PATH, BODY)
    spend(api, "a", "80", team="search")

    api.patch("/v1/customers/cust_1", {"timezone": "Asia/Tokyo"})

    assert spend(api, "b", "30", team="search").json()["resets_at"] == "2026-01-02T00:00:00Z"
    factories.advance(book, factories.START.replace(day=2))
    assert spend(api, "c", "80", team="search").status_code == 200
    answer = spend(api, "d", "80", team="search")
    assert answer.json()["resets_at"] == "2026-01-02T15:00:00Z"
