"""The pytest plugin, named by `addopts`, that gets the tests their PostgreSQL.

It has to come before pytest-django loads the settings, which read the address; a conftest is too
late for that. Under xdist the controller starts the server, and the workers find it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aforo import devdb


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start the embedded database, unless DATABASE_URL names a server or only help is wanted."""
    # Whatever database the tests run on, they are not production; what they start inherits it.
    os.environ["DEBUG"] = "on"
    # Nor are their seals those of the database of development; what they start inherits this too.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ["SEALS_DIR"] = str(Path(tempfile.gettempdir()) / f"aforo-seals-{os.getpid()}")
    if early_config.known_args_namespace.help or "PYTEST_XDIST_WORKER" in os.environ:
        return
    try:
        devdb.ensure()
    except devdb.Unavailable as error:
        raise pytest.UsageError(str(error)) from error


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the copies of seals that processes of the tests have left."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ.get("SEALS_DIR", ""), ignore_errors=True)


def url(name: str) -> str:
    """Return the address of a database on the tests' server, for a process of its own."""
    # The settings cannot be read yet when pytest loads this.
    from django.db import connection

    found = connection.settings_dict
    user, address = f"{found['USER']}:{found['PASSWORD']}", f"{found['HOST']}:{found['PORT']}"
    return f"postgres://{user}@{address}/{name}"


@contextmanager
def throw_away_directory() -> Iterator[Path]:
    """Point the launcher at an empty var directory; stop in the end what was started there.

    Django's settings keep the tests' database.
    """
    # Not tmp_path: that is closed to the user who runs the server when the tests run as root.
    home = Path(tempfile.mkdtemp(prefix="aforo-"))
    home.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        patch.setenv("AFORO_VAR", str(home / "var"))
        yield home / "var"
        devdb.stop()
    shutil.rmtree(home)
