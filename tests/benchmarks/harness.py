"""How speed is measured: contestants in turn on one machine and one cluster, medians, and ratios.

A rate alone says more about the machine than about the code, so only ratios are ever asserted.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from aforo.devdb import binaries
from tests import serving

# How long one contestant runs in one round; in shorter ones a busy machine moves a median by half.
FULL = 5
SECONDS = float(os.environ.get("AFORO_BENCHMARK_SECONDS", FULL))
ROUNDS = 3

Contestant = Callable[[float], float]
"""Runs for about so many seconds and gives its rate: units of work a second."""


def pgbench(script: str, *, clients: int = 8, scale: int = 1) -> Contestant:
    """Run SQL under pgbench with prepared statements on the tests' database.

    `scale` is how many units of work one run of the script does. Skips where pgbench is missing.
    """
    program = binaries.client("pgbench")
    if program is None:
        pytest.skip("pgbench is not installed; it comes with PostgreSQL's server package")
    found = connection.settings_dict
    command = [
        str(program), "-n", "-M", "prepared",
        "-c", str(clients), "-j", str(min(clients, os.cpu_count() or 1)),
        "-h", str(found["HOST"]), "-p", str(found["PORT"]), "-U", str(found["USER"]),
    ]  # fmt: skip

    def run(seconds: float) -> float:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            what = ["-f", file.name, "-T", str(max(1, round(seconds))), str(found["NAME"])]
            done = subprocess.run(
                [*command, *what],
                env=os.environ | {"PGPASSWORD": str(found["PASSWORD"])},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert re.search(r"failed transactions: 0 ", done.stdout), done.stdout
        rate = re.search(r"tps = ([0-9.]+)", done.stdout)
        assert rate is not None, done.stdout
        return float(rate[1]) * scale

    return run


class Load:
    """Callers of a served project, who note how long each call took and what memory it needs."""

    def __init__(self, served: serving.Served, key: str) -> None:
        self.served = served
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.latencies: dict[str, list[float]] = {}
        self.peak = 0

    def post(
        self,
        path: str,
        *,
        bodies: Callable[[], Iterator[bytes]],
        clients: int,
        status: int = 200,
        scale: int = 1,
    ) -> Contestant:
        """POST from so many connections at once, each kept alive and each with its own `bodies()`.

        Every answer must have `status`. `scale` is how many units of work one call does.
        """
        taken = self.latencies.setdefault(f"{path}, {clients} connections", [])

        def run(seconds: float) -> float:
            before, started = len(taken), time.monotonic()
            with _threads(
                clients, lambda: self._call(path, bodies(), status, started + seconds, taken)
            ):
                pass
            elapsed = time.monotonic() - started
            self.peak = max(self.peak, memory_of_family(self.served.pid))
            return (len(taken) - before) * scale / elapsed

        return run

    def _call(
        self, path: str, bodies: Iterator[bytes], status: int, deadline: float, taken: list[float]
    ) -> None:
        address = urlsplit(self.served)
        client = HTTPConnection(str(address.hostname), address.port, timeout=60)
        for body in bodies:
            begun = time.monotonic()
            client.request("POST", path, body, self.headers)
            answer = client.getresponse()
            said = answer.read()
            assert answer.status == status, said[:500]
            taken.append(time.monotonic() - begun)
            if time.monotonic() > deadline:
                break
        client.close()

    def lines(self) -> Iterator[str]:
        """Write the latencies and the peak memory."""
        for name, taken in self.latencies.items():
            half, last = (statistics.quantiles(taken, n=100)[n] * 1_000 for n in (49, 98))
            yield f"  {name:<48} p50 {half:,.0f} ms, p99 {last:,.0f} ms"
        yield f"  peak memory of the serving processes: {self.peak // 1024:,} MiB"


@contextmanager
def _threads(number: int, work: Callable[[], None]) -> Iterator[None]:
    """Run work in so many threads; the first failure of any is raised when all have ended."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(number)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def memory(pid: int | None = None) -> int:
    """Return the resident memory of a process (this one by default) in kilobytes, from /proc.

    One that has ended has none.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("this system has no /proc to read memory from")
    status = Path(f"/proc/{pid or os.getpid()}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return 0 if found is None else int(found[1])


def memory_of_family(pid: int) -> int:
    """Return the resident memory of a process and its children, in kilobytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    family = [int(child) for child in children.read_text().split()] if children.exists() else []
    return memory(pid) + sum(memory(child) for child in family)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far, from /proc; 0 for one that has ended.

    Other than a rate, it hardly depends on what else the machine does.
    """
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc to read processor time from")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Report:
    """Median rates, to be compared and printed."""

    title: str
    unit: str
    rates: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]

    def ratio(self, name: str, other: str) -> float:
        """Return how many times faster `name` is than `other`."""
        return self.rates[name] / self.rates[other]

    def hold(self, name: str, other: str, *, floor: float) -> None:
        """Fail where `name` is not `floor` times as fast as `other`.

        Short rounds ask for a third: they find what became slow by its nature, not by the hour.
        """
        asked = floor if SECONDS >= FULL else floor / 3
        found = self.ratio(name, other)
        assert found >= asked, f"{name}: {found:.2f} x, {asked:.2f} x asked; {self.spread}"

    def lines(self) -> Iterator[str]:
        """Write the table: the last contestant is what the others are measured against."""
        yield f"{self.title} ({self.unit}, median of {ROUNDS} rounds of {SECONDS:g} s, in turn)"
        base = list(self.rates)[-1]
        for name, rate in self.rates.items():
            low, high = self.spread[name]
            yield (
                f"  {name:<48} {rate:>10,.0f}   {self.ratio(name, base):>6.2f} x"
                f"   ({low:,.0f} to {high:,.0f})"
            )


LINES: list[str] = []
"""What `conftest.pytest_terminal_summary` prints when all benchmarks have run."""


def compare(title: str, unit: str, contestants: Mapping[str, Contestant]) -> Report:
    """Run the contestants in turn, round by round, and report their medians."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            rates[name].append(run(SECONDS))
    report = Report(
        title,
        unit,
        {name: statistics.median(found) for name, found in rates.items()},
        {name: (min(found), max(found)) for name, found in rates.items()},
    )
    LINES.extend(report.lines())
    return report
