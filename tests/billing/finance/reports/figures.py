"""The figures of the quarter that the tests live through (see conftest), worked by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

D = Decimal
THIRD = D("83.333333333333")  # What ann's 100 cash credits carry of the 100.00.
SIXTH = D("16.666666666667")  # What her 20 bonus credits carry.
JANUARY = D("66.666666666666")  # 80 of her cash credits are left: 83.333333333333 x 80 / 100.


def by(found: list[dict[str, Any]], *names: str) -> dict[Any, dict[str, Any]]:
    return {
        tuple(row[name] for name in names) if len(names) > 1 else row[names[0]]: row
        for row in found
    }


def figures(row: dict[str, Any]) -> dict[str, Decimal]:
    """The amounts of a row that are not zero."""
    return {k: v for k, v in row.items() if isinstance(v, Decimal) and v != 0}
