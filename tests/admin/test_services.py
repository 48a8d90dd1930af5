"""What the back office writes, services write: no form and no view writes a model by itself."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from aforo.adminui import admins
from aforo.errors import Conflict, Invalid
from ledger import account_mapping
from ledger.models import Account, GlMapping
from pricing.catalogue import TopUpTerms, top_up_terms
from pricing.metrics import metrics
from pricing.models import Metric, TopUpRule
from pricing.offerings import top_up_rules
from tests import factories

OURS = {"aforo", "ledger", "pricing", "wallets", "billing"}
# How Django's admin writes; only the base of our admins says what it does instead.
WRITING = (
    "save_model", "save_related", "save_form", "save_formset", "delete_model", "delete_queryset",
    "response_add", "response_change", "response_delete",
)  # fmt: skip
# Where one of these only renders: a new secret, which is shown once.
RENDERS = {("ApiKeyAdmin", "response_add"), ("WebhookEndpointAdmin", "response_add")}


def our_admins() -> list[Any]:
    """Return the admins of our own models."""
    found = [
        each
        for model, each in admin.site._registry.items()
        if model.__module__.partition(".")[0] in OURS
    ]
    assert len(found) > 50
    return found


def test_our_admins_write_by_services_only() -> None:
    for each in our_admins():
        lineage = type(each).__mro__
        assert admins.ModelAdmin in lineage, each
        below = lineage[: lineage.index(admins.ModelAdmin)]
        written = {(cls.__name__, name) for cls in below for name in WRITING if name in vars(cls)}
        assert written <= RENDERS, each


@pytest.mark.django_db
def test_what_has_no_service_not_even_superusers_may(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = User.objects.create_superuser("boss")
    offered = set()
    for each in our_admins():
        may = {
            "add_row": each.has_add_permission(request),
            "change_row": each.has_change_permission(request),
            "delete_row": each.has_delete_permission(request),
        }
        assert may == {name: getattr(each, name) is not None for name in may}, each
        offered |= {(each.model.__name__, name) for name, allowed in may.items() if allowed}

    assert {name for name, what in offered if what == "delete_row"} == {
        "AlertThreshold", "Budget", "GlMapping", "RatePlanVersion", "TopUpRule", "WebhookEndpoint",
    }  # fmt: skip
    assert {name for name, what in offered if what == "change_row"} == {
        "ApiKey", "Budget", "Campaign", "Coupon", "CreditUnit", "Customer", "GlMapping", "Metric",
        "Offering", "RatePlan", "RatePlanVersion", "TopUpRule", "WebhookEndpoint",
    }  # fmt: skip


@pytest.mark.django_db
def test_what_a_service_refuses_late_is_shown(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody was quicker between the check of the form and the write."""
    metric = factories.metric("tokens")
    url = reverse("admin:pricing_metric_change", args=[metric.pk])

    def too_late(**_: object) -> None:
        Metric.objects.update(name="Half-done")
        raise metrics.MetricInUse("The metric tokens is priced: only its name can change.")

    monkeypatch.setattr(metrics, "update_metric", too_late)
    page = admin_client.post(
        url, {"name": "Other", "aggregation": "MAX", "filters": "[]"}, follow=True
    )

    assert page.redirect_chain == [(url, 302)]
    assert b"only its name can change" in page.content
    assert b"was changed successfully" not in page.content
    metric.refresh_from_db()
    assert (metric.name, metric.aggregation) == ("tokens", "SUM")
    assert not LogEntry.objects.exists()


@pytest.mark.django_db
def test_the_history_names_the_fields_and_the_inlines(admin_client: Client) -> None:
    top_up_rules.set_top_up_terms(livemode=False, currency="USD", terms=TopUpTerms())
    rule = TopUpRule.objects.get()
    url = reverse("admin:pricing_topuprule_change", args=[rule.pk])

    admin_client.post(
        url,
        {"minimum": "10", "on_account": "HELD_BACK", "slabs-TOTAL_FORMS": "1",
         "slabs-INITIAL_FORMS": "0", "slabs-0-from_amount": "100", "slabs-0-bonus": "20"},
    )  # fmt: skip

    terms = top_up_terms(livemode=False, currency="USD")
    assert (terms.minimum, terms.slabs) == (10, ((Decimal(100), Decimal(20)),))
    assert LogEntry.objects.get().get_change_message() == "Changed Minimum. Changed bonus slabs."


@pytest.mark.django_db
def test_terms_of_top_ups_are_replaced_and_deleted(admin_client: Client) -> None:
    for slabs in (((Decimal(100), Decimal(20)), (Decimal(200), Decimal(50))), ()):
        terms = TopUpTerms(minimum=Decimal(5), slabs=slabs)
        top_up_rules.set_top_up_terms(livemode=False, currency="USD", terms=terms)
        assert top_up_terms(livemode=False, currency="USD").minimum == 5
    rule = TopUpRule.objects.get()
    assert rule.slabs.count() == 0

    for broken in (
        TopUpTerms(slabs=((Decimal(0), Decimal(1)),)),
        TopUpTerms(slabs=((Decimal(5), Decimal(0)),)),
        TopUpTerms(slabs=((Decimal(5), Decimal(1)), (Decimal(5), Decimal(2)))),
    ):
        with pytest.raises(Invalid):
            top_up_rules.set_top_up_terms(livemode=False, currency="USD", terms=broken)
    with pytest.raises(Invalid):
        top_up_rules.set_top_up_terms(livemode=False, currency="XXX", terms=TopUpTerms())
    assert top_up_terms(livemode=False, currency="USD").minimum == 5

    delete = reverse("admin:pricing_topuprule_delete", args=[rule.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 302
    assert top_up_terms(livemode=False, currency="USD") == TopUpTerms()


@pytest.mark.django_db
def test_a_mapping_is_added_changed_and_deleted(admin_client: Client) -> None:
    account = Account.objects.order_by("code").first()
    assert account is not None
    sent = {"account": account.pk, "currency": "eur", "starts_on": "2026-01-01", "gl_code": "4400"}
    add = reverse("admin:ledger_glmapping_add")

    assert admin_client.post(add, sent).status_code == 302
    rule = GlMapping.objects.get()
    change = reverse("admin:ledger_glmapping_change", args=[rule.pk])
    refused = [
        admin_client.post(change, sent | wrong).context["adminform"].form.errors
        for wrong in ({"currency": "XXX"}, {"ends_on": "2026-01-01"}, {"gl_code": ""})
    ]
    assert [next(iter(errors)) for errors in refused] == ["currency", "ends_on", "gl_code"]
    assert list(admin_client.post(add, sent).context["adminform"].form.errors) == ["__all__"]
    rule.refresh_from_db()
    assert (rule.currency, rule.ends_on, rule.gl_code) == ("EUR", None, "4400")

    assert admin_client.post(change, sent | {"gl_code": "4401"}).status_code == 302
    rule.refresh_from_db()
    assert rule.gl_code == "4401"

    delete = reverse("admin:ledger_glmapping_delete", args=[rule.pk])
    admin_client.post(delete, {"post": "yes"})
    assert not GlMapping.objects.exists()


@pytest.mark.django_db
def test_an_account_has_one_mapping_from_a_day_on() -> None:
    account = Account.objects.order_by("code").first()
    assert account is not None
    day = date(2026, 1, 1)
    account_mapping.write_rule(GlMapping(account=account, starts_on=day, gl_code="1"))

    with pytest.raises(Conflict):
        account_mapping.write_rule(GlMapping(account=account, starts_on=day, gl_code="2"))

    assert GlMapping.objects.get().gl_code == "1"
