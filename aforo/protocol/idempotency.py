"""Idempotency: what a keyed operation is, what "the same content" means, and how an answer is
recorded under a key and replayed.

Two tables hold the answers for ever, and both are rows of `KeptAnswer`: that of a mode
(`KeyedRequest`) and that of a customer's book (`wallets.Operation`). Sameness compares meaning, not
spelling: "50" and 50.00 are the same content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any, Protocol

from django.db import transaction

from aforo import money
from aforo.access.models import KeptAnswer, KeyedRequest
from aforo.errors import FieldError, Rejected
from aforo.protocol.exact_json import timestamp, to_json

# Most values are text, and metered events have many of them.
_AS_IT_IS = frozenset({str, bool, NoneType})
# Checking for the plain types is ten times faster than checking for their interfaces.
_MEMBERS = (dict, Mapping)


class KeyReused(Rejected):
    """The idempotency key was used before, with other content or for another operation.

    Nothing was done. Send what is new under a key of its own; to repeat the first request, send its
    content unchanged.
    """

    title = "Idempotency key reused"
    default_code = "key_reused"


def canonical(value: object) -> object:
    """Reduce validated content to what it means, as JSON that compares by equality."""
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, _MEMBERS):
        return {str(k): canonical(v) for k, v in sorted(value.items()) if v is not None}
    match value:
        case Decimal() | int():
            return money.plain(Decimal(value))
        case datetime():
            return timestamp(value)
        case list() | tuple():
            return [canonical(item) for item in value]
    return str(value)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body, fresh or replayed."""

    status: int
    body: str
    replayed: bool = False

    @classmethod
    def fresh(cls, status: int, content: object) -> Answer:
        """Render an answer for the first time; the same text is recorded and replayed."""
        return cls(status, to_json(content))


@dataclass(frozen=True, slots=True)
class KeyedOperation:
    """What is asked under a key: an operation by its stable name, which no change of its address
    changes, and its content in canonical form.
    """

    key: str
    operation: str
    content: object

    @classmethod
    def of(cls, key: str, operation: str, content: object) -> KeyedOperation:
        return cls(key, operation, canonical(content))

    def check_same(self, operation: str, content: object) -> None:
        """Compare with the operation and the canonical content that the key was first used for.

        Raises: KeyReused, naming the first field that differs.
        """
        if operation != self.operation:
            raise KeyReused(f"The key {self.key} was used for {operation}.")
        if content == self.content:
            return
        before = content if isinstance(content, Mapping) else {}
        after = self.content if isinstance(self.content, Mapping) else {}
        names = sorted({*before, *after})
        field = next((name for name in names if before.get(name) != after.get(name)), "")
        detail = f"The key {self.key} was used with another {field or 'content'}."
        raise KeyReused(detail, errors=[FieldError(f"/{field}", "key_reused", detail)])

    def replay(self, first: KeptAnswer) -> Answer:
        """Return the first answer under the key again.

        Raises: KeyReused.
        """
        self.check_same(first.operation, first.content)
        return Answer(first.status, first.body, replayed=True)

    def row(self, given: Answer) -> dict[str, Any]:
        """Return the columns of the row that records an answer under the key."""
        return {
            "key": self.key,
            "operation": self.operation,
            "content": self.content,
            "status": given.status,
            "body": given.body,
        }


class Answers(Protocol):
    """The table that holds the answers of one mode or one book."""

    def find(self, asked: KeyedOperation) -> KeptAnswer | None:
        """Wait for whoever is at work under the key, then find the answer that it got."""

    def record(self, asked: KeyedOperation, given: Answer) -> None:
        """Record an answer under its key for ever, in the transaction of its effect."""


def once(
    answers: Answers, *, asked: KeyedOperation, make: Callable[[], object], status: int
) -> Answer:
    """Run `make` in one transaction, at most once for ever under its key; it returns the content
    of the answer, or an answer with a status of its own.

    A concurrent duplicate waits for the first and replays it; when `make` refuses, the key stays
    free. Raises: KeyReused, and whatever `make` raises.
    """
    with transaction.atomic():
        first = answers.find(asked)
        if first is not None:
            return asked.replay(first)
        made = make()
        given = made if isinstance(made, Answer) else Answer.fresh(status, made)
        answers.record(asked, given)
        return given


@dataclass(frozen=True, slots=True)
class AnswersOfMode:
    """The answers to requests that belong to no customer's book."""

    livemode: bool

    def find(self, asked: KeyedOperation) -> KeptAnswer | None:
        """Claim the key by a row without a body, which makes duplicates wait for the commit."""
        claim = KeyedRequest(livemode=self.livemode, **asked.row(Answer(0, "")))
        KeyedRequest.objects.bulk_create([claim], ignore_conflicts=True)
        row = KeyedRequest.objects.get(livemode=self.livemode, key=asked.key)
        return row if row.body else None

    def record(self, asked: KeyedOperation, given: Answer) -> None:
        """Complete the claim."""
        KeyedRequest.objects.filter(livemode=self.livemode, key=asked.key).update(
            status=given.status, body=given.body
        )
