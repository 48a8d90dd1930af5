"""What quickstart makes of accounts and keys, and what it leaves alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from aforo.access import services as access
from aforo.access.models import ApiKey
from billing.models import Customer
from billing.quickstart import accounts
from ledger.models import Entry
from pricing.models import Offering
from tests.admin.walking import written

README = (Path(__file__).parents[3] / "README.md").read_text()

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_directory(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of one's own that is in use."""
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/else")


def quickstart(*arguments: str) -> None:
    call_command("quickstart", "--no-serve", *arguments)


def test_the_second_time_finds_what_the_first_made(capsys: pytest.CaptureFixture[str]) -> None:
    quickstart()
    first, hashed = capsys.readouterr().out, User.objects.get().password
    quickstart()

    shown = capsys.readouterr().out
    lines = [line for line in first.splitlines() if "sk_" in line or "admin /" in line]
    assert len(lines) == 4
    assert all(line in shown for line in lines)
    assert User.objects.get().password == hashed
    assert ApiKey.objects.count() == 2


def test_the_readme_shows_what_it_prints_and_what_the_api_answers(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    tour, sent = re.findall(r"(?ms)^```\n(.*?)^```$", README.split("## Five minutes")[1])
    request, answer = sent.split("\"}'\n", maxsplit=1)

    quickstart()

    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    rest = iter(printed)
    # Shortened, so lines are left out; those that stand there are printed, and in this order.
    assert [line for line in tour.splitlines() if line and line not in rest] == []
    (key,) = (line.split()[-1] for line in printed if line.startswith("Test key"))
    command = request.removeprefix("$ ").replace(" \\\n   ", "").replace("sk_test_...", key)
    assert command + "\"}'" in printed
    answered = client.post(
        "/v1/wallets/debit",
        command.split("-d '")[1] + '"}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert own(answered.text) == own(answer.replace("\n ", "").strip())


def own(answer: str) -> str:
    """Blank the ids and the time of an answer, which are each run's own."""
    return re.sub(r'"(01[^"]*|\d{4}-\d\d-\d\dT[^"]*)"', "...", answer)


def test_a_database_in_use_is_left_alone(foreign: None) -> None:
    before = written()

    with pytest.raises(CommandError, match="--existing"):
        quickstart()

    assert written() == before


def test_told_to_it_adds_a_sandbox_and_changes_no_account(
    foreign: None, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = User.objects.create_superuser("admin", password="of their own, long")

    quickstart("--existing")

    shown = capsys.readouterr().out
    hashed = admin.password
    admin.refresh_from_db()
    assert admin.password == hashed
    assert "whose password was set before" in shown
    assert list(ApiKey.objects.values_list("livemode", "name")) == [(False, "Quickstart")]
    assert not Offering.objects.filter(livemode=True).exists()
    assert not Customer.objects.filter(book__livemode=True).exists()
    assert Entry.objects.exists()


def test_it_makes_no_account_where_there_are_others(foreign: None) -> None:
    User.objects.create_user("ann", is_staff=True)

    quickstart("--existing")

    assert list(User.objects.values_list("username", flat=True)) == ["ann"]


def test_a_database_that_knows_the_kept_key_is_its_own(
    foreign: None, settings: LazySettings
) -> None:
    _, secret = access.create_api_key(livemode=False, name="Quickstart")
    (settings.VAR_DIR / "quickstart.env").write_text(f"AFORO_TEST_KEY={secret}\n")
    assert accounts.is_ours()

    (settings.VAR_DIR / "quickstart.env").write_text("AFORO_TEST_KEY=sk_test_other\n")
    assert not accounts.is_ours()


def test_lost_keys_and_changed_passwords_are_not_replaced(
    settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    quickstart()
    (settings.VAR_DIR / "quickstart.env").unlink()
    user = User.objects.get()
    user.set_password("changed by its owner")
    user.save()
    capsys.readouterr()

    quickstart()

    shown = capsys.readouterr().out
    assert "create_api_key --mode live" in shown
    assert ApiKey.objects.filter(livemode=True).count() == 1
    user.refresh_from_db()
    assert user.check_password("changed by its owner")
