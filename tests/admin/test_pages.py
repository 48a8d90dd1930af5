"""Every page of the back office opens, and nothing financial can be edited there."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.models import Settlement
from billing.quickstart import demo
from ledger.models import AccountingPeriod, BreakageRate, ManualAdjustment, Reopening
from pricing.models import RatePlan, RatePlanVersion
from tests import factories
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

OURS = ["access", "sandbox", "webhooks", "ledger", "pricing", "wallets", "billing"]
INSIDE = {  # Shown inside their parents, or not rows to look at.
    "BacktestCycle",
    "AdjustmentLine",
    "Charge",
    "CloseStep",
    "CloseSum",
    "BonusSlab",
    "BudgetChange",
    "BudgetCounter",
    "BudgetDelta",
    "ChargeMetric",
    "DocumentFile",
    "ExportPart",
    "ExportReceipt",
    "ExportRange",
    "GrantTemplate",
    "Hold",
    "InvoiceLine",
    "LoginFailures",
    "SealedHead",
    "SpentDay",
    "TaxExemption",
    "SubscriptionCoupon",
    "UsageRollup",
}
EDITABLE = {
    "AlertThreshold",
    "ExchangeRate",
    "ApiKey",
    "ApprovalLimit",
    "Campaign",
    "BreakageRate",
    "Budget",
    "Coupon",
    "CreditUnit",
    "DunningSchedule",
    "Metric",
    "RatePlan",
    "RatePlanVersion",
    "Offering",
    "Pack",
    "Customer",
    "GlMapping",
    "ManualAdjustment",
    "Policy",
    "ProvisionMatrix",
    "Reopening",
    "TaxRate",
    "TopUpRule",
    "WebhookEndpoint",
}


# What the button of a question sends.
YES = {"confirmed": "True"}


@pytest.fixture
def staff(admin_client: Client) -> Client:
    demo.run()
    return admin_client


def models() -> list[type]:
    return [m for label in OURS for m in apps.get_app_config(label).get_models()]


def test_every_model_is_visible() -> None:
    missing = {m.__name__ for m in models() if m not in admin.site._registry}

    assert missing <= INSIDE


@pytest.mark.parametrize(
    "model",
    [m for m in models() if m.__name__ not in INSIDE - {"Charge"}],
)
def test_list_and_detail_open(staff: Client, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]
    base = f"admin:{meta.app_label}_{meta.model_name}"

    listed = staff.get(reverse(f"{base}_changelist"))
    first = model.objects.order_by("pk").first()  # type: ignore[attr-defined]

    assert listed.status_code == 200
    if first is not None:
        assert staff.get(reverse(f"{base}_change", args=[first.pk])).status_code == 200


def test_a_published_version_reads_as_it_was_written(staff: Client) -> None:
    version = RatePlanVersion.objects.filter(plan__code=demo.PLAN, status="PUBLISHED")[0]

    page = staff.get(reverse("admin:pricing_rateplanversion_change", args=[version.pk])).text

    assert ">ai_starter v1<" in page
    assert "Ai_starter" not in page
    # 100,000 tokens are given, and 5 USD, not with twelve places.
    assert ".000000" not in page
    assert re.findall(r">\s*(5|100000)\s*<", page) == ["5", "100000"]
    assert 'href="/static/aforo/favicon.svg"' in page


@pytest.mark.parametrize(
    "model", [m for m in models() if m in admin.site._registry and m.__name__ not in EDITABLE]
)
def test_what_is_financial_is_read_only(staff: Client, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]
    base = f"admin:{meta.app_label}_{meta.model_name}"

    assert staff.get(reverse(f"{base}_add")).status_code == 403
    first = model.objects.order_by("pk").first()  # type: ignore[attr-defined]
    if first is not None:
        assert staff.post(reverse(f"{base}_change", args=[first.pk]), {}).status_code == 403
        assert staff.post(reverse(f"{base}_delete", args=[first.pk])).status_code == 403


def test_lists_take_constant_queries(staff: Client) -> None:
    url = reverse("admin:wallets_creditlot_changelist")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(url).status_code == 200
        return len(captured)

    before = queries()
    for n in range(15):
        factories.grant(demo.LANDING_CUSTOMER, "1", name=f"g{n}")

    assert queries() == before
    assert CreditLot.objects.count() >= 15


def test_a_draft_is_begun_edited_and_published(staff: Client) -> None:
    plan = RatePlan.objects.get(livemode=False, code=demo.PLAN)
    plans = reverse("admin:pricing_rateplan_changelist")

    staff.post(plans, {"action": "begin_draft", "_selected_action": [plan.pk]})
    draft = RatePlanVersion.objects.get(plan=plan, status="DRAFT")
    assert draft.charges.count() == 4
    assert draft.grants.count() == 2
    staff.post(plans, {"action": "publish_draft", "_selected_action": [plan.pk]})

    draft.refresh_from_db()
    assert (draft.number, draft.status) == (2, "PUBLISHED")
    page = staff.get(reverse("admin:pricing_rateplanversion_change", args=[draft.pk]))
    assert b"_save" not in page.content


def test_wrong_terms_are_named_on_the_form(staff: Client) -> None:
    plan = RatePlan.objects.get(livemode=False, code=demo.PLAN)
    staff.post(
        reverse("admin:pricing_rateplan_changelist"),
        {"action": "begin_draft", "_selected_action": [plan.pk]},
    )
    draft = RatePlanVersion.objects.get(plan=plan, status="DRAFT")
    charge = draft.charges.get(code="input")
    url = reverse("admin:pricing_rateplanversion_change", args=[draft.pk])

    page = staff.post(
        url,
        {
            "burn_order": "PROMO,CASH", "caps": "{}", "grace_hours": "0", "lapse_grace_hours": "0",
            "late_usage": "RERATE", "grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0",
            "charges-TOTAL_FORMS": "1", "charges-INITIAL_FORMS": "1", "charges-0-id": charge.pk,
            "charges-0-code": "input", "charges-0-model": "PER_UNIT", "charges-0-timing": "ARREARS",
            "charges-0-terms": '{"unit_price": "-1"}', "charges-0-metrics": "input_tokens",
            "charges-0-position": "0",
        },
    )  # fmt: skip

    assert page.status_code == 200
    assert b"/unit_price" in page.content
    charge.refresh_from_db()
    assert charge.terms == {"unit_price": "0.0000025"}


def test_settling_by_action_says_what_it_did(staff: Client) -> None:
    before = Settlement.objects.count()
    book = demo._customer()

    page = staff.post(
        reverse("admin:billing_customer_changelist"),
        {"action": "settle_due", "_selected_action": [book.pk]},
        follow=True,
    )

    assert b"0 settled" in page.content
    assert Settlement.objects.count() == before


def test_a_rate_is_proposed_by_one_person_and_approved_by_another(admin_client: Client) -> None:
    posted = {
        "livemode": "on",
        "kind": "CASH",
        "starts_on": "2026-01-01",
        "percent": "10",
        "evidence": "24 months of history.",
    }
    admin_client.post(reverse("admin:ledger_breakagerate_add"), posted)
    rate = BreakageRate.objects.get()
    approve = reverse("admin:ledger_breakagerate_approve", args=[rate.pk])
    assert b"CASH 10 % from 2026-01-01, live" in admin_client.get(approve).content

    refused = admin_client.post(approve, YES, follow=True)
    second = User.objects.create_superuser("second")
    other = Client()
    other.force_login(second)
    approved = other.post(approve, YES, follow=True)

    assert b"Another person" in refused.content
    assert b"approved" in approved.content
    rate.refresh_from_db()
    assert (rate.proposed_by, rate.approved_by) == (User.objects.get(username="admin"), second)
    page = admin_client.get(reverse("admin:ledger_breakagerate_change", args=[rate.pk]))
    assert b"_save" not in page.content


def test_a_correction_is_proposed_here_and_posted_by_another(admin_client: Client) -> None:
    posted = {
        "livemode": "on",
        "reason": "PROCESSOR",
        "occurred_at_0": "2026-03-15",
        "occurred_at_1": "12:00:00",
        "evidence": "Payout report of 15 March.",
        "lines-TOTAL_FORMS": "1",
        "lines-INITIAL_FORMS": "0",
        "lines-0-debit": "1000",
        "lines-0-credit": "1010",
        "lines-0-amount": "97.10",
        "lines-0-currency": "USD",
    }
    add = reverse("admin:ledger_manualadjustment_add")
    wrong = admin_client.post(add, {**posted, "lines-0-debit": "2100"})
    assert b"never moves 2100 / 1010" in wrong.content
    assert ManualAdjustment.objects.count() == 0

    admin_client.post(add, posted)
    proposal = ManualAdjustment.objects.get()
    approve = reverse("admin:ledger_manualadjustment_approve", args=[proposal.pk])
    assert b"1000 / 1010 97.1 USD, live" in admin_client.get(approve).content
    refused = admin_client.post(approve, YES, follow=True)
    other = Client()
    other.force_login(User.objects.create_superuser("second"))
    done = other.post(approve, YES, follow=True)

    assert b"Another person" in refused.content
    assert b"posted" in done.content
    proposal.refresh_from_db()
    assert proposal.status == "POSTED"
    page = admin_client.get(reverse("admin:ledger_manualadjustment_change", args=[proposal.pk]))
    assert (page.status_code, b"_save" in page.content) == (200, False)


def test_a_month_is_closed_and_opened_again_by_two_people(admin_client: Client) -> None:
    month = AccountingPeriod.objects.create(starts_on="2026-01-01", ends_on="2026-02-01")
    months = reverse("admin:ledger_accountingperiod_changelist")

    closed = admin_client.post(
        months, {"action": "close", "_selected_action": [month.pk]}, follow=True
    )
    assert b"closed, with 17 files" in closed.content
    admin_client.post(
        reverse("admin:ledger_reopening_add"), {"period": month.pk, "evidence": "A late bill."}
    )
    approve = reverse("admin:ledger_reopening_approve", args=[Reopening.objects.get().pk])
    refused = admin_client.post(approve, YES, follow=True)
    other = Client()
    other.force_login(User.objects.create_superuser("second"))
    done = other.post(approve, YES, follow=True)

    assert b"Another person" in refused.content
    assert b"open again" in done.content
    month.refresh_from_db()
    assert (month.status, month.closed_by) == ("REOPENED", "admin")


def test_the_first_month_is_closed_by_its_form(admin_client: Client) -> None:
    months = reverse("admin:ledger_accountingperiod_changelist")
    form = reverse("admin:ledger_accountingperiod_close_a_month")
    assert b"No month has been closed" in admin_client.get(months).content

    refused = admin_client.post(form, {"month": "2150-01"})
    assert b"2150-01 is not over" in refused.content
    assert b"YYYY-MM" in admin_client.post(form, {"month": "January"}).content
    assert AccountingPeriod.objects.count() == 0

    closed = admin_client.post(form, {"month": "2026-01"}, follow=True)

    assert b"2026-01: closed, with 17 files" in closed.content
    assert b'value="2026-02"' in admin_client.get(form).content


def test_who_only_views_neither_closes_nor_decides(client: Client) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(clerk)
    month = AccountingPeriod.objects.create(starts_on="2026-01-01", ends_on="2026-02-01")
    rate = BreakageRate.objects.create(
        kind="CASH", starts_on="2026-01-01", percent=5, evidence="A memo.",
        proposed_by=factories.person("ann"), proposed_at=factories.START,
    )  # fmt: skip

    client.post(
        reverse("admin:ledger_accountingperiod_changelist"),
        {"action": "close", "_selected_action": [month.pk]},
    )
    decided = client.post(reverse("admin:ledger_breakagerate_approve", args=[rate.pk]), YES)
    assert decided.status_code == 403
    form = client.post(reverse("admin:ledger_accountingperiod_close_a_month"), {"month": "2026-01"})

    assert form.status_code == 403
    month.refresh_from_db()
    rate.refresh_from_db()
    assert (month.status, rate.approved_by) == ("OPEN", None)
