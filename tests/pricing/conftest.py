"""Drafts: one that says everything, and one of the back office."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from pricing.models import RatePlanVersion
from pricing.plans import plans, version_spec
from tests import factories
from tests.pricing.versions import WORDS


@pytest.fixture
def drafted(api: APIClient) -> dict[str, Any]:
    factories.metric("tokens")
    factories.metric("calls")
    response = api.post("/v1/rate-plans", {"code": "p", "name": "P", "currency": "USD"} | WORDS)
    assert response.status_code == 201
    answer: dict[str, Any] = response.json()
    return answer


@pytest.fixture
def draft(admin_client: Client) -> RatePlanVersion:
    factories.metric("tokens")
    factories.metric("tokens_live", livemode=True)
    return plans.create_rate_plan(
        livemode=False,
        code="p",
        name="P",
        currency="USD",
        spec=version_spec.VersionSpec(charges=factories.TOKENS_AT_2_MILLS),
    )
