"""What can go wrong in the domain, each kind with its HTTP status and a stable code.

Pure: imports no framework. `aforo.api` renders every one of them as an RFC 9457 problem; the admin
shows the message; tasks retry `Busy` only. Concrete errors stand beside the function that raises
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field: a JSON pointer (RFC 6901) into the request, a code and a sentence."""

    pointer: str
    code: str
    detail: str


class DomainError(Exception):
    """A refusal that the caller can act on; the transaction that it left was rolled back."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Error"
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        errors: Sequence[FieldError] = (),
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.errors = tuple(errors)
        self.extra = dict(extra or {})


class BadRequest(DomainError):
    status = 400
    title = "Unreadable request"
    default_code = "unreadable"


class Unauthorized(DomainError):
    status = 401
    title = "No valid API key"
    default_code = "unauthorized"


class NotCovered(DomainError):
    """Credits do not cover what was asked for; `extra` carries `shortfall` and `available`."""

    status = 402
    title = "Not covered"
    default_code = "insufficient_funds"


class Forbidden(DomainError):
    status = 403
    title = "Not allowed for this key"
    default_code = "forbidden"


class NotFound(DomainError):
    status = 404
    title = "Not found"
    default_code = "not_found"


class Conflict(DomainError):
    status = 409
    title = "Conflict with the current state"
    default_code = "conflict"


class LengthRequired(DomainError):
    status = 411
    title = "Length required"
    default_code = "length_required"


class TooLarge(DomainError):
    status = 413
    title = "Too large"
    default_code = "too_large"


class Rejected(DomainError):
    status = 422
    title = "Invalid request"
    default_code = "invalid"


class Invalid(Rejected):
    """One or more fields are invalid; all of them are named at once."""

    def __init__(self, errors: Sequence[FieldError], *, detail: str = "") -> None:
        assert errors, "an invalid request names at least one field"
        first = errors[0]
        summary = detail or f"{first.pointer or '/'}: {first.detail}"
        super().__init__(summary, code=first.code if len(errors) == 1 else "invalid", errors=errors)


class Busy(DomainError):
    """A lock could not be had in time; a retry is safe."""

    status = 503
    title = "Busy"
    default_code = "busy"


class InvariantBroken(Exception):
    """An impossible state: a wrong bill or entry stops here instead of shipping. Never caught."""
