"""How many random histories tests live through: few by themselves, more in `.ci/run`."""

from __future__ import annotations

import os


def examples(few: int) -> int:
    """Return so many, times AFORO_HISTORIES."""
    return few * int(os.environ.get("AFORO_HISTORIES", "1"))
