"""`manage.py serve`, as processes of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest
from django.conf import LazySettings
from django.contrib.staticfiles.finders import get_finder

from aforo import devdb
from aforo.devdb import places
from aforo.serving import server


@pytest.mark.xdist_group("served")
def test_admin_and_static_files_are_served_without_technical_pages(served_url: str) -> None:
    with httpx.Client(base_url=served_url) as client:
        login = client.get("/admin/login/")
        style = client.get("/static/admin/css/base.css")
        nowhere = client.get("/nowhere/")

    assert login.status_code == 200
    assert "csrfmiddlewaretoken" in login.text
    assert style.status_code == 200
    assert style.headers["content-type"].startswith("text/css")
    assert nowhere.status_code == 404
    assert "DEBUG" not in nowhere.text


def test_it_refuses_to_serve_a_database_without_migrations(scratch_var: Path) -> None:
    url = devdb.ensure(fast=True)

    refused = subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", "0"],
        cwd=places.PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 1
    assert "migrations are not applied" in refused.stderr
    assert "manage.py migrate" in refused.stderr
    assert refused.stdout == ""
    with psycopg.connect(url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)


ASKED = "SECURE_SSL_REDIRECT SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SECURE_HSTS_SECONDS DEBUG"
PRINT_ASKED = (
    "from django.conf import settings\n"
    f"print(*(getattr(settings, name) for name in '{ASKED}'.split()))"
)


def in_production(
    script: str = PRINT_ASKED, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Ask for settings as a server with a database of its own has them."""
    plain = {name: value for name, value in os.environ.items() if name != "DEBUG"}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=places.PROJECT,
        env=plain | {"DJANGO_SETTINGS_MODULE": "aforo.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


WHOLE = {
    "DATABASE_URL": "postgres://a:b@db.example/aforo",
    "SECRET_KEY": "x" * 50,
    "ALLOWED_HOSTS": "aforo.example",
    "CELERY_BROKER_URL": "amqp://broker.example",
}


def test_a_database_of_ones_own_means_production() -> None:
    whole = in_production(**WHOLE)
    tried = in_production(DATABASE_URL=WHOLE["DATABASE_URL"], DEBUG="on")

    assert whole.stdout.split() == ["True", "True", "True", "31536000", "False"], whole.stderr
    assert tried.stdout.split() == ["False", "False", "False", "0", "True"], tried.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "CELERY_BROKER_URL"])
def test_what_production_needs_is_named(name: str) -> None:
    refused = in_production(**{key: value for key, value in WHOLE.items() if key != name})

    assert refused.returncode == 1
    assert f"In production, set {name};" in refused.stderr


def test_what_django_asks_of_a_deployment_is_there() -> None:
    script = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('check', deploy=True, fail_level='WARNING', databases=[])"
    )
    strict = {"SECURE_HSTS_INCLUDE_SUBDOMAINS": "on", "SECURE_HSTS_PRELOAD": "on"}

    checked = in_production(script, **WHOLE | {"SECRET_KEY": secrets.token_urlsafe(50)}, **strict)

    assert checked.returncode == 0, checked.stderr


def test_a_time_zone_of_the_company_that_there_is_not_is_refused() -> None:
    refused = in_production(**WHOLE, ENTITY_TIMEZONE="Mars/Base")

    assert "there is no time zone Mars/Base" in refused.stderr


def test_static_files_are_those_of_the_version_that_serves(
    settings: LazySettings, tmp_path: Path
) -> None:
    source, root = tmp_path / "source", tmp_path / "root"
    source.mkdir()
    settings.STATICFILES_DIRS = [source]
    get_finder.cache_clear()  # type: ignore[attr-defined]
    served = []
    for content in ("one", "two", "three"):
        (source / "own.css").write_text(content)
        # An archive unpacks files with times of long ago.
        os.utime(source / "own.css", (0, 0))
        served.append(server.collect_static_files(root))
        assert (served[-1] / "own.css").read_text() == content
        assert server.collect_static_files(root) == served[-1]

    # A server of the version before still has its own; older ones are gone.
    assert sorted(path for path in root.iterdir()) == sorted(served[1:])
