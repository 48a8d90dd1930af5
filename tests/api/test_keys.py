"""API keys through the API: issued, limited, rotated, revoked; and what a limited one may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.access.models import ApiKey, ApiScope, KeyedRequest
from aforo.access.services import CACHE_SECONDS, create_api_key, digest
from ledger.models import Entry
from tests import factories
from tests.api.routes import OWN

pytestmark = pytest.mark.django_db

URL = "/v1/api-keys"
MINE, OTHER = "mine", "other"


def as_key(secret: str, **more: Any) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}", **more)
    return client


def limited(**terms: Any) -> APIClient:
    """Return a client whose key has all scopes and these terms."""
    return as_key(create_api_key(livemode=False, name="limited", **terms)[1])


def refused(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_key_is_issued_and_its_secret_shown_once(api: APIClient) -> None:
    body = {"name": "Agents", "scopes": ["wallets"], "networks": ["10.0.0.0/8"]}

    made = api.post(URL, body, HTTP_IDEMPOTENCY_KEY="k")
    again = api.post(URL, body, HTTP_IDEMPOTENCY_KEY="k")

    assert (made.status_code, again.status_code) == (201, 201)
    secret = made.json()["secret"]
    assert secret.startswith("sk_test_")
    assert again.json() == {**made.json(), "secret": None}
    assert secret not in KeyedRequest.objects.get().body
    shown = api.get(f"{URL}/{made.json()['id']}").json()
    assert shown == {name: value for name, value in made.json().items() if name != "secret"}
    assert (shown["scopes"], shown["networks"]) == (["wallets"], ["10.0.0.0/8"])
    assert ApiKey.objects.get(pk=shown["id"]).digest == digest(secret)
    assert refused(as_key(secret).get("/v1/metrics")) == (403, "address_not_allowed")
    inside = as_key(secret, REMOTE_ADDR="10.2.3.4")
    assert refused(inside.get("/v1/metrics")) == (403, "forbidden")
    assert inside.get("/v1/wallets/top-ups").status_code == 200


def test_two_keys_are_valid_while_one_is_rotated(api: APIClient) -> None:
    made = api.post(URL, {"name": "Server", "requests_per_minute": 500}).json()

    rotated = api.post(f"{URL}/{made['id']}/rotate", {"previous_expires_in": 3_600})

    assert rotated.status_code == 201
    new = rotated.json()
    assert (new["replaces"], new["name"], new["requests_per_minute"]) == (
        made["id"], "Server", 500,
    )  # fmt: skip
    for secret in (made["secret"], new["secret"]):
        assert as_key(secret).get("/v1/metrics").status_code == 200
    old = ApiKey.objects.get(pk=made["id"])
    assert old.expires_at is not None
    assert old.expires_at - timezone.now() <= timedelta(hours=1)
    ended = api.post(f"{URL}/{made['id']}/rotate", {"previous_expires_in": 0})
    assert ended.status_code == 201
    assert as_key(made["secret"]).get("/v1/metrics").status_code == 401
    assert refused(api.post(f"{URL}/{made['id']}/rotate", {})) == (409, "key_ended")


def test_an_expired_key_is_no_key_though_it_is_remembered(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = timezone.now()
    secret = create_api_key(livemode=False, name="short", expires_at=moment + timedelta(seconds=1))[
        1
    ]
    assert as_key(secret).get("/v1/metrics").status_code == 200

    monkeypatch.setattr(
        "aforo.access.authentication.timezone.now", lambda: moment + timedelta(seconds=1)
    )

    assert CACHE_SECONDS > 1
    assert as_key(secret).get("/v1/metrics").status_code == 401


def test_a_revoked_key_is_refused_at_once(api: APIClient) -> None:
    made = api.post(URL, {"name": "Server"}).json()
    client = as_key(made["secret"])
    assert client.get("/v1/metrics").status_code == 200

    assert api.delete(f"{URL}/{made['id']}").json()["revoked_at"] is not None

    assert client.get("/v1/metrics").status_code == 401


def test_what_is_left_out_of_a_change_stays(api: APIClient) -> None:
    made = api.post(URL, {"name": "Server", "requests_per_minute": 500}).json()

    changed = api.patch(f"{URL}/{made['id']}", {"networks": ["192.0.2.1"]}).json()

    assert (changed["networks"], changed["requests_per_minute"]) == (["192.0.2.1/32"], 500)
    changed = api.patch(f"{URL}/{made['id']}", {"requests_per_minute": None, "networks": []}).json()
    assert (changed["networks"], changed["requests_per_minute"]) == ([], None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "networks": ["10.0.0.1/8"]}, "invalid_network"),
        ({"name": "x", "networks": ["anywhere"]}, "invalid_network"),
        ({"name": "x", "scopes": ["everything"]}, "invalid_choice"),
        ({"name": "x", "requests_per_minute": 0}, "min_value"),
        ({"name": ""}, "blank"),
        ({}, "required"),
    ],
)
def test_bad_terms_are_named(api: APIClient, body: dict[str, Any], code: str) -> None:
    assert refused(api.post(URL, body)) == (422, code)
    assert ApiKey.objects.count() == 1


WIDER: list[dict[str, Any]] = [
    {"scopes": ["keys", "ledger"]},
    {"networks": ["0.0.0.0/0"]},
    {"requests_per_minute": 101},
    {"expires_at": "2100-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("terms", WIDER)
def test_a_key_passes_on_no_more_than_it_has(api: APIClient, terms: dict[str, Any]) -> None:
    narrow = {
        "scopes": ["keys", "usage"],
        "networks": ["127.0.0.0/8"],
        "requests_per_minute": 100,
        "expires_at": "2090-01-01T00:00:00Z",
    }
    made = api.post(URL, {"name": "narrow", **narrow}).json()
    wide = api.post(URL, {"name": "wide"}).json()
    client, before = as_key(made["secret"]), ApiKey.objects.count()

    assert refused(client.post(URL, {"name": "x", **terms})) == (403, "wider_than_itself")
    # Nor does it reach further through a key that is wider already.
    assert refused(client.post(f"{URL}/{wide['id']}/rotate", {})) == (403, "wider_than_itself")
    assert refused(client.patch(f"{URL}/{wide['id']}", {"name": "mine"})) == (
        403, "wider_than_itself",
    )  # fmt: skip
    assert ApiKey.objects.count() == before
    same = client.post(URL, {"name": "same"}).json()
    assert {name: same[name] for name in narrow} == narrow | {"expires_at": made["expires_at"]}


def test_keys_of_the_other_mode_do_not_exist(api: APIClient, live_api: APIClient) -> None:
    made = api.post(URL, {"name": "Server"}).json()

    assert refused(live_api.get(f"{URL}/{made['id']}")) == (404, "unknown_key")
    assert refused(live_api.delete(f"{URL}/{made['id']}")) == (404, "unknown_key")
    assert [each["name"] for each in live_api.get(URL).json()["data"]] == ["tests"]


@pytest.fixture
def tenant() -> APIClient:
    """A key with every scope that acts for one of two customers."""
    for key in (MINE, OTHER):
        factories.customer(key)
        factories.grant(key, "100")
    return limited(customer_id=MINE)


def debit(customer: str, key: str = "k") -> dict[str, Any]:
    return {"customer_id": customer, "amount": "1", "currency": "USD", "idempotency_key": key}


def test_a_key_of_one_customer_acts_for_it(tenant: APIClient) -> None:
    assert tenant.post("/v1/wallets/debit", debit(MINE)).status_code == 200
    held = tenant.post("/v1/wallets/reservations", debit(MINE, "r")).json()
    address = f"/v1/wallets/reservations/{held['id']}"
    assert tenant.post(f"{address}/capture", {"idempotency_key": "c"}).status_code == 200
    assert tenant.get(address).status_code == 200
    assert tenant.get(f"/v1/wallets/{MINE}").status_code == 200
    assert tenant.get(f"/v1/wallets/reservations?customer_id={MINE}").status_code == 200
    batch = {"debits": [debit(MINE, "a"), debit(MINE, "b")]}
    assert tenant.post("/v1/wallets/debits/batch", batch).status_code == 200
    event = {"customerId": MINE, "metricName": factories.metric().code, "quantity": 1,
             "occurredAt": timezone.now().isoformat(), "idempotencyKey": "e"}  # fmt: skip
    ingested = tenant.post("/v1/ingest/batch", {"events": [event]})
    assert (ingested.status_code, ingested.json()["data"]["accepted"]) == (202, 1)


REFUSED: list[tuple[str, str, Any]] = [
    ("post", "/v1/wallets/debit", debit(OTHER)),
    ("post", "/v1/wallets/debits/batch", {"debits": [debit(MINE), debit(OTHER)]}),
    ("post", "/v1/wallets/debits/batch", {"debits": [debit(MINE), {"amount": "1"}]}),
    ("post", "/v1/wallets/debits/batch", {"debits": []}),
    ("post", "/v1/wallets/captures/batch", {"captures": [{"reservation": "x"}]}),
    ("post", "/v1/wallets/captures/batch",
     {"customer_id": MINE, "captures": [{"reservation": "x", "idempotency_key": "k"}]}),
    ("post", "/v1/ingest", {"customerId": OTHER}),
    ("post", "/v1/ingest/batch", {"events": [{"customerId": MINE}, {"customerId": OTHER}]}),
    ("post", "/v1/ingest/batch", {"customerId": MINE, "events": [{"customerId": OTHER}]}),
    ("post", "/v1/events", [{"subject": MINE}, {"subject": OTHER}]),
    ("post", "/v1/customers", {"id": "third", "name": "Third"}),
    ("post", "/v1/metrics", {"code": "m", "name": "M", "aggregation": "COUNT"}),
    ("post", "/v1/settlements/run", {}),
    ("get", f"/v1/wallets/{OTHER}", None),
    ("get", f"/v1/wallets/{OTHER}/movements?customer_id={MINE}", None),
    ("get", "/v1/wallets/reservations", None),
    ("get", f"/v1/wallets/reservations?customer_id={OTHER}", None),
    ("get", f"/v1/ledger/entries?customer_id={MINE}&customer_id={OTHER}", None),
    ("get", "/v1/customers", None),
    ("get", "/v1/rate-plans", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "address", "body"), REFUSED)
def test_a_key_of_one_customer_is_refused_the_rest(
    tenant: APIClient, method: str, address: str, body: Any
) -> None:
    before = Entry.objects.count()

    answer = getattr(tenant, method)(address, *([] if body is None else [body]))

    assert refused(answer) == (403, "key_of_one_customer")
    assert Entry.objects.count() == before


def test_an_event_whose_customer_is_in_a_header_is_looked_at_too(tenant: APIClient) -> None:
    headers: dict[str, Any] = {"HTTP_CE_SUBJECT": "oth%65r", "HTTP_CE_ID": "1"}

    answer = tenant.post("/v1/events", {"subject": MINE}, **headers)

    assert refused(answer) == (403, "key_of_one_customer")


def test_objects_of_another_customer_do_not_exist(tenant: APIClient) -> None:
    wide = limited()
    held = wide.post("/v1/wallets/reservations", debit(OTHER)).json()["id"]
    key = create_api_key(livemode=False, name="other's", customer_id=OTHER)[0]
    before = Entry.objects.count()

    for address in (f"/v1/wallets/reservations/{held}", f"/v1/usage/reservations/{held}"):
        assert tenant.get(address).status_code == 404
        for step in ("capture", "void", "extend"):
            body = {"idempotency_key": step, "customer_id": MINE}
            assert tenant.post(f"{address}/{step}", body).status_code == 404
    assert tenant.delete(f"{URL}/{key.pk}").status_code == 404
    assert Entry.objects.count() == before
    key.refresh_from_db()
    assert key.revoked_at is None


def test_every_address_without_the_customer_is_refused(tenant: APIClient) -> None:
    """No address answers a key of one customer that says nothing of whom it is about."""
    for route in OWN:
        for method in route.methods - {"trace"}:
            answer = getattr(tenant, method)(route.address, *([{}] if method != "get" else []))
            assert answer.status_code in {403, 404}, (method, route.address, answer.content)


def test_a_key_of_one_customer_passes_on_only_itself(tenant: APIClient) -> None:
    assert refused(tenant.post(URL, {"name": "x"})) == (403, "key_of_one_customer")
    made = tenant.post(URL, {"name": "x", "customer_id": MINE})

    assert made.status_code == 201
    assert made.json()["customer_id"] == MINE
    assert set(made.json()["scopes"]) == set(ApiScope.values)
