"""The application server, gunicorn inside this process; `serve` and `quickstart` call it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from gunicorn.app.base import BaseApplication

# A few processes with many threads: calls on one wallet that meet in a process are served together.
WORKERS: Final = 2
THREADS: Final = 25

_LIMITS: Final = {
    "worker_class": "gthread",
    # Bounds what a leak can cost. Replacing workers every 2,000 requests, as is common, took 12 to
    # 38 % of the throughput of a view that does nothing.
    "max_requests": 50_000,
    "max_requests_jitter": 5_000,
    "timeout": 60,
    "graceful_timeout": 30,
    "keepalive": 15,
    # Since 25 it would open one under the home directory.
    "control_socket_disable": True,
    "loglevel": "warning",
}


def run(*, host: str, port: int, workers: int, threads: int) -> None:
    """Serve until a signal ends it; port 0 takes a free one. Leaves by SystemExit.

    Run in the main thread of a process that has no other threads: workers are forked from it.
    """
    # What is served behaves as in production: no query log, no technical error pages.
    settings.DEBUG = False
    settings.WHITENOISE_AUTOREFRESH = False
    _prepare_static_files()
    # A connection must not be shared with forked workers.
    connections.close_all()
    _Server(
        {
            **_LIMITS,
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": workers,
            "threads": threads,
            "when_ready": _announce,
        }
    ).run()


def unapplied_migrations() -> list[str]:
    """Name the migrations that the database lacks, as app.name, in the order of applying."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


class _Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn without its command line and configuration files."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        # Imported after the fork, so that every worker makes its own connections and threads.
        from aforo.wsgi import application

        return application


def _prepare_static_files() -> None:
    root = Path(settings.STATIC_ROOT)
    found = root.is_dir() and any(root.iterdir())
    root.mkdir(parents=True, exist_ok=True)
    if not found and not settings.WHITENOISE_USE_FINDERS:
        call_command("collectstatic", interactive=False, verbosity=0)


def _announce(arbiter: Any) -> None:
    for listener in arbiter.LISTENERS:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Serving at http://{shown}:{port}\n")
    sys.stdout.flush()
