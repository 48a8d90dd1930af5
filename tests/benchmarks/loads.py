"""Callers of a served project: so many at once, each with a connection that is kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests import serving
from tests.benchmarks import harness


class Caller(Protocol):
    """Somebody who calls the API: over HTTP, or inside this process, where statements count."""

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Call, and return the body of the answer; any refusal fails."""
        ...


Unit = Callable[[Caller], object]
"""One unit of work, which may be several calls."""


class Load:
    """Callers who note how long each unit took, and what memory the serving processes need."""

    def __init__(self, served: serving.Served, key: str) -> None:
        self.served = served
        self.key = key
        self.peak = 0

    def each(self, unit: Callable[[], Unit], *, clients: int, scale: int = 1) -> harness.Contestant:
        """Do units over so many connections at once; `unit()` is asked once for each of them.

        `scale` is how many things one unit does, and the statements are those of one unit alone.
        """
        taken: list[float] = []

        def run(seconds: float) -> harness.Done:
            before, started = len(taken), time.monotonic()
            at_once(clients, lambda: self._repeat(unit(), started + seconds, taken))
            elapsed = time.monotonic() - started
            self.peak = max(self.peak, harness.memory_of_family(self.served.pid))
            return harness.Done((len(taken) - before) * scale, elapsed)

        return harness.Contestant(
            run,
            serving=self.served.pid,
            statements=statements(unit(), self.key),
            latencies=taken,
        )

    def post(
        self, path: str, *, bodies: Callable[[], Iterator[bytes]], clients: int, scale: int = 1
    ) -> harness.Contestant:
        """POST bodies over so many connections at once, each with its own `bodies()`."""

        def unit() -> Unit:
            mine = bodies()
            return lambda caller: caller.call("POST", path, next(mine))

        return self.each(unit, clients=clients, scale=scale)

    def _repeat(self, unit: Unit, deadline: float, taken: list[float]) -> None:
        caller = OverHttp(self.served, self.key)
        while True:
            begun = time.monotonic()
            unit(caller)
            taken.append(time.monotonic() - begun)
            if time.monotonic() > deadline:
                break
        caller.close()

    def lines(self) -> Iterator[str]:
        """Write the peak memory."""
        yield f"  peak memory of the serving processes: {self.peak // 1024:,} MiB"


class OverHttp:
    """A caller with a connection that is kept."""

    def __init__(self, served: str, key: str) -> None:
        address = urlsplit(served)
        self.client = HTTPConnection(str(address.hostname), address.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        busy = True
        while busy:
            self.client.request(method, path, body, self.headers)
            answer = self.client.getresponse()
            said = answer.read()
            busy = answer.status == 503
        assert answer.status < 300, said[:500]
        return said

    def close(self) -> None:
        self.client.close()


class Inside:
    """A caller inside this process."""

    def __init__(self, key: str) -> None:
        self.client = APIClient(headers={"authorization": f"Bearer {key}"})

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        answer = self.client.generic(
            method, path, (body or b"").decode(), content_type="application/json"
        )
        assert answer.status_code < 300, answer.content[:500]
        return bytes(answer.content)


def statements(unit: Unit, key: str) -> int:
    """Count the statements of one unit, BEGIN and COMMIT included, after one that warms up."""
    caller = Inside(key)
    unit(caller)
    with CaptureQueriesContext(connection) as captured:
        unit(caller)
    return len(captured)


def read(answer: bytes) -> Any:
    """Read an answer of which another call needs a part."""
    return json.loads(answer, parse_float=str)


def at_once(number: int, work: Callable[[], None]) -> None:
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
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
