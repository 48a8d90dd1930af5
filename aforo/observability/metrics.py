"""Metrics for Prometheus: what this host's serving processes have counted, and what the database
knows at the moment of the scrape.

The library decides at its first use whether processes share what they count, so that instruments
are made at their first use, in a worker that was forked already.
"""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import prometheus_client as prometheus
from django.db import DatabaseError
from prometheus_client import multiprocess, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from aforo.observability.job_health import Job

CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_LATEST
_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LENGTHS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that the database knows, with the values of its labels."""

    name: str
    help: str
    labels: dict[str, str]
    value: int | Decimal


@dataclass(frozen=True, slots=True)
class _Instruments:
    registry: prometheus.CollectorRegistry
    requests: prometheus.Counter
    seconds: prometheus.Histogram
    decided: prometheus.Counter
    lengths: prometheus.Histogram
    lock_waits: prometheus.Histogram


@functools.cache
def _instruments() -> _Instruments:
    own = prometheus.CollectorRegistry()
    return _Instruments(
        registry=own,
        requests=prometheus.Counter(
            "aforo_requests", "Requests answered.", ["method", "route", "status"], registry=own
        ),
        seconds=prometheus.Histogram(
            "aforo_request_seconds", "Time from a request's head to its answer.",
            ["route"], registry=own, buckets=_SECONDS,
        ),
        decided=prometheus.Counter(
            "aforo_engine_requests", "Debits, reservations and what ends them, by outcome.",
            ["request", "outcome"], registry=own,
        ),
        lengths=prometheus.Histogram(
            "aforo_engine_list_length", "How many requests a transaction decided.",
            registry=own, buckets=_LENGTHS,
        ),
        lock_waits=prometheus.Histogram(
            "aforo_engine_lock_wait_seconds", "Time to lock the books of a list.",
            registry=own, buckets=_SECONDS,
        ),
    )  # fmt: skip


def share(directory: Path, slot: int) -> None:
    """Share what this process counts with the host's other ones, which have other slots.

    Call before anything is counted. A worker that takes over a slot counts on from there, so that
    there are never more files than workers.
    """
    os.environ[_DIRECTORY] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
    _instruments.cache_clear()


def count_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    of = _instruments()
    of.requests.labels(method, route, status).inc()
    of.seconds.labels(route).observe(seconds)


def count_decided(decided: Iterable[tuple[str, str]]) -> None:
    """Count what the engine has decided in one list: an operation and an outcome each."""
    of, found = _instruments(), Counter(decided)
    of.lengths.observe(found.total())
    for labels, number in found.items():
        of.decided.labels(*labels).inc(number)


@contextmanager
def timing_lock() -> Iterator[None]:
    """Measure how long what is inside takes: it takes the locks of a list."""
    began = time.perf_counter()
    yield
    _instruments().lock_waits.observe(time.perf_counter() - began)


Look = Callable[[], tuple[list[Job], list[Figure]]]


def written(look: Look) -> bytes:
    """Return everything in the text format of Prometheus; `look` asks the database."""
    of = _instruments()
    registry = of.registry
    if directory := os.environ.get(_DIRECTORY):
        registry = prometheus.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    return prometheus.generate_latest(registry) + prometheus.generate_latest(_of_database(look))


def _of_database(look: Look) -> prometheus.CollectorRegistry:
    registry = prometheus.CollectorRegistry()
    registry.register(_Database(look))
    return registry


class _Database(Collector):
    """What the database knows; only whether it answers, where it does not."""

    def __init__(self, look: Look) -> None:
        self.look = look

    def collect(self) -> Iterable[prometheus.Metric]:
        """Return the metrics."""
        return _known(self.look)


def _known(look: Look) -> Iterator[prometheus.Metric]:
    up = GaugeMetricFamily("aforo_database_up", "Whether the database answers.")
    try:
        jobs, figures = look()
    except DatabaseError:
        up.add_metric([], 0)
        yield up
        return
    up.add_metric([], 1)
    yield up
    age = GaugeMetricFamily(
        "aforo_job_age_seconds", "Seconds since a job was last seen at work.", labels=["job"]
    )
    late = GaugeMetricFamily(
        "aforo_job_late", "Whether a job has been silent for too long.", labels=["job"]
    )
    for job in jobs:
        late.add_metric([job.name], int(job.is_late))
        if job.age_seconds is not None:
            age.add_metric([job.name], job.age_seconds)
    yield age
    yield late
    families: dict[str, GaugeMetricFamily] = {}
    for figure in figures:
        family = families.setdefault(
            figure.name, GaugeMetricFamily(figure.name, figure.help, labels=[*figure.labels])
        )
        # The library writes it as the format asks.
        family.add_metric([*figure.labels.values()], figure.value)  # type: ignore[arg-type]
    yield from families.values()
