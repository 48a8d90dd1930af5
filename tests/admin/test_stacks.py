"""Pages have sessions, forms with tokens and no frames; calls of the API have none of it."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from rest_framework.test import APIClient

from tests import factories

pytestmark = pytest.mark.django_db


def test_a_form_without_its_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)

    refused = client.post("/admin/login/", {"username": "a", "password": "b"})

    assert refused.status_code == 403
    assert refused["X-Frame-Options"] == "DENY"
    assert Session.objects.count() == 0


def test_pages_know_who_is_logged_in() -> None:
    client = Client()
    assert client.get("/admin/").status_code == 302
    client.force_login(User.objects.create_superuser("root"))

    page = client.get("/admin/")

    assert page.status_code == 200
    assert "Cookie" in page["Vary"]


@pytest.mark.parametrize("path", ["/v1/customers", "/api/v1/quota/check", "/v1/nowhere"])
def test_a_call_has_no_session_and_no_frame(api: APIClient, path: str) -> None:
    factories.customer("cust_1")
    api.cookies[settings.SESSION_COOKIE_NAME] = "surely-unknown"

    answer = api.post(path, {}, format="json", headers={"origin": "https://elsewhere.example"})

    # The cookie is neither read nor ended, and another site's origin meets no form.
    assert answer.status_code in {404, 422}
    assert "X-Frame-Options" not in answer
    assert "Cookie" not in answer.get("Vary", "")
    assert answer.cookies == {}
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_viewer_of_the_document_is_a_page() -> None:
    page = Client().get("/v1/docs")

    assert page.status_code == 200
    assert page["X-Frame-Options"] == "DENY"
    assert "X-Frame-Options" not in Client().get("/v1/openapi.json")
