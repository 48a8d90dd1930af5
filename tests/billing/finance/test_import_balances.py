"""`manage.py import_balances`: checked whole, tied to the old report, repeated without harm."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.finance import verification
from ledger.models import Entry
from tests import factories
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

HEADER = "customer_id,kind,currency,metric,quantity,carrying,expires_at,priority,external_id\n"
LOTS = (
    HEADER
    + "a,CASH,USD,,100,83.33,2027-01-01T00:00:00Z,,old-1\n"
    + "a,BONUS,USD,,20,16.67,2027-01-01T00:00:00Z,50,old-2\n"
    + "a,PROMO,USD,,5,0,,,old-3\n"
    + "b,CASH,USD,tokens,20000,28.57,,,old-4\n"
)


@pytest.fixture(autouse=True)
def customers() -> None:
    factories.customer("a", livemode=True)
    factories.customer("b", livemode=True)
    factories.metric("tokens", livemode=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lots.csv"
    path.write_text(LOTS)
    return path


def run(path: Path, *options: str) -> str:
    out = io.StringIO()
    call_command("import_balances", str(path), *options, stdout=out, stderr=out)
    return out.getvalue()


def test_the_lots_of_the_old_system_are_brought_over(file: Path) -> None:
    shown = run(file, "--expect", "USD=128.57")

    assert shown == (
        "BONUS USD: quantity 20, carrying 16.67\n"
        "CASH USD: quantity 100, carrying 83.33\n"
        "CASH tokens: quantity 20000, carrying 28.57\n"
        "PROMO USD: quantity 5, carrying 0\n"
        "4 lots brought over, 0 were there before\n"
    )
    assert factories.posted("3900", livemode=True) == Decimal("128.57")
    assert -factories.posted("2100", livemode=True) == Decimal("111.90")
    assert -factories.posted("2110", livemode=True) == Decimal("16.67")
    bonus = CreditLot.objects.get(cause="opening:old-2")
    assert (bonus.source, bonus.face, bonus.priority) == ("OPENING", 20, 50)
    assert [e.event for e in Entry.objects.all()] == ["OPENING_BALANCE"] * 2
    assert verification.verify().ok


def test_repeating_it_changes_nothing(file: Path) -> None:
    run(file)
    before = factories.everything()

    shown = run(file)

    assert shown.endswith("0 lots brought over, 4 were there before\n")
    assert factories.everything() == before


def test_a_file_that_was_cut_off_goes_on_where_it_stopped(file: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.csv"
    part.write_text("".join(LOTS.splitlines(keepends=True)[:3]))
    run(part)

    assert run(file).endswith("2 lots brought over, 2 were there before\n")
    assert factories.posted("3900", livemode=True) == Decimal("128.57")


def test_a_dry_run_writes_nothing(file: Path) -> None:
    before = factories.everything()

    shown = run(file, "--dry-run", "--expect", "USD=128.57")

    assert shown.endswith("dry run: nothing written; 0 lots were brought over before\n")
    assert factories.everything() == before


def test_a_file_that_differs_from_the_old_report_is_refused(file: Path) -> None:
    before = factories.everything()

    with pytest.raises(CommandError, match=r"carries 128\.57, the old report says 128\.58"):
        run(file, "--expect", "USD=128.58")

    assert factories.everything() == before


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("nobody,CASH,USD,,1,1,,,x", "There is no customer nobody"),
        ("a,GOLD,USD,,1,1,,,x", "It is one of"),
        ("a,CASH,XXX,,1,1,,,x", "There is no such currency"),
        ("a,CASH,USD,minutes,1,1,,,x", "There is no metric minutes"),
        ("a,CASH,USD,,0,1,,,x", "It is above zero"),
        ("a,CASH,USD,,NaN,1,,,x", "It is above zero"),
        ("a,CASH,USD,,1e40,1,,,x", "It is above zero"),
        ("a,CASH,USD,,1,-1,,,x", "It is not negative"),
        ("a,PROMO,USD,,1,1,,,x", "PROMO holds no consideration"),
        ("a,CASH,USD,,1,1,2020-01-01,,x", "It has lapsed"),
        ("a,CASH,USD,,1,1,,99999,x", "It is 0 to 32767"),
        ("a,CASH,USD,,1,1,,,", "It has 1 to 200 characters"),
        ("a,CASH,USD,,1,1,,,old-1", "old-1 stands there twice"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(file: Path, line: str, fault: str) -> None:
    file.write_text(LOTS + line + "\n")
    before = factories.everything()
    out = io.StringIO()

    with pytest.raises(CommandError, match="1 faults; nothing was written"):
        call_command("import_balances", str(file), stdout=out, stderr=out)

    assert out.getvalue().startswith("line 6: ")
    assert fault in out.getvalue()
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("customer_id,kind\na,CASH\n", "the column currency is missing"),
        (HEADER + "a,CASH,USD,,many,1,,,x\n", "line 2: it cannot be read"),
        (HEADER + "a,CASH,USD,,1,1,soon,,x\n", "line 2: it cannot be read"),
        (HEADER + "a,CASH\n", "line 2: it cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(file: Path, content: str, fault: str) -> None:
    file.write_text(content)

    with pytest.raises(CommandError, match=fault):
        run(file)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        run(tmp_path / "none.csv")


def test_an_external_id_is_never_used_for_something_else(file: Path) -> None:
    run(file)
    before = factories.everything()
    file.write_text(LOTS.replace("a,CASH,USD,,100,83.33", "a,CASH,USD,,101,83.33"))

    with pytest.raises(CommandError, match="1 faults"):
        run(file)

    assert factories.everything() == before
