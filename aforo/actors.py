"""Who acts: the API key, the member of staff or the job that every entry and operation names.

Edges set the actor for the work inside them; whatever writes the books reads it. It belongs to the
context, not to a row, so that no service passes it on and none can forget it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from aforo.errors import InvariantBroken


class ActorKind(StrEnum):
    API_KEY = "API_KEY"
    STAFF = "STAFF"
    JOB = "JOB"


ACTOR_KINDS = [(kind.value, kind.value) for kind in ActorKind]


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor by its id (of a key, of a user, or the job's name), never by a person's name."""

    kind: ActorKind
    id: str

    def describe(self) -> dict[str, str]:
        """Return the actor as documents and answers have it."""
        return {"kind": self.kind.value, "id": self.id}

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Approval:
    """A second person's approval, by its id, of what is being done."""

    id: str
    by: Actor

    def describe(self) -> dict[str, str]:
        """Return the approval as documents have it."""
        return {"approval": self.id, "approved_by": str(self.by)}


_ACTOR: ContextVar[Actor | None] = ContextVar("actor", default=None)
_APPROVAL: ContextVar[Approval | None] = ContextVar("approval", default=None)
_REQUEST: ContextVar[str] = ContextVar("request", default="")
_REASON: ContextVar[str] = ContextVar("reason", default="")


def job(name: str) -> Actor:
    """Return the actor of what the system does by itself."""
    return Actor(ActorKind.JOB, name)


def current() -> Actor:
    """Return who acts now.

    Raises: InvariantBroken, when nobody has said who: nothing is written in silence.
    """
    actor = _ACTOR.get()
    if actor is None:
        raise InvariantBroken("Nobody acts here: an edge sets the actor first.")
    return actor


def current_kind() -> str:
    """Return the kind of who acts now: the default of a row's column."""
    return current().kind.value


def current_id() -> str:
    """Return the id of who acts now: the default of a row's column."""
    return current().id


@contextmanager
def acting(actor: Actor | None) -> Iterator[None]:
    """Run what is inside as an actor's doing, and restore whoever acted before.

    Inside of None nothing can be written until somebody is named.
    """
    before = _ACTOR.set(actor)
    try:
        yield
    finally:
        _ACTOR.reset(before)


def act_as(actor: Actor) -> None:
    """Set who acts from here to the end of the `acting` around it."""
    _ACTOR.set(actor)


def approval() -> Approval | None:
    """Return the approval that what is being done has, if it needed one."""
    return _APPROVAL.get()


@contextmanager
def approved(given: Approval) -> Iterator[None]:
    """Run what is inside as approved by a second person, whom its entries name."""
    before = _APPROVAL.set(given)
    try:
        yield
    finally:
        _APPROVAL.reset(before)


@contextmanager
def within_request(request_id: str) -> Iterator[None]:
    """Run what is inside as part of a request, which changes of configuration name."""
    before = _REQUEST.set(request_id)
    try:
        yield
    finally:
        _REQUEST.reset(before)


def request_id() -> str:
    """Return the id of the request that this is part of, "" outside of requests."""
    return _REQUEST.get()


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Run what is inside for a reason, which changes of configuration keep."""
    before = _REASON.set(reason)
    try:
        yield
    finally:
        _REASON.reset(before)


def cause() -> dict[str, str]:
    """Return who acts, within which request and why, as the triggers of the audit trail read it.

    Where nobody acts the actor is absent, and the trail names the role of the database.
    """
    actor = _ACTOR.get()
    named = {} if actor is None else actor.describe()
    return {**named, "request": _REQUEST.get(), "reason": _REASON.get()}
