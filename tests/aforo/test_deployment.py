"""The files of docs/deploy, held against the project: nothing there names what is not."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
import yaml
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.observability import error_reports
from billing.jobs import workers
from tests import factories

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
QUEUES = {queue.name for queue in settings.CELERY_TASK_QUEUES}
METRIC = re.compile(r"\baforo_[a-z_]+")


@pytest.fixture
def metrics(db: None, api: APIClient, client: Client) -> set[str]:
    """The names of all metrics, once everything has happened."""
    # Another test's liability is kept for minutes.
    cache.clear()
    now = timezone.now()
    workers.note_swept(began=now, now=now, passed_over=0)
    workers.note_alive(now=now)
    factories.customer()
    factories.top_up("cust_1", "2")
    api.post(
        "/v1/wallets/debit",
        {"customer_id": "cust_1", "amount": "1", "currency": "USD", "idempotency_key": "k"},
    )
    text = client.get("/metrics").content.decode()
    cache.clear()
    return set(re.findall(r"^(aforo_\w+)", text, flags=re.MULTILINE))


def test_alerts_use_metrics_that_there_are_and_lead_to_a_runbook(metrics: set[str]) -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len(rules) > 5
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operators.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}
    for rule in rules:
        assert set(METRIC.findall(rule["expr"])) <= metrics, rule["alert"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operators.md"
        assert anchor in anchors, rule["alert"]


def test_the_dashboard_uses_metrics_that_there_are(metrics: set[str]) -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    shown = METRIC.findall(
        " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    )
    assert set(shown) <= metrics
    assert len(set(shown)) > 8


def test_every_queue_has_its_worker() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    commands = [" ".join(each.get("command", ())) for each in services.values()]
    served = {found[1] for each in commands if (found := re.search(r"worker -Q (\w+)", each))}
    assert served == QUEUES
    assert sum("beat" in each for each in commands) == 1
    units = [unit.read_text() for unit in sorted((DEPLOY / "systemd").iterdir())]
    for unit in units:
        read = configparser.ConfigParser(interpolation=None, strict=False)
        read.read_string(unit)
        assert {"Unit", "Service", "Install"} <= set(read.sections())
    for queue in QUEUES:
        assert any(f"aforo-worker@{queue}" in unit for unit in units)


def test_the_image_has_all_of_the_project_and_no_tools() -> None:
    image = (DEPLOY / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) /srv/aforo/", image, flags=re.MULTILINE))
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert folders <= copied
    assert "USER 10001" in image
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = dict(each.split("==") for each in project["tool"]["uv"]["constraint-dependencies"])
    text = (DEPLOY / "requirements.txt").read_text()
    required = dict(re.findall(r"^([a-z0-9-]+)(?:\[[\w,-]+\])?==([^ ;\\]+)", text, re.MULTILINE))
    assert len(required) > 40
    # What other systems need beside ours is pinned in that file alone.
    assert {name: pinned.get(name, version) for name, version in required.items()} == required
    assert "://" not in text
    assert not {"pytest", "ruff", "mypy"} & set(required)
    wanted = [re.split(r"[\[=<>~ ]", each)[0] for each in project["project"]["dependencies"]]
    assert set(wanted) <= set(required)


def test_an_error_that_is_reported_has_no_secret() -> None:
    reported: list[dict[str, Any]] = []

    def keep(event: dict[str, Any], _hint: object) -> None:
        reported.append(event)

    def fail(secret: str) -> None:
        raise ZeroDivisionError(len(secret))

    error_reports.send_to(
        "http://public@127.0.0.1:9/1", before_send=keep, send_client_reports=False
    )
    try:
        fail("_".join(["sk", "live", "of", "nobody"]))
    except ZeroDivisionError as error:
        sentry_sdk.capture_exception(error)
    finally:
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
    (event,) = reported
    assert event["exception"]["values"][0]["type"] == "ZeroDivisionError"
    assert "sk_live" not in json.dumps(event, default=str)
