"""The background processes beside a server, a worker and beat: they end when it does, however."""

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
from typing import Final

from aforo.devdb import places

COMMANDS: Final = {
    "worker": ["--quiet", "worker", "--concurrency=2", "--loglevel=WARNING", "--without-gossip"],
    "beat": ["--quiet", "beat", "--loglevel=WARNING", "--pidfile="],
}
# A worker gets so long to end the task that it is at; a killed task is taken up again later.
PATIENCE_SECONDS: Final = 10


@contextmanager
def beside() -> Iterator[list[int]]:
    """Run a worker and beat while the block runs; give their process ids."""
    me = os.getpid()
    processes = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "aforo.background", name, str(me)],
            cwd=places.PROJECT,
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the server, which ends them.
            start_new_session=True,
        )
        for name in COMMANDS
    ]
    try:
        yield [process.pid for process in processes]
    finally:
        # A server's forked workers leave through here too, and they end nothing.
        if os.getpid() == me:
            _end(processes)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(name: str, parent: int) -> None:
    """Be one of the processes; end when the parent has, also when it was killed."""
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
