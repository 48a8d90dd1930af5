"""`manage.py ingest_usage`: files of events, whole, broken, killed and repeated."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from billing.models import UsageEvent
from billing.usage import files
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def customer() -> None:
    factories.metric()
    factories.customer("cust_1")


def line(number: int, **changes: Any) -> str:
    raw = {
        "customerId": "cust_1",
        "metricName": "tokens",
        "quantity": "1.5",
        "occurredAt": "2026-01-02T03:04:05Z",
        "idempotencyKey": f"k{number}",
    } | changes
    return json.dumps(raw)


def written(tmp_path: Path, *lines: str, name: str = "usage.ndjson") -> Path:
    path = tmp_path / name
    path.write_text("".join(f"{each}\n" for each in lines))
    return path


def take(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    call_command("ingest_usage", str(path), "--mode", "sandbox", *options)
    return capsys.readouterr().out.strip()


def rejects(path: Path) -> list[tuple[int, str]]:
    listed = files.rejects_path(path, livemode=False).read_text().splitlines()
    return [(each["line"], each["error"]) for each in map(json.loads, listed)]


def test_a_file_is_taken_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, *(line(n) for n in range(2_500)), line(0))

    assert take(path, capsys) == "2500 accepted, 1 duplicates, 0 rejected"
    assert UsageEvent.objects.aggregate(sum=Sum("quantity"))["sum"] == Decimal(3750)
    assert take(path, capsys) == "2500 accepted, 1 duplicates, 0 rejected"
    assert take(path, capsys, "--restart") == "0 accepted, 2501 duplicates, 0 rejected"
    assert UsageEvent.objects.count() == 2_500


def test_a_file_that_has_grown_goes_on_and_another_one_starts_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, line(0), line(1))
    take(path, capsys)

    with path.open("a") as file:
        file.write(line(2) + "\n")

    assert take(path, capsys) == "3 accepted, 0 duplicates, 0 rejected"
    written(tmp_path, line(1), line(7), line(8))
    assert take(path, capsys) == "2 accepted, 1 duplicates, 0 rejected"


def test_rejects_are_listed_with_line_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud_event = json.dumps(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "tokens", "subject": "cust_1"}
    )
    path = written(
        tmp_path,
        line(0),
        "",
        "{no json",
        line(1, customerId="nobody"),
        cloud_event,
        "x" * (files.MAX_LINE * 2 + 3),
        "[1]",
        line(2, quantity=-1),
        line(3),
    )

    with pytest.raises(CommandError, match=r"5 events were rejected: see .*\.sandbox\.rejects"):
        take(path, capsys)

    assert rejects(path) == [
        (3, "unreadable"),
        (4, "unknown_customer"),
        (6, "too_long"),
        (7, "invalid"),
        (8, "not_positive"),
    ]
    keys = UsageEvent.objects.order_by("key").values_list("key", flat=True)
    assert list(keys) == ["/s 1", "k0", "k3"]


def test_a_killed_run_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a batch's commit and its checkpoint: the batch comes again as duplicates."""
    bad = line(9_999, metricName="nothing")
    path = written(tmp_path, bad, *(line(n) for n in range(2_998)), bad)
    kept, seen = files._keep, 0

    def killed(*arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise KeyboardInterrupt
        kept(*arguments)

    monkeypatch.setattr(files, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        take(path, capsys)
    assert UsageEvent.objects.count() == 1_999
    monkeypatch.undo()

    with pytest.raises(CommandError, match="2 events were rejected"):
        take(path, capsys)

    assert capsys.readouterr().out.strip() == "1998 accepted, 1000 duplicates, 2 rejected"
    assert UsageEvent.objects.count() == 2_998
    assert rejects(path) == [(1, "unknown_metric"), (3_000, "unknown_metric")]


def test_csv_with_quotes_line_ends_and_metadata(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(
        tmp_path,
        "\ufeffcustomer_id,metricName,occurred_at,idempotencyKey,quantity,note,metadata",
        'cust_1,tokens,2026-01-02T03:04:05Z,a,2.25,"two\nlines","{""model"": ""m-1""}"',
        "cust_1,tokens,1767323045000,b,0.75,,",
        "",
        "cust_1,tokens,yesterday,c,1,,",
        "cust_1,tokens",
        "cust_1,tokens,2026-01-02,d,1,,{not",
        'cust_1,tokens,2026-01-02,e,1,"text"after,',
        "cust_1,tokens,2026-01-02,f,1,,",
        name="usage.CSV",
    )

    with pytest.raises(CommandError, match="4 events were rejected"):
        take(path, capsys)

    first, second, last = UsageEvent.objects.order_by("key")
    assert first.properties == {"note": "two\nlines", "metadata": {"model": "m-1"}}
    assert (first.quantity, second.quantity) == (Decimal("2.25"), Decimal("0.75"))
    assert first.occurred_at == second.occurred_at
    assert last.key == "f"
    assert rejects(path) == [
        (6, "invalid_time"),
        (7, "unreadable"),
        (8, "unreadable"),
        (9, "unreadable"),
    ]


def test_csv_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "customerId,metricName,occurredAt,idempotencyKey"
    path = written(tmp_path, header, "cust_1,tokens,2026-01-02,a", name="usage.csv")
    take(path, capsys)

    with path.open("ab") as file:
        file.write(b"cust_1,tokens,2026-01-02,b\ncust_1,tokens,2026-01-02,\xff\n")

    with pytest.raises(CommandError):
        take(path, capsys)
    assert capsys.readouterr().out.strip() == "2 accepted, 0 duplicates, 1 rejected"
    assert rejects(path) == [(4, "unreadable")]
    assert set(UsageEvent.objects.values_list("quantity", flat=True)) == {Decimal(1)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.ndjson", None, "No such file"),
        (
            "a.csv",
            "customerId,quantity\ncust_1,1\n",
            "lacks idempotencyKey, metricName, occurredAt",
        ),
        ("b.csv", "", "lacks customerId"),
    ],
)
def test_a_file_that_is_none_fails_in_one_line(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)

    with pytest.raises(CommandError, match=message) as caught:
        call_command("ingest_usage", str(path), "--mode", "sandbox")

    assert "\n" not in str(caught.value)
    assert not UsageEvent.objects.exists()


def test_two_runs_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = written(tmp_path, line(0))

    with (
        files._rejects(files.rejects_path(path, livemode=False)),
        pytest.raises(CommandError, match="Another process is taking this file"),
    ):
        call_command("ingest_usage", str(path), "--mode", "sandbox")

    assert not UsageEvent.objects.exists()
