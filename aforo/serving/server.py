"""The application server, gunicorn inside this process; `serve` and `quickstart` call it."""

from __future__ import annotations

import gc
import hashlib
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.db import connections
from django.urls import get_resolver
from gunicorn.app.base import BaseApplication
from whitenoise.storage import CompressedStaticFilesStorage

from aforo.observability import metrics

# A few processes with many threads: calls on one wallet that meet in a process are served together.
WORKERS: Final = 2
THREADS: Final = 25

_LIMITS: Final = {
    # Gunicorn's gthread, without its threads waiting for what clients have not sent yet.
    "worker_class": "aforo.serving.connections.Worker",
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
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    if not settings.WHITENOISE_USE_FINDERS:
        settings.STATIC_ROOT = collect_static_files(Path(settings.STATIC_ROOT))
    # A connection must not be shared with forked workers.
    connections.close_all()
    shared = _SharedMetrics()
    _Server(
        {
            **_LIMITS,
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": workers,
            "threads": threads,
            "when_ready": _announce,
            "pre_fork": shared.take_slot,
            "post_fork": shared.join,
            "on_exit": shared.remove,
        }
    ).run()


class _SharedMetrics:
    """The directory in which workers share what they count, a slot each while they live."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="aforo-metrics-"))

    def take_slot(self, arbiter: Any, worker: Any) -> None:
        """Choose the lowest slot that no living worker has."""
        taken = {each.slot for each in arbiter.WORKERS.values()}
        worker.slot = next(slot for slot in count() if slot not in taken)

    def join(self, arbiter: Any, worker: Any) -> None:
        """Make a forked worker count in its slot."""
        metrics.share(self.directory, worker.slot)

    def remove(self, arbiter: Any) -> None:
        """Remove the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)


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

        # What every call needs is loaded now and kept out of the collection of garbage, which would
        # look through all of it again and again: a fifth of the time of a list of debits.
        deque(get_resolver().url_patterns, maxlen=0)
        gc.collect()
        gc.freeze()
        return application


def collect_static_files(root: Path) -> Path:
    """Return the directory of these static files, made unless it is there already.

    It is named after their content, so that an upgrade serves its own files from its first request
    on, whatever the times of its files, and a server of the last version keeps the ones it has.
    """
    files = _static_files()
    content = hashlib.sha256()
    for path in sorted(files):
        content.update(path.encode() + b"\0" + hashlib.sha256(files[path]).digest())
    fresh = root / content.hexdigest()[:16]
    if not (fresh / ".complete").exists():
        for path, read in files.items():
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            (fresh / path).write_bytes(read)
        storage = CompressedStaticFilesStorage(location=fresh, base_url=settings.STATIC_URL)
        # It compresses as it is asked for the next name.
        deque(storage.post_process(dict.fromkeys(files)), maxlen=0)
        (fresh / ".complete").touch()
    _remove_older(root, fresh)
    return fresh


def _static_files() -> dict[str, bytes]:
    """Read every static file; of two with one name the first that is found counts, as in Django."""
    found: dict[str, bytes] = {}
    for finder in get_finders():
        for path, storage in finder.list([]):
            if path not in found:
                with storage.open(path) as file:
                    found[path] = file.read()
    return found


def _remove_older(root: Path, fresh: Path) -> None:
    """Remove all static files but this version's and those of the one before."""
    made = [path for path in root.iterdir() if (path / ".complete").exists() and path != fresh]
    made.sort(key=lambda path: (path / ".complete").stat().st_mtime, reverse=True)
    for path in made[1:]:
        shutil.rmtree(path, ignore_errors=True)


def _announce(arbiter: Any) -> None:
    for listener in arbiter.LISTENERS:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Serving at http://{shown}:{port}\n")
    sys.stdout.flush()
