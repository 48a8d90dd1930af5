"""What is done once a transaction has committed: it never decides the answer of who committed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import transaction

logger = logging.getLogger(__name__)


def after_commit(name: str, do: Callable[[], object]) -> None:
    """Run `do` once the caller's transaction has committed; at once where there is none.

    What fails there is logged under `name` and goes no further, because the effect of the
    transaction stands. So it has to be work that somebody repeats: the sweep, or the next caller.
    """

    def guarded() -> None:
        try:
            do()
        except Exception:
            logger.exception("What was committed stands; done afterwards, %s failed", name)

    transaction.on_commit(guarded)
