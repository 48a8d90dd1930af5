"""Measure an old commit beside a new one, on one machine, in turn, in one run.

    uv run python -m tests.benchmarks.two_commits OLD [NEW] [--rounds 3] [--seconds 5] [--clients 8]

Each is checked out beside the other, has its own packages and its own embedded database, and is
served as `manage.py serve` serves it; both are asked the same over HTTP, by this checkout's units.
Printed is the processor time of one unit, of the server and of the database, and the rate.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")

from tests.benchmarks import loads, processor_time, units

ROOT = Path(__file__).parent.parent.parent


class Version(NamedTuple):
    """A commit as it is served."""

    name: str
    address: str
    key: str
    server: int
    database: int

    def has(self, unit: str) -> bool:
        """Return whether the commit can do a unit: a later call may not be there yet."""
        try:
            self.measure(unit, clients=1, seconds=0.01)
        except AssertionError:
            return False
        return True

    def measure(self, unit: str, *, clients: int, seconds: float) -> tuple[float, float, int]:
        """Do units for so long; return the two processor times, and how many were done."""
        done: list[None] = []
        before = self._spent()
        until = time.monotonic() + seconds
        loads.at_once(clients, partial(self._repeat, unit, until, done))
        after = self._spent()
        return after[0] - before[0], after[1] - before[1], len(done)

    def _spent(self) -> tuple[float, float]:
        family = processor_time.seconds_of_family
        return family(self.server), family(self.database)

    def _repeat(self, name: str, until: float, done: list[None]) -> None:
        caller, unit = loads.OverHttp(self.address, self.key), units.SINGLE[name]()
        while time.monotonic() < until:
            unit(caller)
            done.append(None)
        caller.close()


@contextmanager
def served(commit: str) -> Iterator[Version]:
    """Check a commit out, set it up, and serve it; leave nothing behind."""
    home = Path(tempfile.mkdtemp(prefix="aforo-commit-"))
    home.chmod(0o755)  # The database's user enters it when this runs as root.
    tree, var = home / "tree", home / "var"
    plain = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "VIRTUAL_ENV"}}
    run = partial(subprocess.run, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    environment = plain | {"AFORO_VAR": str(var)}
    subprocess.run(["git", "worktree", "add", "-q", "--detach", tree, commit], cwd=ROOT, check=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        stack.callback(run, ["git", "worktree", "remove", "--force", tree], cwd=ROOT)
        run(["uv", "sync", "-q"], env=environment)
        python = str(tree / ".venv" / "bin" / "python")
        stack.callback(run, [python, "manage.py", "devdb", "stop"], env=environment)
        run([python, "manage.py", "quickstart", "--no-serve"], env=environment)
        server = stack.enter_context(
            subprocess.Popen(
                [python, "manage.py", "serve", "--port", "0"],
                cwd=tree, env=environment, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        stack.callback(server.terminate)
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("Serving at ").strip()
        lines = (var / "quickstart.env").read_text().splitlines()
        (key,) = [each.partition("=")[2] for each in lines if each.startswith("AFORO_TEST_KEY")]
        (running,) = var.glob("pg/*/data/postmaster.pid")
        found = Version(commit, address, key, server.pid, int(running.read_text().split()[0]))
        units.prepare(loads.OverHttp(found.address, found.key))
        yield found


def main() -> None:
    """Measure, and print a line for each unit and version."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("old")
    asked.add_argument("new", nargs="?", default="HEAD")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--seconds", type=float, default=5)
    asked.add_argument("--clients", type=int, default=8)
    given = asked.parse_args()
    with served(given.old) as old, served(given.new) as new:
        for unit in units.SINGLE:
            able = [version for version in (old, new) if version.has(unit)]
            totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
            for _ in range(given.rounds):
                for version in able:
                    found = version.measure(unit, clients=given.clients, seconds=given.seconds)
                    totals[version.name] = [
                        a + b for a, b in zip(totals[version.name], found, strict=True)
                    ]
            for name, (server, database, done) in totals.items():
                per = 1_000 / max(done, 1)
                sys.stdout.write(
                    f"{unit:<40} {name:<10} {server * per:>7.2f} + {database * per:>6.2f} ms"
                    f" {done / given.rounds / given.seconds:>8.0f}/s\n"
                )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
