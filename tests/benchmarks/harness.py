"""How speed is measured: contestants in turn on one machine and one cluster, medians, and ratios.

Beside each rate stands the processor time of one unit of work, which other work on the machine
hardly changes. Only ratios are ever asserted.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from django.db import connection

from aforo.devdb import binaries
from tests.benchmarks import processor_time

# How long one contestant runs in one round; in shorter ones a busy machine moves a median by half.
FULL = 5
SECONDS = float(os.environ.get("AFORO_BENCHMARK_SECONDS", FULL))
ROUNDS = 3


T = TypeVar("T")


class Done(NamedTuple):
    """Units of work, and the seconds that they took."""

    units: float
    seconds: float


@dataclass
class Contestant:
    """Work that runs for about so many seconds, and what is noted of it.

    `serving` is the process whose family does the work for the database; without one it is done by
    the programs that `run` starts. `begin` does what is no work but costs processor time in every
    run, such as opening connections. `latencies` are the seconds of each call.
    """

    run: Callable[[float], Done]
    serving: int | None = None
    begin: Callable[[], object] = tuple
    statements: int | None = None
    latencies: list[float] = field(default_factory=list)


def pgbench(script: str, *, clients: int = 8) -> Contestant:
    """Run SQL under pgbench with prepared statements on the tests' database.

    Skips where pgbench is missing.
    """
    program = binaries.client("pgbench")
    if program is None:
        pytest.skip("pgbench is not installed; it comes with PostgreSQL's server package")
    found = connection.settings_dict
    command = [
        str(program), "-n", "-M", "prepared", "-l",
        "-c", str(clients), "-j", str(min(clients, os.cpu_count() or 1)),
        "-h", str(found["HOST"]), "-p", str(found["PORT"]), "-U", str(found["USER"]),
    ]  # fmt: skip
    statements = len(re.findall(r";|\\gset", re.sub(r"'[^']*'|\\set .*", "", script)))
    taken: list[float] = []

    def execute(script: str, *until: str) -> Done:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "script.sql"
            file.write_text(script)
            what = ["-f", str(file), *until, str(found["NAME"])]
            done = subprocess.run(
                [*command, *what],
                env=os.environ | {"PGPASSWORD": str(found["PASSWORD"])},
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            logs = [path.read_text().splitlines() for path in Path(folder).glob("pgbench_log.*")]
        assert done.returncode == 0, done.stderr
        assert re.search(r"failed transactions: 0 ", done.stdout), done.stdout
        rate = re.search(r"tps = ([0-9.]+)", done.stdout)
        assert rate is not None, done.stdout
        latencies = [int(line.split()[2]) / 1_000_000 for log in logs for line in log]
        taken.extend(latencies)
        return Done(len(latencies), len(latencies) / float(rate[1]))

    def run(seconds: float) -> Done:
        return execute(script, "-T", str(max(1, round(seconds))))

    def begin() -> None:
        execute("SELECT 1;", "-t", "1")
        taken.clear()

    return Contestant(run, begin=begin, statements=statements, latencies=taken)


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
    return memory(pid) + sum(memory(child) for child in processor_time.children(pid))


@dataclass(frozen=True)
class Figures:
    """What was found of one contestant: median rate and its bounds, and milliseconds."""

    rate: float
    bounds: tuple[float, float]
    caller: float
    database: float
    half: float
    last: float
    statements: int | None


@dataclass(frozen=True)
class Report:
    """Figures, to be compared and printed."""

    title: str
    unit: str
    found: Mapping[str, Figures]

    def ratio(self, name: str, other: str) -> float:
        """Return how many times faster `name` is than `other`."""
        return self.found[name].rate / self.found[other].rate

    def hold(self, name: str, other: str, *, floor: float) -> None:
        """Fail where `name` is not `floor` times as fast as `other`.

        Short rounds ask for a third: they find what became slow by its nature, not by the hour.
        """
        asked = floor if SECONDS >= FULL else floor / 3
        found = self.ratio(name, other)
        bounds = {each: figures.bounds for each, figures in self.found.items()}
        assert found >= asked, f"{name}: {found:.2f} x, {asked:.2f} x asked; {bounds}"

    def lines(self) -> Iterator[str]:
        """Write the table: the last contestant is what the others are measured against."""
        yield f"{self.title} ({self.unit}, median of {ROUNDS} rounds of {SECONDS:g} s, in turn)"
        yield (
            f"  {'':<48}{'rate':>8}{'':>9}  {'caller':>9} + {'database':>9}"
            f"{'p50':>9}{'p99':>9}  statements"
        )
        base = list(self.found)[-1]
        for name, each in self.found.items():
            shown = "" if each.statements is None else f"{each.statements}"
            yield (
                f"  {name:<48}{each.rate:>8,.0f}{self.ratio(name, base):>7.2f} x"
                f"  {each.caller:>6.3f} ms + {each.database:>6.3f} ms"
                f"{each.half:>6.1f} ms{each.last:>6.1f} ms  {shown:>10}"
            )


LINES: list[str] = []
"""What `conftest.pytest_terminal_summary` prints when all benchmarks have run."""


def compare(title: str, unit: str, contestants: Mapping[str, Contestant]) -> Report:
    """Run the contestants in turn, round by round, and report what was found of each."""
    done: dict[str, list[Done]] = {name: [] for name in contestants}
    spent: dict[str, list[processor_time.Spent]] = {name: [] for name in contestants}
    idle = {name: _spent_in(each, each.begin)[1] for name, each in contestants.items()}
    for _ in range(ROUNDS):
        for name, contestant in contestants.items():
            found, used = _spent_in(contestant, partial(contestant.run, SECONDS))
            done[name].append(found)
            spent[name].append(used - idle[name])
    report = Report(
        title,
        unit,
        {name: _figures(each, done[name], spent[name]) for name, each in contestants.items()},
    )
    LINES.extend(report.lines())
    return report


def _spent_in(contestant: Contestant, work: Callable[[], T]) -> tuple[T, processor_time.Spent]:
    before = processor_time.spent(contestant.serving)
    found = work()
    return found, processor_time.spent(contestant.serving) - before


def _figures(
    contestant: Contestant, done: list[Done], spent: list[processor_time.Spent]
) -> Figures:
    rates = [each.units / each.seconds for each in done]
    units = sum(each.units for each in done)
    taken = contestant.latencies
    hundredths = statistics.quantiles(taken, n=100) if len(taken) > 1 else [0.0] * 99
    return Figures(
        rate=statistics.median(rates),
        bounds=(min(rates), max(rates)),
        caller=sum(each.caller for each in spent) * 1_000 / units,
        database=sum(each.database for each in spent) * 1_000 / units,
        half=hundredths[49] * 1_000,
        last=hundredths[98] * 1_000,
        statements=contestant.statements,
    )
