"""What single calls cost: reservations, usage in real time, top-ups, reads."""

from __future__ import annotations

import pytest

from aforo.access.services import create_api_key
from tests import serving
from tests.benchmarks import harness, loads, units

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

CLIENTS = 8


def test_single_calls() -> None:
    _, key = create_api_key(livemode=False, name="benchmark")
    units.prepare(loads.Inside(key))
    with serving.serve() as url:
        load = loads.Load(url, key)
        report = harness.compare(
            f"Single calls, {CLIENTS} connections",
            "units/s",
            {name: load.each(unit, clients=CLIENTS) for name, unit in units.SINGLE.items()},
        )
        harness.LINES.extend(load.lines())

    assert all(each.rate > 0 for each in report.found.values())
