"""The back office: drafts are typed in part by part, and what the API refuses is refused here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pricing.models import (
    Charge,
    ChargeMetric,
    Coupon,
    GrantTemplate,
    Metric,
    RatePlan,
    RatePlanVersion,
)
from pricing.plans import plans
from tests import factories
from tests.pricing.admin_forms import add, errors

pytestmark = pytest.mark.django_db
METRIC = {"code": "m", "name": "M", "aggregation": "COUNT", "filters": "[]"}
PLAN = {"code": "q", "name": "Q", "currency": "usd"}
COUPON = {"code": "TEN", "type": "PERCENT", "value": "10", "duration": "ONCE"}


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        ("metric", METRIC | {"aggregation": "UNIQUE"}, "property"),
        ("metric", METRIC | {"code": "a/b"}, "code"),
        (
            "metric",
            METRIC | {"filters": '[{"property": "a", "op": "gt", "value": "x"}]'},
            "filters",
        ),
        ("metric", METRIC | {"filters": '{"property": "a"}'}, "filters"),
        ("metric", METRIC | {"filters": "[5]"}, "filters"),
        (
            "metric",
            METRIC | {"filters": '[{"property": "a", "op": "gt", "value": 1.5}]'},
            "filters",
        ),
        ("rateplan", PLAN | {"currency": "XXX"}, "currency"),
        ("rateplan", PLAN | {"code": "a b"}, "code"),
        ("coupon", COUPON | {"value": "101"}, "value"),
        ("coupon", COUPON | {"type": "FIXED"}, "currency"),
        ("coupon", COUPON | {"duration": "REPEATING"}, "cycles"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    admin_client: Client, model: str, fields: dict[str, Any], field: str
) -> None:
    page = add(admin_client, model, fields)

    assert page.status_code == 200
    assert list(errors(page)) == [field]
    assert not Metric.objects.exists()
    assert not RatePlan.objects.exists()
    assert not Coupon.objects.exists()


def test_a_plan_begins_with_a_draft(admin_client: Client) -> None:
    assert add(admin_client, "rateplan", PLAN).status_code == 302

    plan = RatePlan.objects.get()
    assert (plan.code, plan.currency) == ("q", "USD")
    assert [(v.number, v.status) for v in plan.versions.all()] == [(1, "DRAFT")]


def test_a_metric_is_kept_as_the_api_keeps_it(admin_client: Client) -> None:
    filters = '[{"property": "cached", "op": "eq", "value": true}]'

    assert add(admin_client, "metric", METRIC | {"filters": filters}).status_code == 302

    assert Metric.objects.get().filters == [{"property": "cached", "op": "eq", "value": "true"}]


def test_plans_and_priced_metrics_keep_what_they_are(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    metric = Metric.objects.get(code="tokens")

    admin_client.post(
        reverse("admin:pricing_metric_change", args=[metric.pk]),
        {"name": "All tokens", "code": "x", "aggregation": "MAX", "livemode": "on"},
    )
    admin_client.post(
        reverse("admin:pricing_rateplan_change", args=[draft.plan_id]),
        {"name": "Renamed", "code": "x", "currency": "EUR", "livemode": "on",
         "versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0},
    )  # fmt: skip

    metric.refresh_from_db()
    plan = RatePlan.objects.get()
    assert (metric.name, metric.code, metric.aggregation) == ("All tokens", "tokens", "SUM")
    assert (plan.name, plan.code, plan.currency, plan.livemode) == ("Renamed", "p", "USD", False)


def version_page(draft: RatePlanVersion, **changes: Any) -> dict[str, Any]:
    charge = Charge.objects.get(version=draft, code="tokens")
    return {
        "burn_order": "PROMO,CASH",
        "minimum_spend": "",
        "maximum_spend": "",
        "caps": '{"tokens": "500.0"}',
        "grace_hours": "0",
        "draft_hours": "0",
        "lapse_grace_hours": "2",
        "late_usage": "NEXT_CYCLE",
        "charges-TOTAL_FORMS": 1,
        "charges-INITIAL_FORMS": 1,
        "charges-0-id": charge.pk,
        "charges-0-version": draft.pk,
        "charges-0-code": "tokens",
        "charges-0-description": "Tokens",
        "charges-0-model": "PER_UNIT",
        "charges-0-terms": '{"unit_price": "0.0030"}',
        "charges-0-metrics": "tokens",
        "charges-0-timing": "ARREARS",
        "charges-0-position": "0",
        "grants-TOTAL_FORMS": 1,
        "grants-INITIAL_FORMS": 0,
        "grants-0-version": draft.pk,
        "grants-0-code": "hello",
        "grants-0-kind": "PROMO",
        "grants-0-metric": Metric.objects.get(code="tokens").pk,
        "grants-0-quantity": "10000",
        "grants-0-recurrence": "ONCE",
        "grants-0-expires_after_days": "14",
        "grants-0-priority": "100",
        "grants-0-rollover": "null",
        "grants-0-position": "0",
    } | {name.replace("__", "-"): value for name, value in changes.items()}


def test_ten_thousand_free_tokens_for_14_days_is_one_form(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])

    page = admin_client.post(url, version_page(draft))

    assert page.status_code == 302
    draft.refresh_from_db()
    assert (draft.burn_order, draft.caps) == (
        ["PROMO", "CASH"],
        {"tokens": {"quantity": "500", "beyond": "PRICED"}},
    )
    assert (draft.lapse_grace_hours, draft.late_usage) == (2, "NEXT_CYCLE")
    charge = Charge.objects.get()
    assert charge.terms == {"unit_price": "0.003"}
    assert [(feed.metric.code, feed.weight) for feed in charge.feeds.all()] == [("tokens", 1)]
    grant = GrantTemplate.objects.get()
    assert (grant.quantity, grant.expires_after_days) == (10_000, 14)
    assert plans.publish(livemode=False, code="p", now=factories.START).number == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"caps": '{"nothing": 5}'},
        {"caps": '{"tokens": 0}'},
        {"caps": "[5]"},
        {"caps": '{"tokens": {"quantity": 5, "beyond": "FREE"}}'},
        {"minimum_spend": "5", "maximum_spend": "4"},
        {"burn_order": "PROMO,PROMO"},
        {"burn_order": "GOLD"},
        {"charges__0__terms": '{"unit_price": "-1"}'},
        {"charges__0__terms": "5"},
        {"charges__0__code": "a/b"},
        {"charges__0__metrics": ""},
        {"charges__0__metrics": "nothing"},
        {"charges__0__metrics": "tokens_live"},
        {"charges__0__metrics": "tokens many"},
        {"charges__0__metrics": "tokens 1 2"},
        {"charges__0__metrics": "tokens 0"},
        {"charges__0__metrics": "tokens\ntokens"},
        {"charges__0__timing": "ADVANCE"},
        {"grants__0__quantity": "0"},
        {"grants__0__expires_after_days": "0"},
        {"grants__0__expires_at_cycle_end": "on"},
        {"grants__0__rollover": '{"mode": "SOME"}'},
    ],
)
def test_a_draft_that_is_not_sound_is_not_saved(
    admin_client: Client, draft: RatePlanVersion, changes: dict[str, str]
) -> None:
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])

    page = admin_client.post(url, version_page(draft, **changes))

    assert page.status_code == 200
    assert page.context["errors"]
    draft.refresh_from_db()
    assert (draft.burn_order, draft.caps) == (["PROMO", "BONUS", "CASH"], {})
    assert Charge.objects.get().terms == {"unit_price": "0.002"}
    assert not GrantTemplate.objects.exists()


def test_metrics_of_the_other_mode_are_not_offered(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    live = Metric.objects.get(code="tokens_live").pk
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])

    page = admin_client.post(url, version_page(draft, grants__0__metric=live))

    assert page.status_code == 200
    assert not GrantTemplate.objects.exists()
    shown = admin_client.get(url)
    assert b">tokens<" in shown.content
    assert b">tokens_live<" not in shown.content


def test_weights_are_typed_and_shown_beside_their_metrics(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    factories.metric("output")
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])

    admin_client.post(url, version_page(draft, charges__0__metrics="tokens\r\noutput 3.50"))

    feeds = Charge.objects.get().feeds.order_by("pk")
    assert [(f.metric.code, f.weight) for f in feeds] == [
        ("tokens", Decimal(1)),
        ("output", Decimal("3.5")),
    ]
    assert "tokens\noutput 3.5<" in admin_client.get(url).content.decode()


def test_charges_stand_by_their_positions_and_one_is_removed(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])
    fee = {
        "charges__1__code": "fee",
        "charges__1__model": "FLAT_RATE",
        "charges__1__terms": '{"flat_fee": "20"}',
        "charges__1__timing": "ADVANCE",
        "charges__1__position": "1",
    }

    first = admin_client.post(
        url, version_page(draft, charges__TOTAL_FORMS=2, charges__0__position="2", **fee)
    )
    charges = list(Charge.objects.order_by("position"))
    assert first.status_code == 302
    assert [charge.code for charge in charges] == ["fee", "tokens"]

    kept = version_page(draft, charges__INITIAL_FORMS=2, charges__TOTAL_FORMS=2, **fee) | {
        "charges-0-id": charges[1].pk,
        "charges-1-id": charges[0].pk,
        "charges-0-DELETE": "on",
        "grants-TOTAL_FORMS": 0,
    }
    assert admin_client.post(url, kept).status_code == 302
    assert [charge.code for charge in Charge.objects.all()] == ["fee"]


def test_a_fault_is_said_on_the_row_that_has_it(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])
    twin = {
        "charges__1__code": "other",
        "charges__1__model": "PER_UNIT",
        "charges__1__terms": '{"unit_price": "-1"}',
        "charges__1__metrics": "nothing",
        "charges__1__timing": "ARREARS",
        "charges__1__position": "1",
    }

    page = admin_client.post(url, version_page(draft, charges__TOTAL_FORMS=2, **twin))

    charges = page.context["inline_admin_formsets"][0].formset
    assert [set(form.errors) for form in charges.forms] == [set(), {"terms", "metrics"}]
    assert Charge.objects.count() == 1


def test_a_draft_that_was_published_meanwhile_is_not_written(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    """The page saw a draft; when its version is written, the plan's draft is another one."""
    plans.publish(livemode=False, code="p", now=factories.START)
    plans.begin_draft(plan=draft.plan)

    with pytest.raises(plans.NoDraft):
        plans.update_draft(livemode=False, code="p", number=1, changes={"grace_hours": 5})
    with pytest.raises(plans.NoDraft):
        plans.discard_draft(livemode=False, code="p", number=1)

    assert set(RatePlanVersion.objects.values_list("number", "grace_hours")) == {(1, 0), (2, 0)}


def test_a_draft_is_discarded_with_its_parts(admin_client: Client, draft: RatePlanVersion) -> None:
    delete = reverse("admin:pricing_rateplanversion_delete", args=[draft.pk])

    assert b"tokens" in admin_client.get(delete).content
    assert admin_client.post(delete, {"post": "yes"}).status_code == 302

    assert not RatePlanVersion.objects.exists()
    assert not Charge.objects.exists()
    assert RatePlan.objects.get().code == "p"


def test_the_catalogue_is_not_deleted(admin_client: Client, draft: RatePlanVersion) -> None:
    for row in (Metric.objects.get(code="tokens"), draft.plan, Charge.objects.get()):
        delete = reverse(f"admin:pricing_{row._meta.model_name}_delete", args=[row.pk])
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403

    assert (Metric.objects.count(), RatePlan.objects.count(), Charge.objects.count()) == (2, 1, 1)


def test_a_published_version_is_read_only(admin_client: Client, draft: RatePlanVersion) -> None:
    body = version_page(draft)
    plans.publish(livemode=False, code="p", now=factories.START)
    charge = Charge.objects.get()

    for model, key in (("rateplanversion", draft.pk), ("charge", charge.pk)):
        change = reverse(f"admin:pricing_{model}_change", args=[key])
        delete = reverse(f"admin:pricing_{model}_delete", args=[key])
        assert admin_client.get(change).status_code == 200
        assert admin_client.post(change, body).status_code == 403
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    admin_client.post(
        reverse("admin:pricing_rateplanversion_changelist"),
        {"action": "delete_selected", "_selected_action": [draft.pk], "post": "yes"},
    )

    assert RatePlanVersion.objects.get().status == "PUBLISHED"
    assert Charge.objects.get().terms == {"unit_price": "0.002"}


def test_a_draft_without_its_feed_is_not_published(
    admin_client: Client, draft: RatePlanVersion
) -> None:
    ChargeMetric.objects.all().delete()

    page = admin_client.post(
        reverse("admin:pricing_rateplan_changelist"),
        {"action": "publish_draft", "_selected_action": [draft.plan_id]},
        follow=True,
    )

    assert b"Name the metric that feeds the charge." in page.content
    assert RatePlanVersion.objects.get().status == "DRAFT"
