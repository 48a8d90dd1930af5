"""The classes of the advisory locks, each number once.

A lock on two integers has its class first. Those on one integer, the primary keys of books, never
meet them.
"""

from __future__ import annotations

from typing import Final

MONTHS: Final = 1  # with the month as YYYYMM
SEALS: Final = 2  # with the mode
EXPORTS: Final = 7
FEED: Final = 8
RUN_SCOPES: Final = 7_001  # with the mode
