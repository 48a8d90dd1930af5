"""What is known of background jobs: when each was last seen, and whether that is late."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A job by its name; the age is None where it was never seen."""

    name: str
    age_seconds: int | None
    is_late: bool
