"""The background processes beside a server: a supervisor that keeps three workers, beat and the
embedded database running. They end when the server does, however.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from aforo import devdb
from aforo.devdb import places

# Threads: a pool of processes on the file-system broker shares one lock, and when the processes
# that wait for a task are killed, it stays locked for minutes.
_WORKER: Final = [
    "--quiet", "worker", "--pool=threads", "--concurrency=2", "--loglevel=WARNING",
    "--without-gossip",
]  # fmt: skip
# A worker a queue: a backlog of runs leaves the sweep its own.
COMMANDS: Final = {
    "runs": [*_WORKER, "--queues=runs", "--hostname=runs@%h"],
    "sweep": [*_WORKER, "--queues=sweep", "--hostname=sweep@%h"],
    "webhooks": [*_WORKER, "--queues=webhooks", "--hostname=webhooks@%h"],
    "beat": ["--quiet", "beat", "--loglevel=WARNING", "--pidfile="],
}
# How long a worker may take to finish its task; a killed task is taken up again later.
PATIENCE_SECONDS: Final = 10
LOOK_EVERY_SECONDS: Final = 1
# A process that ends as soon as it starts is restarted after ever longer waits.
LONGEST_PAUSE_SECONDS: Final = 60
SOUND_AFTER_SECONDS: Final = 60


@contextmanager
def beside() -> Iterator[int]:
    """Run the supervisor while the block runs; yield its process id."""
    me = os.getpid()
    supervisor = _start("supervisor")
    try:
        yield supervisor.pid
    finally:
        # A server's forked workers leave through here too, and they end nothing.
        if os.getpid() == me:
            _end([supervisor], patience=2 * PATIENCE_SECONDS)


class Child:
    """A process that is started again when it has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pause = 0
        self._start()

    def look(self) -> None:
        """Start the process again if it has ended, the sooner the longer it ran."""
        status = self.process.poll()
        now = time.monotonic()
        if status is None or now < self.started_at + self.pause:
            return
        is_sound = now - self.started_at > SOUND_AFTER_SECONDS
        self.pause = 0 if is_sound else min(max(1, 2 * self.pause), LONGEST_PAUSE_SECONDS)
        sys.stderr.write(f"The {self.name} ended with {status}; it is started again.\n")
        self._start()

    def _start(self) -> None:
        self.process = _start(self.name)
        self.started_at = time.monotonic()


def supervise(parent: int) -> None:
    """Restart the processes and the embedded database when they end, until told to end or left
    alone.
    """
    signal.signal(signal.SIGTERM, _leave)
    children = [Child(name) for name in COMMANDS]
    try:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_SECONDS)
            _keep_database()
            for child in children:
                child.look()
    finally:
        _end([child.process for child in children], patience=PATIENCE_SECONDS)


def _keep_database() -> None:
    """Start the embedded database again if it was killed; one of `DATABASE_URL` is not ours."""
    if os.environ.get("DATABASE_URL"):
        return
    try:
        devdb.ensure()
    except devdb.Unavailable as error:
        sys.stderr.write(f"The database does not start again: {error}\n")


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _start(name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "aforo.serving.processes", name, str(os.getpid())],
        cwd=places.PROJECT,
        stdin=subprocess.DEVNULL,
        # Ctrl-C is for the server, which ends them.
        start_new_session=True,
    )


def _end(processes: list[subprocess.Popen[bytes]], *, patience: int) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(name: str, parent: int) -> None:
    """Run as one of the processes; end when the parent has, also when it was killed."""
    if name == "supervisor":
        supervise(parent)
        return
    from celery.exceptions import SecurityWarning

    from aforo.celery import app

    # Messages carry ids only, as JSON, so running as root is no more dangerous than the server is.
    warnings.simplefilter("ignore", SecurityWarning)
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    app.start(COMMANDS[name])


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
