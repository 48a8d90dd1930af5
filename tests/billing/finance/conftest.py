"""The clock of live customers, for the tests of months."""

from __future__ import annotations

import pytest

from tests.billing.finance.moved_clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
