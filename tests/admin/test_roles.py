"""The roles that are shipped: groups with permissions, made by each migration."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command

from aforo.access import roles
from aforo.access.roles import ROLES

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def groups(db: None) -> None:
    roles.make_groups()


def test_each_role_has_permissions_that_are_there() -> None:
    """A name that no model has would give nothing, and nobody would notice."""
    there = {
        f"{each.content_type.app_label}.{each.codename.partition('_')[2]}"
        for each in Permission.objects.select_related("content_type")
    }
    apps = {name.partition(".")[0] for name in there}
    for role in ROLES.values():
        assert {*role.sees, *role.adds, *role.changes} <= there
        assert {*role.reads} <= apps
        assert {*role.all_of} <= there | apps


def test_they_are_made_anew_with_what_came_with_a_migration() -> None:
    auditor = Group.objects.get(name="Auditor")
    every_view = Permission.objects.filter(codename__startswith="view_")
    assert set(auditor.permissions.all()) == set(every_view)
    auditor.permissions.clear()
    auditor.permissions.add(Permission.objects.get(codename="add_entry"))

    call_command("migrate", verbosity=0)

    assert set(auditor.permissions.all()) == set(every_view)


def test_who_proposes_does_not_decide() -> None:
    def may(role: str) -> set[str]:
        found = Group.objects.get(name=role).permissions.exclude(codename__startswith="view_")
        return set(found.values_list("codename", flat=True))

    for kind in ("policy", "breakagerate", "manualadjustment", "reopening", "approvallimit"):
        assert f"add_{kind}" in may("Finance")
        assert f"change_{kind}" not in may("Finance")
        assert f"change_{kind}" in may("Finance approver")
        assert f"add_{kind}" not in may("Finance approver")
    assert "change_approvalrequest" in may("Finance approver")
    assert not [name for name in may("Finance approver") if not name.startswith("change_")]
    for role in ROLES:
        assert not may(role) & {"add_user", "change_user", "change_group", "add_entry"}


def test_a_member_of_staff_is_created_with_roles() -> None:
    out = io.StringIO()
    call_command(
        "create_staff", "ann", "--role", "Support", "--role", "Product", "--email",
        "ann@example.org", stdout=out,
    )  # fmt: skip

    ann = User.objects.get(username="ann")
    assert {each.name for each in ann.groups.all()} == {"Support", "Product"}
    assert (ann.is_staff, ann.is_superuser, ann.email) == (True, False, "ann@example.org")
    password = out.getvalue().strip()
    assert len(password) == 24
    assert ann.check_password(password)

    with pytest.raises(CommandError, match="There is an account ann"):
        call_command("create_staff", "ann", "--role", "Support")
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("create_staff", "bob", "--role", "Boss")
    assert User.objects.count() == 1
