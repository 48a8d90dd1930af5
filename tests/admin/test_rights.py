"""What permissions allow on drafts, schedules, accounts and proposals, and what none does."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from ledger.controls import adjustments
from ledger.models import ManualAdjustment
from pricing.models import Charge, RatePlanVersion
from pricing.plans import plans
from tests import factories
from tests.admin import company
from tests.admin.logins import log_in, of_model
from tests.admin.walking import written

pytestmark = pytest.mark.django_db


def draft() -> RatePlanVersion:
    """Return the draft that follows a published plan."""
    factories.offering()
    return plans.begin_draft(plan=RatePlanVersion.objects.get().plan)


def test_a_draft_is_changed_and_deleted_by_who_may() -> None:
    version = draft()
    change = reverse("admin:pricing_rateplanversion_change", args=[version.pk])
    delete = reverse("admin:pricing_rateplanversion_delete", args=[version.pk])
    form = {
        "burn_order": "PROMO,BONUS,CASH", "minimum_spend": "62", "grace_hours": "0",
        "draft_hours": "0",
        "lapse_grace_hours": "0", "late_usage": "ADJUST", "_save": "Save",
        "charges-TOTAL_FORMS": "0", "charges-INITIAL_FORMS": "0",
        "grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0",
    }  # fmt: skip

    for client in (log_in(), log_in(of_model(RatePlanVersion)["view"])):
        assert client.post(change, form).status_code == 403
        assert client.post(delete, {"post": "yes"}).status_code == 403
    version.refresh_from_db()
    assert version.minimum_spend is None
    assert Charge.objects.filter(version=version).count() == 1

    # Whoever may change versions, but not what they consist of, sees the parts without a form.
    page = log_in(of_model(RatePlanVersion)["change"]).get(change)
    assert b"charges-0-code" not in page.content


def test_who_only_views_schedules_cannot_switch_them() -> None:
    PeriodicTask.objects.update(enabled=True)
    task = PeriodicTask.objects.earliest("pk")
    url = reverse("admin:django_celery_beat_periodictask_changelist")
    permissions = of_model(PeriodicTask)

    for name in ("disable_tasks", "toggle_tasks", "run_tasks", "delete_selected"):
        client = log_in(permissions["view"])
        before = written()
        client.post(
            url, {"action": name, ACTION_CHECKBOX_NAME: [task.pk], "index": "0", "post": "yes"}
        )
        assert written() == before, name
    log_in(permissions["change"]).post(
        url, {"action": "disable_tasks", ACTION_CHECKBOX_NAME: [task.pk], "index": "0"}
    )
    task.refresh_from_db()
    assert not task.enabled


def test_nobody_but_superusers_changes_what_accounts_may_do() -> None:
    """With every permission there is: no way to be a superuser, or somebody else."""
    client = log_in(*Permission.objects.all())
    me = User.objects.get(username="clerk")
    boss = User.objects.create_superuser("boss", password="a long one of the boss")
    other = User.objects.create_user("other", is_staff=True)
    group = Group.objects.create(name="Approvers")
    everything = {
        "username": "root", "first_name": "Ann", "last_name": "", "email": "a@b.example",
        "is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": [group.pk],
        "user_permissions": [1], "date_joined_0": "2026-01-01", "date_joined_1": "00:00",
    }  # fmt: skip
    password = {
        "usable_password": "true", "password1": "quite another thing", "set-password": "1",
        "password2": "quite another thing",
    }  # fmt: skip

    def rights() -> list[Any]:
        return [
            *User.objects.order_by("pk").values_list(
                "username", "password", "is_active", "is_staff", "is_superuser", "groups"
            ),
            *User.user_permissions.through.objects.order_by("pk").values_list("pk", flat=True),
            *Group.permissions.through.objects.order_by("pk").values_list("pk", flat=True),
            *Group.objects.values_list("pk", "name"),
        ]

    before = rights()
    for user in (me, boss, other):
        client.post(reverse("admin:auth_user_change", args=[user.pk]), everything)
        changed = client.post(reverse("admin:auth_user_password_change", args=[user.pk]), password)
        assert changed.status_code == 403
        deleted = client.post(reverse("admin:auth_user_delete", args=[user.pk]), {"post": "yes"})
        assert deleted.status_code == 403
    added = client.post(reverse("admin:auth_user_add"), {"username": "new"} | password)
    grouped = client.post(
        reverse("admin:auth_group_change", args=[group.pk]), {"name": "X", "permissions": [1]}
    )
    assert (added.status_code, grouped.status_code) == (403, 403)
    assert rights() == before

    # What is personal may be corrected, but not a superuser's.
    other.refresh_from_db()
    boss.refresh_from_db()
    assert (other.first_name, boss.first_name) == ("Ann", "")
    page = client.get(reverse("admin:auth_user_change", args=[other.pk])).content.decode()
    for hidden in ("pbkdf2", 'name="is_superuser"', 'name="groups"', 'name="username"'):
        assert hidden not in page


def test_a_superuser_still_makes_and_changes_accounts(admin_client: Client) -> None:
    made = admin_client.post(
        reverse("admin:auth_user_add"),
        {"username": "new", "usable_password": "true", "password1": "quite another thing",
         "password2": "quite another thing"},
    )  # fmt: skip
    assert made.status_code == 302
    new = User.objects.get(username="new")
    admin_client.post(
        reverse("admin:auth_user_change", args=[new.pk]),
        {"username": "new", "is_active": "on", "is_staff": "on", "date_joined_0": "2026-01-01",
         "date_joined_1": "00:00:00"},
    )  # fmt: skip
    new.refresh_from_db()
    assert (new.is_staff, new.check_password("quite another thing")) == (True, True)


def test_every_permission_does_not_approve_ones_own_proposal() -> None:
    client = log_in(*Permission.objects.all(), name="fin")
    line = adjustments.Amount("1000", "1010", company.D("9.70"), "USD")
    adjustments.propose_adjustment(
        livemode=True, reason="PROCESSOR", occurred_at=factories.START, evidence="Payout report.",
        lines=[line], by=factories.person("fin"), now=timezone.now(), customer_id=None,
    )  # fmt: skip
    proposal = ManualAdjustment.objects.get()

    approve = reverse("admin:ledger_manualadjustment_approve", args=[proposal.pk])
    refused = client.post(approve, {"confirmed": "True"}, follow=True)

    assert b"Another person" in refused.content
    proposal.refresh_from_db()
    assert (proposal.status, proposal.approved_by) == ("PROPOSED", None)
