"""Calls that start together, each in a thread with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def at_once(calls: int, call: Callable[[int], T]) -> list[T]:
    """Run calls in as many threads, let go together; close each thread's connection."""
    barrier = threading.Barrier(calls)

    def run(number: int) -> T:
        barrier.wait()
        try:
            return call(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(run, range(calls)))
