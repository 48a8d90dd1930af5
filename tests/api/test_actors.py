"""Who did it, from the key, the member of staff or the job to entries and operations."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from aforo import actors
from aforo.access.models import ApiKey, KeyedRequest
from billing.finance import verification
from ledger.models import Entry
from tests import factories
from tests.factories import FEBRUARY, START
from wallets.models import Operation, TopUp
from wallets.top_ups import gateway, refill, waiting_payments

pytestmark = pytest.mark.django_db

RESERVATIONS = "/v1/wallets/reservations"


def the_key() -> dict[str, str]:
    return {"kind": "API_KEY", "id": str(ApiKey.objects.get().pk)}


def job(name: str) -> dict[str, str]:
    return {"kind": "JOB", "id": name}


def actors_of(event: str) -> list[dict[str, str]]:
    found = Entry.objects.filter(event=event).order_by("book", "sequence")
    return [entry.document["actor"] for entry in found]


def post(api: APIClient, path: str, **body: Any) -> Any:
    answer = api.post(path, body)
    assert answer.status_code in {200, 201, 202}, answer.content
    return answer.json()


def money(key: str, amount: str = "10", **more: Any) -> dict[str, Any]:
    return {
        "customer_id": "cust_1", "amount": amount, "currency": "USD", "idempotency_key": key, **more
    }  # fmt: skip


@pytest.fixture
def customer(api: APIClient) -> None:
    post(api, "/v1/customers", id="cust_1", name="Ann")


def test_every_operation_of_a_key_names_it(api: APIClient, customer: None) -> None:
    post(api, "/v1/wallets/top-ups", **money("t", "100"))
    post(api, "/v1/wallets/grants", **money("g", kind="PROMO", reason="Sorry"))
    debit = post(api, "/v1/wallets/debit", **money("d", "20"))
    post(api, "/v1/wallets/debits/batch", debits=[money("b")])
    held = [post(api, RESERVATIONS, **money(f"r{n}"))["id"] for n in (1, 2)]
    post(api, f"{RESERVATIONS}/{held[0]}/capture", idempotency_key="c")
    post(api, f"{RESERVATIONS}/{held[1]}/void", idempotency_key="v")
    post(
        api, f"/v1/wallets/debits/{debit['id']}/reverse",
        idempotency_key="back", amount="5", reason="A mistake",
    )  # fmt: skip

    entries = Entry.objects.order_by("sequence")
    assert [entry.event for entry in entries] == [
        "TOP_UP", "GRANT", "DEBIT", "DEBIT", "HOLD", "HOLD", "CAPTURE", "RELEASE", "REVERSAL",
    ]  # fmt: skip
    assert all(entry.document["actor"] == the_key() for entry in entries)
    assert [entry.reason for entry in entries if entry.reason] == ["Sorry", "A mistake"]
    by = set(Operation.objects.values_list("actor_kind", "actor_id"))
    assert by == {("API_KEY", the_key()["id"])}
    assert Operation.objects.count() == 9
    assert verification.verify().ok


def test_answers_show_who_and_why(api: APIClient, customer: None) -> None:
    post(api, "/v1/wallets/grants", **money("g", kind="PROMO", reason="Sorry"))
    with actors.acting(actors.job("import")):
        factories.top_up("cust_1", "5")

    entries = api.get("/v1/ledger/entries?customer_id=cust_1").json()["data"]
    movements = api.get("/v1/wallets/cust_1/movements").json()["data"]

    for shown in (entries, movements):
        assert [(each["actor"], each["reason"]) for each in shown] == [
            (job("import"), None),
            (the_key(), "Sorry"),
        ]
    for query, events in (
        (f"actor_kind=API_KEY&actor_id={the_key()['id']}", ["GRANT"]),
        ("actor_kind=JOB", ["TOP_UP"]),
        ("actor_kind=STAFF", []),
    ):
        found = api.get(f"/v1/ledger/entries?{query}").json()["data"]
        assert [entry["event"] for entry in found] == events
    assert api.get("/v1/ledger/entries?actor_kind=CAT").status_code == 422


def test_a_keyed_request_keeps_who_asked(api: APIClient) -> None:
    body = {"code": "tokens", "name": "Tokens", "aggregation": "SUM"}

    assert api.post("/v1/metrics", body, HTTP_IDEMPOTENCY_KEY="k").status_code == 201
    assert api.post("/v1/metrics", body, HTTP_IDEMPOTENCY_KEY="k").status_code == 201

    kept = KeyedRequest.objects.get()
    assert {"kind": kept.actor_kind, "id": kept.actor_id} == the_key()


def test_a_renewal_inside_a_request_is_a_jobs_doing(api: APIClient) -> None:
    """The debit is the key's; the cycle that begins before it is nobody's wish but the plan's."""
    monthly: dict[str, Any] = {
        "code": "monthly", "kind": "PROMO", "amount": "100", "recurrence": "EVERY_CYCLE",
        "expires_at_cycle_end": True,
    }  # fmt: skip
    factories.offering(grants=[monthly])
    book = factories.clocked_customer()
    post(api, "/v1/subscriptions", customer_id="cust_1", offering="tokens_monthly")
    assert book.test_clock is not None
    book.test_clock.now = FEBRUARY
    book.test_clock.save(update_fields=["now"])

    post(api, "/v1/wallets/debit", **money("d"))

    assert actors_of("GRANT") == [the_key(), job("renewal")]
    assert actors_of("DEBIT") == [the_key()]


def test_a_hold_that_timed_out_is_released_by_a_job(api: APIClient) -> None:
    book = factories.clocked_customer(now=START)
    post(api, "/v1/wallets/top-ups", **money("t"))
    post(api, RESERVATIONS, **money("r", expires_in=60))
    assert book.test_clock is not None
    book.test_clock.now = START + timedelta(minutes=1)
    book.test_clock.save(update_fields=["now"])

    post(api, "/v1/wallets/debit", **money("d"))

    assert actors_of("HOLD") == actors_of("DEBIT") == [the_key()]
    assert actors_of("RELEASE") == [job("hold_timeout")]


def test_a_refill_after_a_debit_is_a_jobs_doing(
    api: APIClient, customer: None, django_capture_on_commit_callbacks: Any
) -> None:
    post(api, "/v1/wallets/top-ups", **money("t"))
    refill.set_auto_refill(
        livemode=False, customer_id="cust_1", currency="USD",
        threshold=Decimal(5), amount=Decimal(50), enabled=True,
    )  # fmt: skip

    with django_capture_on_commit_callbacks(execute=True):
        post(api, "/v1/wallets/debit", **money("d", "8"))

    assert actors_of("DEBIT") == [the_key()]
    assert actors_of("TOP_UP") == [the_key(), job("refill")]


def test_a_payment_that_the_sweep_learns_of_is_the_buyers_doing(
    api: APIClient, customer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, **terms: Any) -> None:
        raise gateway.GatewayUnreachable

    with monkeypatch.context() as patched:
        patched.setattr(gateway.SANDBOX, "charge", unreachable, raising=False)
        post(api, "/v1/wallets/top-ups", **money("t"))
    waiting = TopUp.objects.get()
    assert (waiting.status, waiting.actor.describe()) == ("PENDING", the_key())

    with actors.acting(actors.job("sweep")):
        waiting_payments.resolve_pending(
            book_ids=[waiting.book_id], now=timezone.now() + timedelta(hours=1)
        )

    assert actors_of("TOP_UP") == [the_key()]
    operation = Operation.objects.get()
    assert {"kind": operation.actor_kind, "id": operation.actor_id} == the_key()


def test_the_page_of_an_entry_names_who_did_it(
    api: APIClient, customer: None, admin_client: Client, admin_user: User
) -> None:
    """An entry of staff, one of a key and one of a job, each by its name of today."""
    with actors.acting(actors.Actor(actors.ActorKind.STAFF, str(admin_user.pk))):
        factories.grant("cust_1", "1", name="g")
    post(api, "/v1/wallets/top-ups", **money("t"))
    with actors.acting(actors.job("sweep")):
        factories.top_up("cust_1", "5")

    pages = [
        admin_client.get(reverse("admin:ledger_entry_change", args=[entry.pk])).content.decode()
        for entry in Entry.objects.order_by("sequence")
    ]

    key = ApiKey.objects.get()
    for page, name in zip(
        pages, (admin_user.username, f"API key {key.name} ({key.prefix}...)", "job sweep"),
        strict=True,
    ):  # fmt: skip
        assert name in page
    assert "done by" in pages[0].lower()
