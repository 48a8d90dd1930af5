"""Above a limit a second person approves: nothing is done before, and then as it was asked for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.access.models import ApiKey
from aforo.errors import NotCovered
from billing import approvals
from ledger.controls import policies
from ledger.models import ApprovalLimit, ApprovalRequest, Entry
from tests import factories

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def cust_1(db: None) -> None:
    factories.customer("cust_1")
    factories.top_up("cust_1", "100")


def limit(amount: str, *, action: str = "GOODWILL", key: ApiKey | None = None) -> ApprovalLimit:
    now = timezone.now()
    proposal = ApprovalLimit(
        livemode=False, action=action, currency="USD", key=key, amount=D(amount),
        starts_at=now - timedelta(hours=1), evidence="Board, 3 January.",
    )  # fmt: skip
    policies.propose(proposal, by=factories.person("ann"), now=now)
    return policies.approve(proposal, by=factories.person("bob"), now=now)


def goodwill(api: APIClient, amount: str, key: str = "g1", **more: str) -> Any:
    body = {
        "customer_id": "cust_1", "kind": "PROMO", "source": "GOODWILL", "amount": amount,
        "currency": "USD", "reason": "an outage", "idempotency_key": key, **more,
    }  # fmt: skip
    return api.post("/v1/wallets/grants", body, format="json")


def refund(api: APIClient, amount: str) -> Any:
    body = {
        "customer_id": "cust_1", "amount": amount, "currency": "USD", "reason": "leaves",
        "idempotency_key": "r1",
    }  # fmt: skip
    return api.post("/v1/wallets/refunds", body, format="json")


def approve(by: str = "cleo") -> Any:
    waiting = ApprovalRequest.objects.get()
    return approvals.approve(request_id=waiting.pk, by=factories.person(by), now=timezone.now())


def test_without_a_limit_all_is_as_before(api: APIClient) -> None:
    assert goodwill(api, "500").status_code == 201
    assert refund(api, "100").status_code == 201
    assert ApprovalRequest.objects.count() == 0


@pytest.mark.parametrize(("amount", "status"), [("50", 201), ("50.01", 202)])
def test_only_above_it(api: APIClient, amount: str, status: int) -> None:
    limit("50")

    assert goodwill(api, amount).status_code == status


def test_a_limit_that_one_person_proposed_is_none_yet(api: APIClient) -> None:
    proposal = ApprovalLimit(
        livemode=False, action="GOODWILL", currency="USD", amount=D(1), starts_at=timezone.now(),
        evidence="x",
    )  # fmt: skip
    policies.propose(proposal, by=factories.person("ann"), now=timezone.now())

    assert goodwill(api, "50").status_code == 201


def test_what_is_no_goodwill_and_other_currencies_have_none(api: APIClient) -> None:
    limit("50")

    assert goodwill(api, "500", source="MANUAL").status_code == 201
    assert goodwill(api, "500", key="g2", currency="EUR").status_code == 201


def test_the_limit_of_a_key_goes_before_the_one_for_all(api: APIClient) -> None:
    limit("1000", key=ApiKey.objects.get())
    limit("50")

    assert goodwill(api, "500").status_code == 201


def test_goodwill_waits_and_is_then_done_in_the_name_of_who_asked(api: APIClient) -> None:
    limit("50")
    before = factories.everything()[1:5]

    answer = goodwill(api, "60")

    assert answer.status_code == 202
    waiting = ApprovalRequest.objects.get()
    assert answer.json() == {"approval": str(waiting.pk), "status": "PENDING"}
    assert factories.everything()[1:5] == before
    assert goodwill(api, "60").json() == answer.json()
    assert ApprovalRequest.objects.count() == 1

    done = approve()

    assert done.status == 201
    entry = Entry.objects.latest("recorded_at")
    assert (entry.event, entry.actor_kind) == ("GRANT", "API_KEY")
    assert entry.actor_id == str(ApiKey.objects.get().pk)
    assert entry.document["key"] == f"approval:{waiting.pk}"
    assert factories.posted("4930") == 60
    waiting.refresh_from_db()
    assert entry.document["approval"] == str(waiting.pk)
    assert entry.document["approved_by"] == f"STAFF:{factories.person('cleo').pk}"
    assert (waiting.status, waiting.approved_by) == ("APPROVED", factories.person("cleo"))


def test_a_refund_waits_too_and_its_money_stays_until_then(api: APIClient) -> None:
    limit("20", action="REFUND")

    assert refund(api, "30").status_code == 202
    assert factories.posted("2100") == -100

    approve()

    assert factories.posted("2100") == -70


def test_what_is_gone_by_then_is_refused_and_waits_on(api: APIClient) -> None:
    limit("20", action="REFUND")
    refund(api, "90")
    factories.debit("cust_1", "50")
    before = factories.everything()

    with pytest.raises(NotCovered):
        approve()

    assert ApprovalRequest.objects.get().status == "PENDING"
    assert factories.everything() == before


class TestDecisions:
    @pytest.fixture(autouse=True)
    def waiting(self, cust_1: None, api: APIClient) -> None:
        limit("50")
        goodwill(api, "60")

    def test_rejected_it_changes_nothing_and_stays_so(self) -> None:
        before = factories.everything()
        waiting = ApprovalRequest.objects.get()
        now = timezone.now()

        approvals.reject(request_id=waiting.pk, by=factories.person("cleo"), now=now)

        for by in ("cleo", "dan"):
            with pytest.raises(policies.Decided):
                approve(by)
        assert factories.everything() == before

    def test_approved_it_is_done_once(self) -> None:
        approve()

        with pytest.raises(policies.Decided):
            approve("dan")
        assert factories.posted("4930") == 60

    def test_after_a_week_it_is_too_late(self) -> None:
        now = timezone.now()
        first = ApprovalRequest.objects.get()
        assert first.expires_at - first.requested_at == timedelta(days=7)
        waiting = ApprovalRequest.objects.create(
            book=first.book, livemode=False, action="GOODWILL",
            operation="wallets.grant", amount=60, currency="USD", content=first.content,
            requested_at=now - timedelta(days=7), expires_at=now,
        )  # fmt: skip
        before = factories.everything()

        with pytest.raises(approvals.ApprovalExpired):
            approvals.approve(request_id=waiting.pk, by=factories.person("cleo"), now=now)
        assert factories.everything() == before

    def test_nobody_approves_what_they_asked_for(self) -> None:
        dan = factories.person("dan")
        first = ApprovalRequest.objects.get()
        waiting = ApprovalRequest.objects.create(
            book=first.book, livemode=False, action="GOODWILL",
            operation="wallets.grant", amount=60, currency="USD", content=first.content,
            actor_kind="STAFF", actor_id=str(dan.pk), requested_at=first.requested_at,
            expires_at=first.expires_at,
        )  # fmt: skip

        with pytest.raises(policies.SamePerson):
            approvals.approve(request_id=waiting.pk, by=dan, now=timezone.now())
        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            ApprovalRequest.objects.filter(pk=waiting.pk).update(
                approved_by=dan, approved_at=timezone.now()
            )
        waiting.refresh_from_db()
        assert waiting.status == "PENDING"

    @pytest.mark.parametrize("changed", [{"amount": 1}, {"content": {}}, {"actor_id": "9"}])
    def test_what_was_asked_for_never_changes(self, changed: dict[str, Any]) -> None:
        with pytest.raises(IntegrityError, match="decided once"), transaction.atomic():
            ApprovalRequest.objects.update(**changed)

    def test_in_the_back_office(self, admin_client: Client, admin_user: User) -> None:
        waiting = ApprovalRequest.objects.get()
        url = reverse("admin:ledger_approvalrequest_approve", args=[waiting.pk])
        inbox = admin_client.get(reverse("approvals")).text
        assert "Goodwill 60 USD, cust_1" in inbox
        assert "an outage" in inbox
        assert "sandbox, asked by API key tests" in inbox
        assert "Approve? Goodwill 60 USD, cust_1, sandbox" in admin_client.get(url).text
        admin_client.post(url, {})
        assert ApprovalRequest.objects.get().status == "PENDING"

        yes = {"confirmed": "True"}
        done = admin_client.post(url, yes, follow=True).text
        assert "Goodwill 60 USD, cust_1, sandbox: done." in done
        assert "The request is APPROVED." in admin_client.post(url, yes, follow=True).text
        assert "Nothing waits for a second person." in admin_client.get(reverse("approvals")).text
        waiting.refresh_from_db()
        assert waiting.approved_by == admin_user
