"""Personal data is checked by one service: the form, the API and the database refuse the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from billing.models import Customer, TaxRate
from tests import factories

pytestmark = pytest.mark.django_db

SOUND = {"name": "Acme", "email": "", "country": "ES", "region": "", "tax_id": "", "tags": "a\nb",
         "timezone": "Europe/Madrid", "collection_method": "SEND_INVOICE"}  # fmt: skip
WRONG = [
    ("timezone", "Mars/Base"),
    ("timezone", "europe/madrid"),
    ("timezone", "FOO+3"),
    ("timezone", "../etc/passwd"),
    ("country", "uk"),
    ("country", "E"),
    ("name", "a\x07b"),
    ("region", "a\x85b"),
]


@pytest.fixture
def customer() -> Customer:
    return factories.customer().customer


def post(client: Client, customer: Customer, **changes: str) -> Any:
    management = {
        f"{part}-{count}_FORMS": "0"
        for part in ("subscriptions", "exemptions")
        for count in ("TOTAL", "INITIAL")
    }
    url = reverse("admin:billing_customer_change", args=[customer.pk])
    return client.post(url, SOUND | changes | management)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_is_wrong_is_refused_everywhere(
    admin_client: Client, api: APIClient, customer: Customer, name: str, value: str
) -> None:
    before = Customer.objects.values().get()

    page = post(admin_client, customer, **{name: value})
    changed = api.patch("/v1/customers/cust_1", {name: value})
    made = api.post("/v1/customers", {"id": "other", "name": "Other", name: value})

    assert page.status_code == 200
    assert list(page.context["adminform"].form.errors) == [name]
    for answer in (changed, made):
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == [f"/{name}"]
    assert Customer.objects.values().get() == before


def test_tags_are_one_line_each(admin_client: Client, api: APIClient, customer: Customer) -> None:
    refused = api.patch("/v1/customers/cust_1", {"tags": ["b\r\nc"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/tags")

    assert post(admin_client, customer).status_code == 302

    customer.refresh_from_db()
    assert (customer.tags, customer.timezone, customer.name) == (
        ["a", "b"],
        "Europe/Madrid",
        "Acme",
    )


@pytest.mark.parametrize(
    "change", [{"timezone": "Mars/Base"}, {"timezone": ""}, {"country": "es"}, {"country": "ESP"}]
)
def test_the_database_refuses_it_too(customer: Customer, change: dict[str, str]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        Customer.objects.filter(pk=customer.pk).update(**change)
    customer.refresh_from_db()
    assert (customer.timezone, customer.country) == ("UTC", "")


def test_a_tax_rate_is_of_a_country(admin_client: Client) -> None:
    rate = {"name": "IVA", "country": "ES", "percent": "21", "valid_from_0": "2026-01-01",
            "valid_from_1": "00:00"}  # fmt: skip
    add = reverse("admin:billing_taxrate_add")

    refused = [
        admin_client.post(add, rate | wrong)
        for wrong in ({"country": "UK"}, {"percent": "100.1"}, {"percent": "-1"})
    ]

    fields = [list(page.context["adminform"].form.errors) for page in refused]
    assert fields == [["country"], ["percent"], ["percent"]]
    assert not TaxRate.objects.exists()
    assert admin_client.post(add, rate).status_code == 302
    assert TaxRate.objects.get().percent == 21


@pytest.mark.parametrize(
    ("field", "value"),
    [("interval_count", "0"), ("interval_count", "367"), ("trial_days", "3661"),
     ("overage_limit", "-1")],
)  # fmt: skip
def test_an_offering_keeps_to_its_bounds(admin_client: Client, field: str, value: str) -> None:
    sold = factories.offering()
    form = {"code": "other", "name": "Other", "plan": str(sold.plan_id), "billing_mode": "HYBRID",
            "interval": "MONTH", "interval_count": "1", "trial_days": "0", "overage_limit": "",
            "over_capture": "REFUSE", "grace_seconds": "0", "status": "ACTIVE"}  # fmt: skip
    add = reverse("admin:pricing_offering_add")

    page = admin_client.post(add, form | {field: value})

    assert list(page.context["adminform"].form.errors) == [field]
    assert type(sold).objects.count() == 1
    assert admin_client.post(add, form).status_code == 302
