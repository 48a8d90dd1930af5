"""A draft that says everything."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

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
