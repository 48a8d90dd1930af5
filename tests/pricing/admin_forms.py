"""Forms of the catalogue as a browser sends them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse


def add(client: Client, model: str, fields: dict[str, Any]) -> Any:
    management = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    return client.post(reverse(f"admin:pricing_{model}_add"), fields | management)


def errors(page: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = page.context["adminform"].form.errors
    return found
