"""Versions that retire and offerings that are sold, in the back office."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from pricing.models import (
    Offering,
    RatePlanVersion,
)
from pricing.offerings import offerings as pricing_offerings
from pricing.plans import plans
from tests import factories
from tests.pricing.admin_forms import errors

pytestmark = pytest.mark.django_db


def test_versions_retire_by_action(admin_client: Client, draft: RatePlanVersion) -> None:
    plans.publish(livemode=False, code="p", now=factories.START)
    versions = reverse("admin:pricing_rateplanversion_changelist")
    action = {"action": "retire", "_selected_action": [draft.pk]}

    page = admin_client.post(versions, action, follow=True)
    again = admin_client.post(versions, action, follow=True)

    assert b"version 1 is retired" in page.content
    assert b"is not published" in again.content
    assert RatePlanVersion.objects.get().status == "RETIRED"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"status": "ACTIVE"}, "status"), ({"livemode": "on", "status": "DRAFT"}, "plan")],
)
def test_an_offering_that_cannot_be(
    admin_client: Client, draft: RatePlanVersion, changes: dict[str, str], field: str
) -> None:
    fields = {"code": "o", "name": "O", "plan": draft.plan_id, "billing_mode": "HYBRID",
              "interval": "MONTH", "interval_count": 1, "trial_days": 0,
              "over_capture": "REFUSE", "grace_seconds": 0}  # fmt: skip

    page = admin_client.post(reverse("admin:pricing_offering_add"), fields | changes)

    assert list(errors(page)) == [field]
    assert not Offering.objects.exists()


def test_an_offering_is_activated_once_its_plan_is_published(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    offering = pricing_offerings.create_offering(
        livemode=False, code="o", name="O", rate_plan="p", billing_mode="HYBRID",
        interval="MONTH", status="DRAFT",
    )  # fmt: skip
    offerings = reverse("admin:pricing_offering_changelist")
    action = {"action": "activate", "_selected_action": [offering.pk]}

    early = admin_client.post(offerings, action, follow=True)
    offering.refresh_from_db()
    assert b"has no published version" in early.content
    assert offering.status == "DRAFT"

    plans.publish(livemode=False, code="p", now=factories.START)
    admin_client.post(offerings, action)
    offering.refresh_from_db()
    assert offering.status == "ACTIVE"

    admin_client.post(offerings, action | {"action": "archive"})
    offering.refresh_from_db()
    assert offering.status == "ARCHIVED"
