"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime

from aforo import periods


def moment(text: str) -> datetime:
    """Parse an ISO 8601 moment; without an offset it is UTC."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no ISO 8601 moment") from error
    _check(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def day(text: str) -> date:
    """Parse an ISO 8601 day."""
    try:
        value = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no day; write YYYY-MM-DD") from error
    _check(value)
    return value


def _check(value: date) -> None:
    if not periods.in_reach(value):
        raise argparse.ArgumentTypeError(f"{value} lies outside {periods.REACH}")
