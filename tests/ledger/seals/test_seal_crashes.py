"""Sealing survives a kill at any point and a restore of the database, and says what was lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, transaction

from aforo.errors import Invalid
from billing.finance import verification
from billing.jobs import due_work
from ledger.models import Seal, SealCopy, SealedHead
from ledger.seals import merkle, seal_copies, seals
from ledger.seals import seal_copies as ledger_seal_copies
from tests import factories

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 16, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Killed(BaseException):
    """The process dies: no handler of ours sees it."""


def die(*args: Any, **terms: Any) -> None:
    raise Killed


def copies(settings: LazySettings) -> list[str]:
    return sorted(path.name for path in Path(settings.SEALS_DIR).glob("*.json"))


@pytest.fixture(autouse=True)
def sealed_on_sunday() -> None:
    factories.customer()
    factories.top_up("cust_1", "100")
    seals.seal_if_due(livemode=False, now=MONDAY - DAY)
    factories.debit("cust_1", "10", "k")


def kill_in_making(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(merkle, "seal_hash", die)


def kill_before_the_commit(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Seal, "save", die)


def kill_before_the_copy(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(seal_copies, "write_copy", die)


def kill_within_the_copy(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(os, "fsync", die)


def kill_before_the_copy_has_its_name(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Path, "replace", die)


def kill_after_the_copy(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(seal_copies, "_sync", die)


def kill_before_it_is_noted(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(SealCopy.objects, "create", die)


KILLS: list[tuple[Callable[[pytest.MonkeyPatch], None], bool]] = [
    (kill_in_making, False),
    (kill_before_the_commit, False),
    (kill_before_the_copy, True),
    (kill_within_the_copy, True),
    (kill_before_the_copy_has_its_name, True),
    (kill_after_the_copy, True),
    (kill_before_it_is_noted, True),
]


@pytest.mark.parametrize("later", [timedelta(minutes=1), DAY])
@pytest.mark.parametrize(("kill", "is_committed"), KILLS)
def test_a_kill_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
    settings: LazySettings,
    kill: Callable[[pytest.MonkeyPatch], None],
    is_committed: bool,
    later: timedelta,
) -> None:
    with monkeypatch.context() as patched:
        kill(patched)
        with pytest.raises(Killed):
            seals.seal_if_due(livemode=False, now=MONDAY)
    assert Seal.objects.count() == (2 if is_committed else 1)
    assert verification.verify().ok
    factories.debit("cust_1", "10", "meanwhile")

    seals.seal_if_due(livemode=False, now=MONDAY + later)

    # A day later another one is due; a minute later only where none was committed.
    made = 3 if is_committed and later == DAY else 2
    assert Seal.objects.count() == SealCopy.objects.count() == made
    assert copies(settings) == [f"sandbox-{n:06d}.json" for n in range(1, made + 1)]
    assert verification.verify() == verification.Proof(books=1, entries=3, lots=1, seals=made)


def test_a_copy_that_cannot_be_written_is_written_later_and_no_seal_follows_before(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    def full(*args: Any, **terms: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(seal_copies, "write_copy", full)
        swept = due_work.sweep(now=MONDAY, clock=lambda: MONDAY)
        assert [(f.step, f.reason) for f in swept.failures] == [("seals", "unexpected: OSError")]
        with pytest.raises(OSError, match="no space"):
            seals.seal_if_due(livemode=False, now=MONDAY + DAY)
    assert Seal.objects.count() == 2

    assert due_work.sweep(now=MONDAY, clock=lambda: MONDAY).failures == []

    assert copies(settings) == ["sandbox-000001.json", "sandbox-000002.json"]
    assert verification.verify().ok


def test_a_copy_that_says_something_else_is_never_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        kill_before_the_copy(patched)
        with pytest.raises(Killed):
            seals.seal_if_due(livemode=False, now=MONDAY)
    forged = seal_copies.path_of(livemode=False, number=2)
    forged.write_text("{}")

    with pytest.raises(ledger_seal_copies.CopyDiffers):
        seals.seal_if_due(livemode=False, now=MONDAY)

    assert forged.read_text() == "{}"
    assert not SealCopy.objects.filter(number=2).exists()
    bad = verification.verify().first_bad
    assert bad is not None
    assert bad.reason.startswith("it differs from its copy")


def test_the_database_has_one_daily_seal_a_day_and_one_that_follows_each() -> None:
    seals.seal_if_due(livemode=False, now=MONDAY)
    last = Seal.objects.get(number=2)
    copied = {
        "livemode": False, "sealed_at": MONDAY, "books": 1, "entries": 1, "root": "r", "hash": "h",
    }  # fmt: skip

    with pytest.raises(IntegrityError, match="ledger_seal_daily"), transaction.atomic():
        Seal.objects.create(**copied, number=3, prev_hash=last.hash, daily_on=MONDAY.date())
    with pytest.raises(IntegrityError, match="ledger_seal_follows"), transaction.atomic():
        Seal.objects.create(**copied, number=3, prev_hash=last.prev_hash)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        SealCopy.objects.update(number=9)

    assert (Seal.objects.count(), SealCopy.objects.count()) == (2, 2)


@pytest.fixture
def restored(settings: LazySettings) -> list[str]:
    """Seals 2 and 3 were made, then the database was restored to before them, and went on."""
    point = transaction.savepoint()
    seals.seal_if_due(livemode=False, now=MONDAY)
    factories.debit("cust_1", "10", "lost")
    seals.seal_if_due(livemode=False, now=MONDAY + DAY)
    transaction.savepoint_rollback(point)
    factories.debit("cust_1", "7", "another")
    return [merkle.seal_hash(seal_copies.read_copy(livemode=False, number=n) or "") for n in (2, 3)]


def test_a_restored_database_says_so_until_somebody_goes_on(restored: list[str]) -> None:
    bad = verification.verify().first_bad
    assert bad is not None
    assert (bad.entry, bad.reason) == ("sandbox seal 2", "it was removed: its copy is here")
    swept = due_work.sweep(now=MONDAY + DAY, clock=lambda: MONDAY)
    assert [f.step for f in swept.failures] == ["seals"]
    assert "manage.py seal --after-restore" in swept.failures[0].reason
    assert (Seal.objects.count(), SealedHead.objects.count()) == (1, 1)


def test_it_goes_on_with_the_lost_seals_named(restored: list[str], settings: LazySettings) -> None:
    out = StringIO()
    call_command(
        "seal", "--mode", "sandbox", "--after-restore", "--reason", "Disk lost", stdout=out
    )

    made = Seal.objects.get(number=4)
    assert made.lost == [{"number": 2, "hash": restored[0]}, {"number": 3, "hash": restored[1]}]
    assert made.prev_hash == Seal.objects.get(number=1).hash
    assert "lost by the restore, and named in it: 2, 3" in out.getvalue()
    kept = json.loads(seal_copies.read_copy(livemode=False, number=4) or "")
    assert (kept["lost"], kept["reason"]) == (made.lost, "Disk lost")
    found = verification.verify()
    assert (found.ok, found.seals) == (True, 2)
    (note,) = found.notes
    assert note.startswith("sandbox seals 2 to 3 were lost by a restore, as seal 4 of ")
    assert "(Disk lost): what only they covered is not proved" in note
    shown = StringIO()
    call_command("verify_ledger", stdout=shown)
    assert shown.getvalue().startswith("note: sandbox seals 2 to 3")
    assert seals.seal_if_due(livemode=False, now=made.sealed_at + DAY) is not None
    assert verification.verify().ok


@pytest.mark.parametrize("change", ["a lost copy is edited", "a lost copy is removed"])
def test_what_was_lost_stays_to_be_compared(restored: list[str], change: str) -> None:
    seals.seal_after_restore(livemode=False, now=MONDAY + DAY, reason="Disk lost")
    lost = seal_copies.path_of(livemode=False, number=3)
    lost.chmod(0o644)
    if change == "a lost copy is edited":
        lost.write_text(lost.read_text().replace('"books":1', '"books":2'))
    else:
        lost.unlink()

    bad = verification.verify().first_bad

    assert bad is not None
    assert bad.entry == "sandbox seal 3"
    assert "its copy is gone or is not what seal 4 says" in bad.reason


def test_nobody_goes_on_without_a_reason_or_without_a_loss(restored: list[str]) -> None:
    with pytest.raises(Invalid, match="Say why"):
        seals.seal_after_restore(livemode=False, now=MONDAY, reason=" ")
    with pytest.raises(CommandError, match="every seal of which there is a copy"):
        call_command("seal", "--mode", "live", "--after-restore", "--reason", "x")
    with pytest.raises(CommandError, match="has not got it"):
        call_command("seal", "--mode", "sandbox")
    assert Seal.objects.count() == SealCopy.objects.count() == 1
