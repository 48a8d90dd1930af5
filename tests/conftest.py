"""Fixtures of every test: no floats near money, and throw-away database clusters."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import database, serving


@pytest.fixture(autouse=True)
def float_trap() -> Iterator[None]:
    """Make Decimal(0.1) and Decimal < float raise, also in threads that a test starts."""
    template = decimal.DefaultContext
    before = template.traps[decimal.FloatOperation]
    template.traps[decimal.FloatOperation] = True
    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True
        yield
    template.traps[decimal.FloatOperation] = before


@pytest.fixture
def scratch_var() -> Iterator[Path]:
    """Point the launcher at an empty directory, where `devdb.ensure(fast=True)` makes a cluster."""
    with database.throw_away_directory() as var:
        yield var


@pytest.fixture
def served_url(transactional_db: None) -> Iterator[str]:
    """The address of the project as served by two processes on the tests' database."""
    with serving.serve() as url:
        yield url
