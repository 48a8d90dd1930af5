"""The roles that are shipped: which pages each opens and writes, and who has none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import models
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker

from aforo.access import roles
from aforo.access.roles import ROLES
from tests import lived
from tests.admin import company
from tests.admin.logins import REFUSED
from tests.admin.test_permissions import SHOWN, answers
from tests.admin.walking import Address, addresses, written

pytestmark = pytest.mark.django_db

BUSINESS = {"billing", "pricing", "wallets"}
# The lists that a role reads: whole apps and single models.
READS: dict[str, set[str]] = {
    "Product": BUSINESS,
    "Finance": {*BUSINESS, "ledger", "access.configurationchange"},
    "Finance approver": {*BUSINESS, "ledger", "access.configurationchange"},
    "Support": BUSINESS,
    "Operator": {
        "billing", "django_celery_beat", "sandbox", "webhooks", "access.apikey",
        "access.configurationchange", "access.keyedrequest",
    },
    "Auditor": {
        *BUSINESS, "ledger", "access", "admin", "auth", "django_celery_beat", "sandbox", "webhooks",
    },
}  # fmt: skip
# What a role may write from some page, at most.
WRITES: dict[str, set[str]] = {
    "Product": {"pricing", "billing.backtest", "billing.campaignrun"},
    "Finance": {
        "billing.bankpayment", "billing.customer", "billing.customercredit",
        "billing.dunningpause", "billing.dunningschedule", "billing.invoice", "billing.mail",
        "billing.overdueinvoice", "billing.settlement", "billing.taxrate",
        "ledger.accountingperiod", "ledger.approvallimit", "ledger.breakagerate",
        "ledger.exchangerate", "ledger.exportbatch", "ledger.glmapping",
        "ledger.manualadjustment", "ledger.policy", "ledger.provisionmatrix", "ledger.reopening",
    },
    "Finance approver": {
        "ledger.approvallimit", "ledger.approvalrequest", "ledger.breakagerate",
        "ledger.manualadjustment", "ledger.policy", "ledger.provisionmatrix", "ledger.reopening",
    },
    "Support": {
        "billing.customer", "billing.dunningpause", "billing.mail", "billing.settlement",
        "billing.subscription", "wallets.budget",
    },
    "Operator": {
        "access.apikey", "billing.settlementrun", "django_celery_beat", "sandbox", "webhooks",
    },
    "Auditor": set(),
}  # fmt: skip
# Of these a role opens the form of a new one; of nothing else.
ADDS: dict[str, set[str]] = {
    "Product": {
        "pricing.campaign", "pricing.coupon", "pricing.metric", "pricing.offering",
        "pricing.rateplan", "pricing.topuprule",
    },
    "Finance": {
        "billing.dunningschedule", "billing.taxrate", "ledger.approvallimit",
        "ledger.breakagerate", "ledger.exchangerate", "ledger.glmapping",
        "ledger.manualadjustment", "ledger.policy", "ledger.provisionmatrix", "ledger.reopening",
    },
    "Finance approver": set(),
    "Support": {"billing.customer", "wallets.budget"},
    "Operator": {
        "access.apikey", "django_celery_beat.clockedschedule",
        "django_celery_beat.crontabschedule", "django_celery_beat.intervalschedule",
        "django_celery_beat.periodictask", "django_celery_beat.solarschedule",
        "webhooks.webhookendpoint",
    },
    "Auditor": set(),
}  # fmt: skip


def log_in_as(role: str) -> Client:
    user = User.objects.create_user(f"one of {role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def label(model: type[models.Model]) -> str:
    return model._meta.label_lower


def among(model: type[models.Model], names: set[str]) -> bool:
    return label(model) in names or model._meta.app_label in names


@pytest.fixture
def no_walk(db: None) -> None:
    roles.make_groups()


@pytest.mark.usefixtures("no_walk")
class TestGroups:
    def test_each_role_has_permissions_that_are_there(self) -> None:
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

    def test_they_are_made_anew_with_what_came_with_a_migration(self) -> None:
        auditor = Group.objects.get(name="Auditor")
        every_view = Permission.objects.filter(codename__startswith="view_")
        assert set(auditor.permissions.all()) == set(every_view)
        auditor.permissions.clear()
        auditor.permissions.add(Permission.objects.get(codename="add_entry"))

        call_command("migrate", verbosity=0)

        assert set(auditor.permissions.all()) == set(every_view)

    def test_who_proposes_does_not_decide(self) -> None:
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

    def test_a_member_of_staff_is_created_with_roles(self) -> None:
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


@pytest.mark.walks
@pytest.mark.xdist_group("walks")
class TestEveryPage:
    """Role x page x verb, with a company that has two of everything."""

    @pytest.fixture(scope="class", autouse=True)
    def company_lived(
        self,
        django_db_setup: None,
        django_db_blocker: DjangoDbBlocker,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[None]:
        """Live through the months of a company once."""
        with (
            override_settings(SEALS_DIR=tmp_path_factory.mktemp("seals"), BACKDATED_CYCLES=1_000),
            lived.once(company.live, django_db_blocker),
        ):
            yield

    @pytest.mark.parametrize("role", ROLES)
    def test_a_role_opens_and_writes_its_own_and_nothing_else(self, role: str) -> None:
        roles.make_groups()
        client = log_in_as(role)
        for page, what, status, wrote in answers(client, addresses()):
            assert status in SHOWN | REFUSED, (page, what, status)
            if page.model is None:
                assert not wrote or role == "Finance", (page, what)
                continue
            assert not wrote or among(page.model, WRITES[role]), (page, what)
            self._check_opened(role, page, what, status)

    def _check_opened(self, role: str, page: Address, what: str, status: int) -> None:
        model: Any = page.model
        if page.name.endswith(("_changelist", "_history")) and what == "get ":
            assert (status == 200) == among(model, READS[role]), (page, status)
        if page.name.endswith("_add") and what == "get ":
            assert (status == 200) == (label(model) in ADDS[role]), (page, status)
        if page.name.endswith("_delete") and status not in REFUSED:
            assert among(model, WRITES[role]), (page, what)

    def test_nobody_gets_no_further_than_the_login(self) -> None:
        client = Client()
        before = written()
        for page in addresses():
            for verb in (client.get, client.post):
                answer = verb(page.url)
                assert answer.status_code == 302, page
                assert answer.headers["Location"].startswith("/admin/login/"), page
        assert written() == before
