"""Connections: checked without a statement, replaced when they are broken, statements prepared."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.postgresql import base
from django.db.utils import OperationalError

from tests import serving
from tests.aforo.test_serve import WHOLE, in_production


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return int(pid)


def end(pid: int) -> None:
    """End a connection from outside, as a server does with all of them when it ends."""
    with psycopg.connect(serving.test_database_url()) as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])


def begin_request() -> None:
    """Do what Django does with every connection when a request begins."""
    for each in connections.all(initialized_only=True):
        each.close_if_unusable_or_obsolete()


@pytest.fixture
def checked() -> None:
    """Begin with a new connection, which is checked when a request begins."""
    connection.close()
    connection.ensure_connection()
    assert connection.settings_dict["CONN_HEALTH_CHECKS"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_ended_is_replaced(checked: None) -> None:
    before = backend()
    end(before)

    begin_request()

    assert backend() != before


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_ends_during_a_request_costs_that_request_only(checked: None) -> None:
    begin_request()
    before = backend()
    end(before)
    with pytest.raises(OperationalError):
        backend()

    begin_request()

    assert backend() != before


@pytest.mark.django_db(transaction=True)
def test_a_sound_connection_is_asked_nothing(
    checked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = backend()
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", lambda _: pytest.fail("it was asked"))

    begin_request()

    assert connection.is_usable()
    assert backend() == before


@pytest.mark.django_db(transaction=True)
def test_a_connection_with_a_notice_waiting_is_asked_and_kept(checked: None) -> None:
    before = backend()
    with psycopg.connect(serving.test_database_url()) as other, connection.cursor() as cursor:
        cursor.execute("LISTEN said")
        other.execute("NOTIFY said")
    begin_request()

    assert backend() == before


@pytest.mark.django_db
def test_what_is_executed_often_is_prepared() -> None:
    with connection.cursor() as cursor:
        for number in range(7):
            cursor.execute("SELECT %s + 1 AS prepared_here", [number])
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        prepared = {statement for (statement,) in cursor.fetchall()}

    assert "SELECT $1 + 1 AS prepared_here" in prepared


@pytest.mark.parametrize(
    ("is_pooled", "expected"), [("on", "None True True"), ("off", "5 True False")]
)
def test_behind_a_pooler_nothing_outlives_a_transaction(is_pooled: str, expected: str) -> None:
    script = (
        "from django.conf import settings; found = settings.DATABASES['default']\n"
        "print(found['OPTIONS']['prepare_threshold'], found['OPTIONS']['server_side_binding'],"
        " found['DISABLE_SERVER_SIDE_CURSORS'])"
    )

    found = in_production(script, **WHOLE, DATABASE_IS_POOLED=is_pooled)

    assert found.stdout.strip() == expected, found.stderr
