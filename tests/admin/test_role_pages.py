"""Role x page x verb of the back office, with a company that has two of everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
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

# One worker lives through the company for all walks.
pytestmark = [pytest.mark.django_db, pytest.mark.walks, pytest.mark.xdist_group("walks")]

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
        "pricing.campaign", "pricing.coupon", "pricing.creditunit", "pricing.metric",
        "pricing.offering", "pricing.pack", "pricing.rateplan", "pricing.topuprule",
    },
    "Finance": {
        "billing.dunningschedule", "billing.taxrate", "ledger.approvallimit",
        "ledger.breakagerate", "ledger.exchangerate", "ledger.glmapping",
        "ledger.manualadjustment", "ledger.policy", "ledger.provisionmatrix", "ledger.reopening",
    },
    "Finance approver": set(),
    "Support": {"wallets.budget"},
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


@pytest.fixture(scope="module", autouse=True)
def company_lived(
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
def test_a_role_opens_and_writes_its_own_and_nothing_else(role: str) -> None:
    roles.make_groups()
    client = log_in_as(role)
    for page, what, status, wrote in answers(client, addresses()):
        assert status in SHOWN | REFUSED, (page, what, status)
        if page.model is None:
            assert not wrote or role == "Finance", (page, what)
            continue
        assert not wrote or among(page.model, WRITES[role]), (page, what)
        _check_opened(role, page, what, status)


def _check_opened(role: str, page: Address, what: str, status: int) -> None:
    model: Any = page.model
    if page.name.endswith(("_changelist", "_history")) and what == "get ":
        # The history of a row that the role has deleted leads back.
        assert (status not in REFUSED) == among(model, READS[role]), (page, status)
    if page.name.endswith("_add") and what == "get ":
        assert (status == 200) == (label(model) in ADDS[role]), (page, status)
    if page.name.endswith("_delete") and status not in REFUSED:
        assert among(model, WRITES[role]), (page, what)


def test_nobody_gets_no_further_than_the_login() -> None:
    client = Client()
    before = written()
    for page in addresses():
        for verb in (client.get, client.post):
            answer = verb(page.url)
            assert answer.status_code == 302, page
            assert answer.headers["Location"].startswith("/admin/login/"), page
    assert written() == before
