"""Attributes of debits and reservations: checked, kept in the hashed entry, part of the content."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import UsageEvent
from ledger.models import Entry
from tests import factories
from wallets.models import Debit, Reservation

pytestmark = pytest.mark.django_db

TAGS = {"team": "search", "user": "u_17"}
DEBIT = "/v1/wallets/debit"
RESERVE = "/v1/wallets/reservations"


@pytest.fixture(autouse=True)
def customer() -> None:
    factories.customer()
    factories.top_up("cust_1", "100")


def ask(key: str, **more: Any) -> dict[str, Any]:
    return {"customer_id": "cust_1", "amount": "5", "idempotency_key": key, **more}


def kept(*, event: str) -> list[object]:
    found = Entry.objects.filter(event=event).order_by("sequence")
    return list(found.values_list("attributes", flat=True))


def test_a_debit_keeps_them_and_a_reversal_repeats_them(api: APIClient) -> None:
    made = api.post(DEBIT, ask("d", attributes=TAGS))
    plain = api.post(DEBIT, ask("p", attributes={}))
    path = f"/v1/wallets/debits/{made.json()['id']}/reverse"
    api.post(path, {"reason": "failed", "idempotency_key": "v"})

    assert made.json()["attributes"] == TAGS
    assert "attributes" not in plain.json()
    rows = dict(Debit.objects.values_list("pk", "attributes"))
    assert sorted(map(str, rows.values())) == sorted([str(TAGS), "None"])
    assert kept(event="DEBIT") == [TAGS, None]
    assert kept(event="REVERSAL") == [TAGS]
    assert verification.verify().ok


def test_a_reservation_has_them_to_its_end(api: APIClient) -> None:
    first = api.post(RESERVE, ask("r1", attributes=TAGS)).json()
    second = api.post(RESERVE, ask("r2", attributes=TAGS)).json()
    api.post(f"{RESERVE}/{first['id']}/capture", {"amount": "2", "idempotency_key": "c"})
    api.post(f"{RESERVE}/{second['id']}/void", {"idempotency_key": "v"})

    shown = api.get(f"{RESERVE}/{first['id']}").json()

    assert (first["attributes"], shown["attributes"]) == (TAGS, TAGS)
    assert set(map(str, Reservation.objects.values_list("attributes", flat=True))) == {str(TAGS)}
    assert kept(event="HOLD") == [TAGS, TAGS]
    assert kept(event="CAPTURE") == [TAGS]
    assert kept(event="RELEASE") == [TAGS]


def test_they_are_content_under_the_key(api: APIClient) -> None:
    api.post(DEBIT, ask("d", attributes=TAGS))
    api.post(DEBIT, ask("p"))
    before = factories.everything()

    same = api.post(DEBIT, ask("d", attributes=dict(reversed(TAGS.items()))))
    empty = api.post(DEBIT, ask("p", attributes={}))
    others = [
        api.post(DEBIT, ask("d")),
        api.post(DEBIT, ask("d", attributes=TAGS | {"user": "u_18"})),
        api.post(DEBIT, ask("p", attributes=TAGS)),
    ]

    assert (same.headers["Idempotency-Replayed"], empty.headers["Idempotency-Replayed"]) == (
        "true", "true",
    )  # fmt: skip
    assert [(each.status_code, each.json()["code"]) for each in others] == [(422, "key_reused")] * 3
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"Team": "a"}, "/attributes/Team"),
        ({"team name": "a"}, "/attributes/team name"),
        ({"": "a"}, "/attributes/"),
        ({"x" * 41: "a"}, f"/attributes/{'x' * 41}"),
        ({"team": ""}, "/attributes/team"),
        ({"team": "x" * 101}, "/attributes/team"),
        ({"team": 7}, "/attributes/team"),
        ({"team": True}, "/attributes/team"),
        ({"team": None}, "/attributes/team"),
        ({"team": ["a"]}, "/attributes/team"),
        ({"team": "a\x00b"}, "/attributes/team"),
        ({f"n{n}": "a" for n in range(17)}, "/attributes"),
        (["team"], "/attributes"),
        ("team", "/attributes"),
        (None, "/attributes"),
    ],
)
@pytest.mark.parametrize("path", [DEBIT, RESERVE])
def test_bad_ones_are_named_where_they_are(
    api: APIClient, path: str, attributes: object, pointer: str
) -> None:
    before = factories.everything()

    answer = api.post(path, ask("k", attributes=attributes))

    assert answer.status_code == 422, answer.content
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert factories.everything() == before


def test_the_longest_are_taken(api: APIClient) -> None:
    most = {f"{n:040}": "ü" * 100 for n in range(16)}

    assert api.post(DEBIT, ask("k", attributes=most)).json()["attributes"] == most


def test_in_a_list_each_has_its_own(api: APIClient) -> None:
    debits = [
        ask("a", attributes=TAGS), ask("b", attributes={"team": 1}), ask("c"),
    ]  # fmt: skip

    answer = api.post("/v1/wallets/debits/batch", {"debits": debits}).json()["results"]

    assert [each["status"] for each in answer] == [200, 422, 200]
    assert answer[1]["errors"][0]["pointer"] == "/attributes/team"
    assert kept(event="DEBIT") == [TAGS, None]


class TestUsage:
    @pytest.fixture(autouse=True)
    def customer(self) -> None:
        factories.subscribed("PREPAID")
        factories.top_up("cust_1", "100")

    def use(self, api: APIClient, path: str, key: str, **more: Any) -> Any:
        body = {"customer_id": "cust_1", "metric": "tokens", "quantity": 10}
        return api.post(path, body | {"idempotency_key": key} | more)

    def test_they_are_properties_of_the_event(self, api: APIClient) -> None:
        more = {"properties": {"region": "eu", "team": "search"}, "attributes": TAGS}
        used = self.use(api, "/v1/usage/debit", "u", **more)
        reserved = self.use(api, "/v1/usage/reserve", "r", **more)
        path = f"{RESERVE}/{reserved.json()['id']}/capture"
        captured = api.post(path, {"idempotency_key": "c"})

        assert (used.status_code, captured.status_code) == (200, 200), used.content
        properties = {"region": "eu", **TAGS}
        assert list(UsageEvent.objects.values_list("properties", flat=True)) == [properties] * 2
        assert Reservation.objects.get().attributes == TAGS
        assert TAGS in kept(event="HOLD")
        assert kept(event="RELEASE") == [TAGS]
        assert kept(event="USAGE_BURNED").count(TAGS) == 2

    @pytest.mark.parametrize("path", ["/v1/usage/debit", "/v1/usage/reserve"])
    def test_no_name_has_two_values(self, api: APIClient, path: str) -> None:
        before = factories.everything()

        answer = self.use(api, path, "u", properties={"team": "red"}, attributes=TAGS)

        assert answer.status_code == 422, answer.content
        assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
            ("/attributes/team", "ambiguous")
        ]
        assert factories.everything() == before
