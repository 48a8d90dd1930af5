"""`manage.py serve`, as processes of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from aforo import devdb
from aforo.devdb import places


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
    assert refused.stdout == ""
    with psycopg.connect(url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
