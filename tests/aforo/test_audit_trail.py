"""The audit trail: whoever changes configuration, and however, is named with old and new."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from aforo import actors
from aforo.access.models import ApiKey, ConfigurationChange
from aforo.access.services import create_api_key, recognise, revoke_api_key
from aforo.actors import Actor, ActorKind
from aforo.adminui.admins import ModelAdmin
from aforo.database.audit_trail import CONFIGURATION
from billing.customers import customers
from billing.subscriptions import spend_limits
from ledger.models import GlMapping
from pricing.models import Campaign, Coupon, Metric
from tests import campaigns, factories
from tests.factories import START

pytestmark = pytest.mark.django_db
D = Decimal
ANN = Actor(ActorKind.STAFF, "7")


def trail(table: str) -> list[ConfigurationChange]:
    return list(ConfigurationChange.objects.filter(table_name=table).order_by("id"))


def calls(code: str = "calls") -> Metric:
    return Metric.objects.create(livemode=False, code=code, name="Calls", aggregation="COUNT")


def test_a_change_over_the_api_names_its_key_and_its_request(api: APIClient) -> None:
    answer = api.post(
        "/v1/coupons",
        {"code": "TEN", "type": "PERCENT", "value": "10", "duration": "ONCE"},
        format="json",
        headers={"X-Request-Id": "req-1"},
    )

    assert answer.status_code == 201
    (change,) = trail("pricing_coupon")
    assert (change.actor_kind, change.actor_id) == ("API_KEY", str(ApiKey.objects.get().pk))
    assert (change.request_id, change.action, change.label) == ("req-1", "INSERT", "TEN")
    assert change.livemode is False
    assert change.old == {}
    assert change.new["value"] == "10"
    assert "redemptions" not in change.new


def test_a_refused_change_leaves_nothing(api: APIClient) -> None:
    body = {"code": "TEN", "type": "PERCENT", "value": "10", "duration": "ONCE"}
    api.post("/v1/coupons", body, format="json")

    assert api.post("/v1/coupons", {**body, "value": "20"}, format="json").status_code == 409
    assert len(trail("pricing_coupon")) == 1


def test_a_mapping_is_followed_from_its_first_to_its_last_day(
    admin_client: Client, admin_user: User
) -> None:
    form = {"account": "2100", "currency": "", "starts_on": "2026-01-01", "gl_code": "40100"}
    admin_client.post(reverse("admin:ledger_glmapping_add"), form)
    rule = GlMapping.objects.get()
    page = reverse("admin:ledger_glmapping_change", args=[rule.pk])
    admin_client.post(page, {**form, "gl_code": "40200"})
    admin_client.post(reverse("admin:ledger_glmapping_delete", args=[rule.pk]), {"post": "yes"})

    first, second, third = trail("ledger_glmapping")
    who = {(each.actor_kind, each.actor_id) for each in (first, second, third)}
    assert who == {("STAFF", str(admin_user.pk))}
    assert [each.action for each in (first, second, third)] == ["INSERT", "UPDATE", "DELETE"]
    assert (second.old, second.new) == ({"gl_code": "40100"}, {"gl_code": "40200"})
    assert third.old["gl_code"] == "40200"
    assert third.new == {}
    # Mappings are of both modes.
    assert first.livemode is None
    listed = admin_client.get(reverse("admin:access_configurationchange_changelist")).text
    assert "gl_code: 40100" in listed
    assert "gl_code: 40200" in listed
    assert admin_user.username in listed


def test_a_command_is_a_job_and_secrets_stay_hidden() -> None:
    with actors.acting(actors.job("create_api_key")):
        call_command("create_api_key", "--name", "Backend", "--mode", "live")

    (change,) = trail("access_apikey")
    assert (change.actor_kind, change.actor_id) == ("JOB", "create_api_key")
    assert change.new["digest"] == "(hidden)"
    assert change.livemode is True


def test_a_key_is_revoked_by_somebody_and_its_use_is_no_change() -> None:
    key, secret = create_api_key(livemode=False, name="tests")
    assert recognise(secret=secret, now=START) is not None
    with actors.acting(ANN):
        revoke_api_key(key=key, now=START)

    _, revoked = trail("access_apikey")
    assert (revoked.actor_kind, revoked.actor_id) == ("STAFF", "7")
    assert list(revoked.new) == ["revoked_at"]


def test_personal_data_shows_only_that_it_changed() -> None:
    book = factories.customer("cust_1", name="Ann Example")
    customers.update_customer(
        livemode=False, customer_id="cust_1", changes={"email": "a@example.org", "country": "ES"}
    )

    created, changed = trail("billing_customer")
    assert "Ann Example" not in str(vars(created))
    assert (created.customer_id, created.livemode) == ("cust_1", False)
    assert changed.row_id == str(book.pk)
    assert changed.new == {"email": "(hidden)", "country": "ES"}
    assert changed.old == {"email": "", "country": ""}


def test_roles_are_followed() -> None:
    approvers = Group.objects.create(name="Approvers")
    ann = factories.person("ann")
    with actors.acting(ANN):
        ann.groups.add(approvers)
        User.objects.filter(pk=ann.pk).update(is_superuser=True)

    (joined,) = trail("auth_user_groups")
    assert (joined.new["user_id"], joined.new["group_id"]) == (str(ann.pk), str(approvers.pk))
    assert joined.actor_id == "7"
    assert trail("auth_user")[-1].new == {"is_superuser": True}


def test_the_limits_of_a_customer_are_followed() -> None:
    factories.customer("cust_1")
    for limit in (D(50), D(80), D(80)):
        spend_limits.set_limits(
            livemode=False, customer_id="cust_1", currency="USD", limits={"debt_limit": limit}
        )

    first, second = trail("wallets_wallet")
    assert first.new == {"own_debt_limit": "50"}
    assert (second.old, second.new) == ({"own_debt_limit": "50"}, {"own_debt_limit": "80"})
    assert second.customer_id == "cust_1"


def test_credits_that_move_are_no_change_of_configuration() -> None:
    factories.customer("cust_1")
    factories.offering()
    campaigns.running("c1")
    coupon = Coupon.objects.create(
        livemode=False, code="TEN", type="PERCENT", value=10, duration="ONCE"
    )
    before = ConfigurationChange.objects.count()
    factories.top_up("cust_1", "100")
    factories.debit("cust_1", "40")
    Campaign.objects.update(spent=1, grants=1)
    Coupon.objects.filter(pk=coupon.pk).update(redemptions=1)

    assert ConfigurationChange.objects.count() == before


def test_what_is_inside_a_plan_has_the_mode_of_the_plan() -> None:
    factories.offering()

    inside = ConfigurationChange.objects.filter(
        table_name__in=["pricing_charge", "pricing_rateplanversion", "pricing_chargemetric"]
    )
    assert {each.table_name for each in inside} == {
        "pricing_charge", "pricing_rateplanversion", "pricing_chargemetric",
    }  # fmt: skip
    assert {each.livemode for each in inside} == {False}


def test_a_change_past_the_application_names_the_role_of_the_database() -> None:
    calls()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('aforo.actor', '', true), session_user")
        ((_, role),) = cursor.fetchall()
        cursor.execute("WITH changed AS (UPDATE pricing_metric SET name = 'x' RETURNING 1)"
                       " SELECT 1")  # fmt: skip

    change = trail("pricing_metric")[-1]
    assert (change.actor_kind, change.actor_id) == ("DATABASE", role)
    assert change.old == {"name": "Calls"}
    assert change.new == {"name": "x"}


def test_each_of_several_actors_in_a_transaction_is_named_with_its_reason() -> None:
    with transaction.atomic():
        with actors.acting(ANN), actors.because("the law changed"):
            calls()
        with actors.acting(actors.job("sweep")):
            Metric.objects.update(name="Requests")

    assert [(each.actor_id, each.reason) for each in trail("pricing_metric")] == [
        ("7", "the law changed"), ("sweep", ""),
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_a_change_outside_a_transaction_is_named_too() -> None:
    with actors.acting(ANN):
        calls()
        Metric.objects.update(name="Requests")
        Metric.objects.all().delete()

    assert [(each.actor_id, each.action) for each in trail("pricing_metric")] == [
        ("7", "INSERT"), ("7", "UPDATE"), ("7", "DELETE"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", [lambda rows: rows.update(actor_id="8"), lambda rows: rows.delete()]
)
def test_the_trail_never_changes(change: Callable[[QuerySet[ConfigurationChange]], int]) -> None:
    calls()
    rows = ConfigurationChange.objects.filter(table_name="pricing_metric")

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        change(rows)
    assert rows.get().actor_kind == "JOB"


def test_every_table_of_the_list_has_its_trigger_and_no_other() -> None:
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT t.tgrelid::regclass::text, encode(t.tgargs, 'escape'), t.tgenabled
            FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE p.proname = 'access_record_change'
        """)
        found = {table: (args.split(r"\000")[0].split(), on) for table, args, on in cursor}

    assert found.keys() == CONFIGURATION.keys()
    for table, (counters, on) in found.items():
        assert set(counters) == CONFIGURATION[table].counters
        assert on == "A"


def test_whatever_the_back_office_edits_is_configuration() -> None:
    edited = {
        model._meta.db_table
        for model, of in admin.site._registry.items()
        if isinstance(of, ModelAdmin) and (of.add_row or of.change_row or of.delete_row)
    }

    assert edited - CONFIGURATION.keys() == set()
