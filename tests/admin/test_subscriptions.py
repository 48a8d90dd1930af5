"""Subscriptions in the back office: moves are shown, and asked for through the services."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from aforo.webhooks.models import OutboxEvent
from billing.models import Invoice, Subscription, SubscriptionCoupon, SubscriptionMove
from pricing.offerings import coupons
from tests import factories

pytestmark = pytest.mark.django_db


def address(what: str) -> str:
    return reverse(f"admin:billing_subscription_{what}", args=[Subscription.objects.get().pk])


@pytest.mark.parametrize(
    ("what", "sent", "kind"),
    [
        ("pause", {}, "PAUSED"),
        ("cancel", {"at": "NOW"}, "CANCELLED"),
        ("cancel", {"at": "PERIOD_END"}, "CANCELLATION_SET"),
    ],
)
def test_a_change_is_done_in_the_name_of_the_user(
    admin_client: Client, what: str, sent: dict[str, str], kind: str
) -> None:
    factories.subscribed()
    assert address(what) in admin_client.get(address("change")).text
    assert "reason" in admin_client.get(address(what)).text

    page = admin_client.post(address(what), {**sent, "reason": "They rang us"}, follow=True).text

    move = SubscriptionMove.objects.order_by("-pk")[0]
    user = User.objects.get(username="admin")
    assert (move.kind, move.reason) == (kind, "They rang us")
    assert (move.actor_kind, move.actor_id) == ("STAFF", str(user.pk))
    assert "They rang us" in page


def test_what_is_paused_goes_on_and_an_end_is_withdrawn(admin_client: Client) -> None:
    factories.subscribed()
    for what, sent in (
        ("pause", {}),
        ("resume", {}),
        ("cancel", {"at": "PERIOD_END"}),
        ("uncancel", {}),
    ):
        assert admin_client.post(address(what), sent).status_code == 302, what

    found = Subscription.objects.get()
    assert (found.status, found.cancel_at) == ("ACTIVE", None)


def test_a_refusal_is_shown_and_changes_nothing(admin_client: Client) -> None:
    factories.subscribed()
    before = Subscription.objects.values().get(), SubscriptionMove.objects.count()

    page = admin_client.post(address("resume"), {}).text

    assert "The subscription is active." in page
    assert (Subscription.objects.values().get(), SubscriptionMove.objects.count()) == before


def test_a_change_of_plan_is_shown_and_then_carried_out(admin_client: Client) -> None:
    """From the start of its period: 31 given back, 62 billed, less 31."""
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"}
    tokens = factories.TOKENS_AT_2_MILLS
    factories.offering("pro", charges=[{**fee, "terms": {"flat_fee": "62"}}, *tokens])
    factories.subscribed(charges=[fee, *tokens])
    before = Subscription.objects.values().get(), SubscriptionMove.objects.count()

    page = admin_client.post(address("change_plan"), {"offering": "pro", "at": "NOW"}).text

    assert "The new fees, less that" in page
    assert "<td" in page
    later = admin_client.post(address("change_plan"), {"offering": "pro", "at": "PERIOD_END"}).text
    assert "Changes on" in later
    unknown = admin_client.post(address("change_plan"), {"offering": "no", "at": "NOW"}).text
    assert "no" in unknown
    assert (Subscription.objects.values().get(), SubscriptionMove.objects.count()) == before

    sent = {"offering": "pro", "at": "NOW", "carry_out": "on", "reason": "Grows"}
    assert admin_client.post(address("change_plan"), sent).status_code == 302

    assert Subscription.objects.get().offering.code == "pro"
    moved = SubscriptionMove.objects.get(kind="PLAN_CHANGED")
    assert (moved.reason, moved.actor_kind) == ("Grows", "STAFF")
    assert list(Invoice.objects.order_by("pk").values_list("total", flat=True)) == [31, 31]


@pytest.mark.parametrize("what", ["change_plan", "pause", "resume", "cancel", "uncancel"])
def test_who_may_only_look_asks_for_nothing(client: Client, what: str) -> None:
    factories.subscribed()
    viewer = User.objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_subscription"))
    client.force_login(viewer)

    assert client.get(address(what)).status_code == 403
    assert client.post(address(what), {"at": "NOW"}).status_code == 403
    assert Subscription.objects.get().status == "ACTIVE"


def test_a_coupon_is_added_and_removed_in_the_name_of_the_user(admin_client: Client) -> None:
    factories.subscribed()
    coupons.create_coupon(
        livemode=False, code="tenth", type="PERCENT", value=Decimal(10), duration="FOREVER"
    )
    sent = {"code": "tenth", "reason": "They rang us"}

    for what, kind in (("add_coupon", "COUPON_ADDED"), ("remove_coupon", "COUPON_REMOVED")):
        assert admin_client.post(address(what), sent).status_code == 302, what

        move = SubscriptionMove.objects.order_by("-pk")[0]
        assert (move.kind, move.facts, move.reason) == (kind, {"coupon": "tenth"}, "They rang us")
        assert (move.from_status, move.to_status, move.actor_kind) == ("ACTIVE", "ACTIVE", "STAFF")
    told = OutboxEvent.objects.filter(type="subscription.updated")
    assert sorted(each.payload["move"] for each in told) == ["COUPON_ADDED", "COUPON_REMOVED"]
    taken = SubscriptionCoupon.objects.get()
    assert (taken.position, taken.removed_at is None) == (0, False)


def test_a_coupon_that_is_refused_changes_nothing(admin_client: Client) -> None:
    factories.subscribed()
    before = SubscriptionMove.objects.count()

    unknown = admin_client.post(address("add_coupon"), {"code": "none"})
    untaken = admin_client.post(address("remove_coupon"), {"code": "none"})

    assert (unknown.status_code, untaken.status_code) == (200, 200)
    assert "has no coupon none" in untaken.text
    assert SubscriptionMove.objects.count() == before
    assert not SubscriptionCoupon.objects.exists()
