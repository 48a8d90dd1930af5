"""The trap that keeps floats out of sums while tests run."""

from __future__ import annotations

import decimal
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

# Not a literal in a constructor, which the linter would find without any trap.
TENTH = 1 / 10


def test_a_float_does_not_become_a_decimal() -> None:
    with pytest.raises(decimal.FloatOperation):
        Decimal(TENTH)


def test_a_float_is_not_compared_with_a_decimal() -> None:
    with pytest.raises(decimal.FloatOperation):
        assert Decimal("0.1") < TENTH


def test_threads_of_a_test_have_the_trap_too() -> None:
    with ThreadPoolExecutor(max_workers=1) as pool, pytest.raises(decimal.FloatOperation):
        pool.submit(Decimal, TENTH).result()
