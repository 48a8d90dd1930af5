"""Public ids: UUID version 7 (RFC 9562), time-ordered, made before the insert so that rows written
in one statement can refer to each other.
"""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Make the next id; ids made by one process ascend."""
    return uuid7()
