"""Who may do what: every page, verb and action of the back office, by every permission alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission
from django.db import models, transaction
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker

from tests import lived
from tests.admin import company
from tests.admin.logins import REFUSED, log_in, of_model
from tests.admin.walking import Address, addresses, written

# One worker lives through the company for all walks.
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("walks")]

# What a page answers that shows its list or its form again, or leads back to it.
SHOWN = {200, 302}


@pytest.fixture(scope="module", autouse=True)
def company_lived(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Live through the months of a company once for all walks."""
    with (
        override_settings(SEALS_DIR=tmp_path_factory.mktemp("seals"), BACKDATED_CYCLES=1_000),
        lived.once(company.live, django_db_blocker),
    ):
        yield


def requests(address: Address) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the verbs of a page with what they send, an action of a list each a request."""
    yield "get", {}
    if address.name.endswith("_changelist"):
        assert address.model is not None
        pks = [str(pk) for pk in address.model._default_manager.values_list("pk", flat=True)[:2]]
        offered: Any = admin.site._registry[address.model]
        for _, name, _ in offered._get_base_actions():
            yield "post", {"action": name, ACTION_CHECKBOX_NAME: pks, "post": "yes", "index": "0"}
    else:
        # A month that is not over: closing one commits by itself, and is tried elsewhere.
        yield "post", {"post": "yes", "month": "2150-03", "_save": "Save"}


def answers(client: Client, pages: Iterable[Address]) -> Iterator[tuple[Address, str, int, bool]]:
    """Request every page by every verb; yield the status, and whether anything was written."""
    for page in pages:
        for verb, data in requests(page):
            before = written()
            status = getattr(client, verb)(page.url, data).status_code
            yield page, f"{verb} {data.get('action', '')}", status, written() != before


def test_without_a_permission_there_is_nothing() -> None:
    client = log_in()
    pages = addresses()
    assert len(pages) > 300

    for page, what, status, wrote in answers(client, pages):
        assert status in REFUSED, (page, what, status)
        assert not wrote, (page, what)


@pytest.mark.walks
def test_who_may_view_everything_changes_nothing() -> None:
    client = log_in(*Permission.objects.filter(codename__startswith="view_"))
    shown = 0

    for page, what, status, wrote in answers(client, addresses()):
        assert status in SHOWN | REFUSED, (page, what, status)
        assert not wrote, (page, what)
        if page.name.endswith(("_add", "_delete", "_password_change")):
            assert status in REFUSED, (page, what, status)
        elif page.name.endswith(("_changelist", "_change", "_history")) and what == "get ":
            assert status == 200, (page, status)
            shown += 1
    assert shown > 150


@pytest.mark.walks
def test_a_permission_opens_its_own_model_and_nothing_else() -> None:
    """Each model's pages, with each of its permissions alone, and with all but these."""
    by_model: dict[type[models.Model], list[Address]] = {}
    for page in addresses():
        if page.model is not None:
            by_model.setdefault(page.model, []).append(page)

    for model, pages in by_model.items():
        own = of_model(model)
        client = log_in(*Permission.objects.exclude(pk__in=[each.pk for each in own.values()]))
        for page, what, status, wrote in answers(client, pages):
            assert status in REFUSED, (page, what, status)
            assert not wrote, (page, what)
        for allows, permission in own.items():
            if allows == "view":
                continue  # It was tried with all others of its kind.
            with transaction.atomic():
                _check_alone(log_in(permission), allows, pages)
                transaction.set_rollback(True)


def _check_alone(client: Client, allows: str, pages: list[Address]) -> None:
    """Check that one permission opens the pages that it is for, and writes on these only."""
    seen = ("_changelist", "_change", "_history")
    opened = {"view": seen, "change": seen, "add": ("_add",), "delete": ("_delete",)}[allows]
    writing = {"view": (), "change": ("_change", "_changelist")}.get(allows, opened)
    for page, what, status, wrote in answers(client, pages):
        assert status in SHOWN | REFUSED, (page, what, status)
        kind = page.name[page.name.rindex("_") :]
        if kind in {*seen, "_add", "_delete"}:
            assert status in REFUSED or kind in opened, (page, what, status)
        assert not wrote or kind in writing, (page, what)


@pytest.mark.walks
def test_addresses_that_can_be_no_rows_are_not_found(admin_client: Client) -> None:
    for page in addresses():
        if page.row is None:
            continue
        for wrong in ("nothing", "9" * 30, "00000000-0000-0000-0000-000000000000"):
            url = page.url.replace(f"/{page.row}/", f"/{wrong}/")
            assert admin_client.get(url).status_code in {302, *REFUSED}, url
