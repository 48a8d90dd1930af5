"""A filled database of a released version is upgraded, verified, read, and goes on."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from psycopg import sql
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from aforo.serving import database_schema
from billing.finance import verification
from billing.models import Invoice, Settlement
from ledger.chart import DEFAULT_CHART
from ledger.models import Account, Book, Entry
from pricing import catalogue
from tests import database, factories
from tests.factories import MARCH
from tests.releases.dump import path_of, seals_of

VERSIONS = ["0.1.0"]


@pytest.fixture(params=VERSIONS)
def restored(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    settings: LazySettings,
    tmp_path: Path,
) -> Iterator[str]:
    """The version of the dump that is restored into the database of this process's connection."""
    tests = connection.settings_dict["NAME"]
    name = f"{tests}_restored"
    settings.SEALS_DIR = shutil.copytree(seals_of(request.param), tmp_path / "copies")
    with psycopg.connect(database.url("postgres"), autocommit=True) as server:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        server.execute(drop)
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        # As pg_dump asks for: functions stand before the tables that they read.
        options = "-c check_function_bodies=off -c statement_timeout=0"
        with psycopg.connect(database.url(name), options=options) as fresh:
            fresh.execute(gzip.decompress(path_of(request.param).read_bytes()))
        with django_db_blocker.unblock():
            connection.close()
            connection.settings_dict["NAME"] = name
            _forget_versions()
            yield request.param
            _forget_versions()
            connection.close()
            connection.settings_dict["NAME"] = tests
        server.execute(drop)


def _forget_versions() -> None:
    """Forget what a process remembers of versions: the other database has the same keys."""
    catalogue.published_version.cache_clear()
    catalogue._published.cache_clear()


def get(client: APIClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.json()
    return answer.json()


def caller(*, livemode: bool) -> APIClient:
    client = APIClient()
    secret = create_api_key(livemode=livemode, name="upgraded")[1]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def test_a_database_of_a_released_version_goes_on(
    restored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("migrate", verbosity=0, skip_checks=False)

    assert database_schema.faults() == []
    assert Account.objects.count() == len(DEFAULT_CHART)
    call_command("verify_ledger")
    assert "1 closed months prove themselves" in capsys.readouterr().out
    _reads_what_was_there()
    _settles_what_is_due()
    assert verification.verify().ok


def _reads_what_was_there() -> None:
    sandbox = caller(livemode=False)
    late = get(sandbox, "/v1/invoices?customer_id=cust_late")["data"]
    number = next(each["number"] for each in late if each["number"])
    assert get(sandbox, f"/v1/invoices/{number}")["customer_id"] == "cust_late"
    wallet = get(sandbox, "/v1/wallets/cust_prepaid")
    assert wallet["customer_id"] == "cust_prepaid"
    moved = get(sandbox, "/v1/wallets/cust_hybrid/movements")["data"]
    assert {"GRANT", "HOLD", "ROLLOVER", "BURN", "REFUND"} <= {each["kind"] for each in moved}
    first = get(sandbox, "/v1/ledger/entries?customer_id=cust_hybrid")["data"][0]
    assert Entry.objects.get(pk=first["id"]).book.key == "cust_hybrid"
    live = get(caller(livemode=True), "/v1/wallets/cust_live")
    assert live["customer_id"] == "cust_live"


def _settles_what_is_due() -> None:
    """February's 50,000 tokens, of which 40 rolled, 100 granted and 10,000 given units are covered:
    39,860 x .002 = 79.72.
    """
    factories.advance(Book.objects.get(key="cust_hybrid", livemode=False), MARCH)

    settled = Settlement.objects.get(
        book__key="cust_hybrid", starts_at=datetime(2026, 2, 1, tzinfo=UTC)
    )
    assert settled.totals["total"] == "79.72"
    assert Invoice.objects.filter(settlement=settled).exclude(number="").exists()
