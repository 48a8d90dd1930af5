"""The backend that settings name: Django loads `DatabaseWrapper` of this file by its name."""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import _queries
from psycopg.pq import TransactionStatus

from aforo.database import audit_trail

# The driver translates the placeholders of a statement once, unless it is longer or has more of
# them than this. What reads and writes a list is longer, and always the same text: each time that
# took a tenth of a debit's processor time.
_queries.MAX_CACHED_STATEMENT_LENGTH = 40_000
_queries.MAX_CACHED_STATEMENT_PARAMS = 400


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose health check costs no statement, whose changes of configuration are named
    to the audit trail, and that counts its `statements`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.statements = 0
        self.execute_wrappers += [self._count, audit_trail.name_actor]

    def _count(
        self,
        execute: audit_trail.Execute,
        sql: str,
        params: Any,
        many: bool,  # noqa: FBT001
        context: dict[str, Any],
    ) -> Any:
        self.statements += 1
        return execute(sql, params, many, context)

    def is_usable(self) -> bool:
        """Return whether the connection still works.

        A server that has ended, or has ended this connection, has said so on the socket: what is
        idle and has received nothing is sound. Only after an error, or when something was received,
        is the server asked, as Django does before every request.
        """
        if not self.errors_occurred and self._is_idle():
            return True
        return super().is_usable()

    def _is_idle(self) -> bool:
        connection = self.connection
        if connection is None or connection.closed:
            return False
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            return False
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        return not waiting.poll(0)
