"""Progress of loops over due work, so that they end: what was worked on may not be due again
unchanged.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from aforo.errors import InvariantBroken
from billing.models import Settlement, Subscription


class Progress:
    """The work that one loop has done."""

    def __init__(self) -> None:
        self._worked = set[tuple[UUID, int, datetime]]()

    def on_cycle(self, over: Subscription) -> None:
        """Record that an open cycle that is over is worked on.

        Raises: InvariantBroken when it was before, and is unchanged.
        """
        self._note(over.pk, over.cycle, over.current_ends_at)

    def on_settlement(self, due: Settlement) -> None:
        """Record that a cycle that waits for its settlement is worked on.

        Raises: InvariantBroken when it was before.
        """
        self._note(due.pk, due.cycle, due.ends_at)

    def _note(self, found: UUID, cycle: int, ends_at: datetime) -> None:
        if (found, cycle, ends_at) in self._worked:
            raise InvariantBroken(f"Cycle {cycle} up to {ends_at.isoformat()} stays due: {found}.")
        self._worked.add((found, cycle, ends_at))
