"""Endpoints through the API: made, read, changed, deleted, their secrets and deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from rest_framework.test import APIClient

from aforo.access.models import KeyedRequest
from aforo.access.services import create_api_key
from aforo.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookSecret
from tests.webhooks.receivers import Receiver
from tests.webhooks.sent import Time, happen

pytestmark = pytest.mark.django_db

URL = "/v1/webhook-endpoints"


def make(api: APIClient, url: str, **terms: Any) -> dict[str, Any]:
    response = api.post(URL, {"url": url, **terms})
    assert response.status_code == 201, response.content
    made: dict[str, Any] = response.json()
    return made


def test_the_secret_is_shown_once(api: APIClient, other: Receiver) -> None:
    body = {"url": other.url, "events": ["wallet.*"], "customer_id": "acme", "description": "x"}

    made = api.post(URL, body, HTTP_IDEMPOTENCY_KEY="k")
    again = api.post(URL, body, HTTP_IDEMPOTENCY_KEY="k")

    assert made.status_code == again.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    assert again.json() == {**made.json(), "secret": None}
    assert again["Idempotency-Replayed"] == "true"
    shown = api.get(f"{URL}/{made.json()['id']}").json()
    assert shown == {name: value for name, value in made.json().items() if name != "secret"}
    assert (shown["events"], shown["customer_id"], shown["enabled"]) == (["wallet.*"], "acme", True)
    assert api.get(URL).json()["data"] == [shown]
    # It is nowhere in the database.
    assert secret not in KeyedRequest.objects.get().body
    assert WebhookSecret.objects.get().salt not in secret


def test_a_rotated_secret_has_a_stated_overlap(api: APIClient, other: Receiver) -> None:
    made = make(api, other.url)

    rotated = api.post(f"{URL}/{made['id']}/rotate-secret", {"previous_expires_in": 3_600})

    assert rotated.status_code == 201
    assert rotated.json()["secret"] != made["secret"]
    first, second = WebhookSecret.objects.order_by("id")
    assert first.expires_at is not None
    assert second.expires_at is None
    for _ in range(3):
        assert api.post(f"{URL}/{made['id']}/rotate-secret", {}).status_code == 201
    refused = api.post(f"{URL}/{made['id']}/rotate-secret", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_secrets")
    assert WebhookSecret.objects.count() == 5
    at_once = api.post(f"{URL}/{made['id']}/rotate-secret", {"previous_expires_in": 0})
    assert at_once.status_code == 201


def test_what_is_left_out_of_a_change_stays(api: APIClient, other: Receiver) -> None:
    made = make(api, other.url, events=["invoice.paid"])

    changed = api.patch(f"{URL}/{made['id']}", {"description": "new"}).json()

    assert (changed["description"], changed["events"]) == ("new", ["invoice.paid"])
    assert (changed["url"], changed["enabled"]) == (other.url, True)


def test_switched_off_and_on_it_gets_what_it_missed(api: APIClient, other: Receiver) -> None:
    time = Time()
    made = make(api, other.url)
    off = api.patch(f"{URL}/{made['id']}", {"enabled": False}).json()
    assert (off["enabled"], off["off_reason"]) == (False, "Switched off by hand.")
    happen("a", 1)
    assert time.deliver() == 0

    assert api.patch(f"{URL}/{made['id']}", {"enabled": True}).json()["off_at"] is None
    happen("a", 2)

    rows = WebhookDelivery.objects.order_by("position")
    time.now = max(row.created_at for row in rows)
    assert time.deliver() == 2
    assert [event["data"]["number"] for event in other.got] == [1, 2]


def test_deleted_it_is_gone_and_nothing_is_sent(api: APIClient, other: Receiver) -> None:
    made = make(api, other.url)
    happen("a")

    assert api.delete(f"{URL}/{made['id']}").json()["url"] == other.url

    assert Time().deliver() == 0
    assert api.get(f"{URL}/{made['id']}").json()["code"] == "unknown_endpoint"
    assert api.get(URL).json()["data"] == []
    assert WebhookSecret.objects.count() == 0


def test_deliveries_are_listed_and_replayed(api: APIClient, other: Receiver) -> None:
    time = Time()
    made = make(api, other.url)
    base = f"{URL}/{made['id']}/deliveries"
    other.answers = [200, 500]
    happen("a", 1)
    happen("b", 2)
    time.deliver()

    listed = api.get(base).json()["data"]

    assert [(d["customer_id"], d["status"], d["response_status"]) for d in listed] == [
        ("b", "PENDING", 500), ("a", "DELIVERED", 200),
    ]  # fmt: skip
    assert (listed[1]["type"], listed[1]["attempts"]) == ("wallet.depleted", 1)
    assert listed[1]["response_excerpt"] == "thanks"
    pending = api.get(base, {"status": "PENDING"}).json()["data"]
    assert [d["id"] for d in pending] == [listed[0]["id"]]
    still = api.post(f"{base}/{listed[0]['id']}/replay", {})
    assert (still.status_code, still.json()["code"]) == (409, "still_pending")
    assert WebhookDelivery.objects.count() == 2
    replayed = api.post(f"{base}/{listed[1]['id']}/replay", {})
    assert (replayed.status_code, replayed.json()["status"]) == (201, "PENDING")
    assert replayed.json()["event"] == listed[1]["event"]
    assert api.post(f"{base}/999999/replay", {}).json()["code"] == "unknown_delivery"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "ftp://example.com/"}, "invalid_url"),
        ({"url": "https://user:pw@127.0.0.1/"}, "invalid_url"),
        ({"url": "https://127.0.0.1:99999/"}, "invalid_url"),
        ({"url": "https:///hook"}, "invalid_url"),
        ({"url": "https://exa mple.com/"}, "invalid_url"),
        ({"url": "http://10.0.0.1/"}, "address_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "address_refused"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "address_refused"),
        ({"url": "https://nothing.invalid/"}, "unresolvable"),
        ({"url": "http://127.0.0.1/", "events": ["wallet.rich"]}, "unknown_event_type"),
    ],
)
def test_what_cannot_be_sent_to_is_refused(
    api: APIClient, settings: LazySettings, body: dict[str, Any], code: str
) -> None:
    settings.WEBHOOK_LOOPBACK = True

    answer = api.post(URL, body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert WebhookEndpoint.objects.count() == WebhookSecret.objects.count() == 0


def test_a_change_of_the_address_is_checked_too(api: APIClient, other: Receiver) -> None:
    made = make(api, other.url)

    answer = api.patch(f"{URL}/{made['id']}", {"url": "http://192.168.0.1/"})

    assert (answer.status_code, answer.json()["code"]) == (422, "address_refused")
    assert WebhookEndpoint.objects.get().url == other.url


def test_live_webhooks_go_over_tls(live_api: APIClient, other: Receiver) -> None:
    answer = live_api.post(URL, {"url": other.url})

    assert (answer.status_code, answer.json()["code"]) == (422, "https_required")
    assert WebhookEndpoint.objects.count() == 0


def test_endpoints_of_the_other_mode_do_not_exist(
    api: APIClient, live_api: APIClient, other: Receiver
) -> None:
    made = make(api, other.url)
    address = f"{URL}/{made['id']}"

    for answer in (
        live_api.get(address),
        live_api.patch(address, {"description": "x"}),
        live_api.delete(address),
        live_api.post(f"{address}/rotate-secret", {}),
        live_api.get(f"{address}/deliveries"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_endpoint")
    assert live_api.get(URL).json()["data"] == []
    assert WebhookSecret.objects.count() == 1


def test_other_scopes_do_not_do(other: Receiver) -> None:
    _, secret = create_api_key(livemode=False, name="w", scopes=["wallets", "billing", "ledger"])
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")

    assert client.post(URL, {"url": other.url}).status_code == 403
    assert WebhookEndpoint.objects.count() == 0
