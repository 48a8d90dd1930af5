"""A month and its close as a page: its steps, its tie-outs, its packs, and how it opens again."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import UTC, datetime
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from billing.finance import closing
from ledger.models import AccountingPeriod, CloseStep, Reopening
from tests import factories
from tests.admin.logins import log_in
from tests.billing.finance.test_closing import append
from tests.ledger.seals.tampering import guards_off, sql

pytestmark = pytest.mark.django_db

YES = {"confirmed": "True"}


@pytest.fixture
def month() -> AccountingPeriod:
    return AccountingPeriod.objects.create(starts_on="2026-01-01", ends_on="2026-02-01")


def url(name: str, month: AccountingPeriod) -> str:
    return reverse(f"admin:ledger_accountingperiod_{name}", args=[month.pk])


def status(month: AccountingPeriod) -> str:
    month.refresh_from_db()
    return month.status


def test_the_steps_are_done_before_the_month_is_closed(
    admin_client: Client, month: AccountingPeriod
) -> None:
    assert "0 of 9 steps" in admin_client.get(url("change", month)).text
    asked = admin_client.get(url("do_steps", month))
    assert (asked.status_code, CloseStep.objects.count()) == (200, 0)

    done = admin_client.post(url("do_steps", month), YES, follow=True).text

    assert status(month) == "PENDING_CLOSE"
    assert "7 of 9 steps" in done
    steps = CloseStep.objects.order_by("pk")
    assert [each.step for each in steps] == list(closing.STEPS[:7])
    for shown in ("allowance adjusted", "In 0 entries.", "Seal 1.", "waits"):
        assert shown in done, shown
    assert re.search(r">\s*admin\s*<", done)

    closed = admin_client.post(url("close_it", month), YES, follow=True).text

    assert status(month) == "CLOSED"
    assert "9 of 9 steps" in closed
    assert "16 hashes, in checklist.json" in closed


def test_nothing_is_done_without_the_question(
    admin_client: Client, month: AccountingPeriod
) -> None:
    for name in ("do_steps", "close_it", "reopen"):
        assert admin_client.post(url(name, month), {}).status_code == 200

    assert (status(month), CloseStep.objects.count()) == ("OPEN", 0)
    assert Reopening.objects.count() == 0


def test_what_differs_is_shown_with_the_customer_and_a_link_to_the_postings(
    admin_client: Client, month: AccountingPeriod
) -> None:
    """5 paid, which another account stands at: neither that nor 2220 is what its rows say."""
    append(factories.customer("ann", livemode=True), datetime(2026, 1, 20, tzinfo=UTC))
    tied = admin_client.get(url("tie_out", month)).text
    assert "0 of 2 tie-outs differ" in tied

    with guards_off("ledger_posting"):
        sql("UPDATE ledger_posting SET amount = 6")
    page = admin_client.get(url("tie_out", month)).text
    refused = admin_client.post(url("close_it", month), YES).text

    assert "1 of 2 tie-outs differ" in page
    assert ">ann 1<" in page
    link = page.partition("/admin/ledger/posting/?figure=")[2].partition('"')[0]
    assert "customer_id%3Dann" in link
    assert "account%3D2220" in link
    assert admin_client.get(f"/admin/ledger/posting/?figure={link}").status_code == 200
    assert "The books do not tie. 2220 = credit of customers: 6 in the books, 5 USD" in refused
    assert status(month) == "PENDING_CLOSE"


def test_a_packs_files_are_read_as_they_were_frozen_by_one_and_in_one_archive(
    admin_client: Client, month: AccountingPeriod
) -> None:
    admin_client.post(url("close_it", month), YES)
    pack = month.packs.get()
    files = {file.name: file for file in pack.files.all()}
    page = admin_client.get(url("change", month)).text

    for name, kept in files.items():
        address = reverse("close_file", args=[pack.pk, name])
        assert address in page
        content = admin_client.get(address).content
        assert hashlib.sha256(content).hexdigest() == kept.sha256

    address = reverse("close_file", args=[pack.pk, "pack.zip"])
    first, second = (admin_client.get(address) for _ in range(2))
    assert first.content == second.content
    assert 'filename="close-2026-01-1.zip"' in first["Content-Disposition"]
    with ZipFile(io.BytesIO(first.content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            name: kept.content for name, kept in files.items()
        }
    assert admin_client.get(reverse("close_file", args=[pack.pk, "none"])).status_code == 404


def test_it_is_opened_again_with_a_reason_by_two_people(
    admin_client: Client, month: AccountingPeriod
) -> None:
    admin_client.post(url("close_it", month), YES)

    asked = admin_client.post(url("reopen", month), {"reason": "A late bill."}, follow=True).text
    reopening = Reopening.objects.get()
    assert (reopening.evidence, str(reopening.proposed_by)) == ("A late bill.", "admin")
    assert "waits for another person" in asked
    assert status(month) == "CLOSED"
    other = Client()
    other.force_login(User.objects.create_superuser("second"))
    other.post(reverse("admin:ledger_reopening_approve", args=[reopening.pk]), YES)

    page = admin_client.get(url("change", month)).text
    assert status(month) == "REOPENED"
    assert "0 of 9 steps" in page
    assert re.search(r">\s*second\s*<", page)
    refused = admin_client.post(url("reopen", month), {"reason": "Again."}).text
    assert "2026-01 is REOPENED." in refused
    assert Reopening.objects.count() == 1


def test_who_only_views_sees_it_and_changes_nothing(
    admin_client: Client, month: AccountingPeriod
) -> None:
    client = log_in(*Permission.objects.filter(codename__startswith="view_"))

    assert client.get(url("change", month)).status_code == 200
    assert client.get(url("tie_out", month)).status_code == 200
    for name in ("do_steps", "close_it", "reopen"):
        sent = {**YES, "reason": "A late bill."}
        assert client.post(url(name, month), sent).status_code == 403

    assert status(month) == "OPEN"
    nobody = log_in(name="nobody")
    admin_client.post(url("close_it", month), YES)
    address = reverse("close_file", args=[month.packs.get().pk, "pack.zip"])
    assert nobody.get(address).status_code == 403
