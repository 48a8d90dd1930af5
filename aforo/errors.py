"""What can go wrong in the domain, each kind with its HTTP status and a stable code.

The docstring of an error with a code says in its first paragraph when it comes, and in its second
what to do: `docs/errors.md` is made of them.

Pure: imports no framework. `aforo.api` renders every one of them as an RFC 9457 problem; the admin
shows the message; tasks retry `Busy` only. Concrete errors stand beside the function that raises
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

# When an error comes, and what to do.
Advice = tuple[str, str]


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
    # Further codes that an error of this class is raised with.
    variants: ClassVar[Mapping[str, Advice]] = {}

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
    """The request cannot be read: no JSON, nested too deep, or cut off.

    Mend the request; the same one will not be read either.
    """

    status = 400
    title = "Unreadable request"
    default_code = "unreadable"
    variants = {
        "wrong_host": (
            "This server does not answer for the host that the request names.",
            "Use the address that it is run under (ALLOWED_HOSTS).",
        ),
    }


class Unauthorized(DomainError):
    """There is no API key in the request, or it is unknown or revoked.

    Send `Authorization: Bearer sk_...` or `X-API-Key: sk_...`.
    """

    status = 401
    title = "No valid API key"
    default_code = "unauthorized"


class NotCovered(DomainError):
    """Credits do not cover what was asked for; `shortfall` is what is missing of `available`.

    Nothing was changed. Top up, ask for less, or choose another strategy. The same idempotency key
    may be used again. `skipped` says why lots were not used, `offers` which top-ups would cover it,
    `retry_after` after how many seconds another try may do.
    """

    status = 402
    title = "Not covered"
    default_code = "insufficient_funds"
    variants = {
        "debt_limit": (
            "What a capture leaves to be owed would pass the debt limit of the customer.",
            "Top up, raise the limit, or capture less.",
        ),
        "overage_limit": (
            "What credits do not cover would pass the overage limit of the customer.",
            "Top up, raise the limit, or wait for the next cycle.",
        ),
        "quota_exceeded": (
            "The usage would pass a cap beyond which the plan refuses it.",
            "Wait for the next cycle, or move the customer to another plan.",
        ),
    }

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        extra: Mapping[str, object] | None = None,
        missing: Decimal | None = None,
        currency: str = "",
        until: datetime | None = None,
    ) -> None:
        super().__init__(detail, code=code, extra=extra)
        # What new credits would have to bring, where they help.
        self.missing = missing
        # What it is in, where the request does not name it.
        self.currency = currency
        # When what refuses it ends by itself.
        self.until = until


class Forbidden(DomainError):
    """The key lacks the scope that this address asks for.

    Use a key with that scope.
    """

    status = 403
    title = "Not allowed for this key"
    default_code = "forbidden"


class NotFound(DomainError):
    """There is no such object in the mode of the key.

    Check the id, and whether the key is a sandbox or a live one.
    """

    status = 404
    title = "Not found"
    default_code = "not_found"
    variants = {
        "unknown_path": (
            "There is nothing at this address.",
            "Compare it with the list of operations at /v1/docs.",
        ),
    }


class MethodNotAllowed(DomainError):
    """The address exists, and does not take this method.

    Use a method that the `Allow` header names.
    """

    status = 405
    title = "Method Not Allowed"
    default_code = "method_not_allowed"


class NotAcceptable(DomainError):
    """The `Accept` header asks for a form that there is not.

    Accept `application/json`, or leave the header out.
    """

    status = 406
    title = "Not Acceptable"
    default_code = "not_acceptable"


class RequestTimeout(DomainError):
    """The request did not arrive whole in time.

    Send it again with the same idempotency key.
    """

    status = 408
    title = "Request Timeout"
    default_code = "request_timeout"


class Conflict(DomainError):
    """The state of something does not allow what was asked for.

    Read it, and ask for what its state allows.
    """

    status = 409
    title = "Conflict with the current state"
    default_code = "conflict"
    variants = {
        "no_seal_lost": (
            "The database has every seal of which there is a copy.",
            "Seal without `--after-restore`.",
        ),
    }


class LengthRequired(DomainError):
    """The body came without its length, through a server that cannot read it so.

    Send `Content-Length`.
    """

    status = 411
    title = "Length required"
    default_code = "length_required"


class TooLarge(DomainError):
    """The body is larger, or the list longer, than what is taken at once.

    Send it in parts.
    """

    status = 413
    title = "Too large"
    default_code = "too_large"


class UnsupportedMediaType(DomainError):
    """The body is not of a media type that this address reads.

    Send `Content-Type: application/json`.
    """

    status = 415
    title = "Unsupported Media Type"
    default_code = "unsupported_media_type"


class Rejected(DomainError):
    """Several fields of the request are invalid; `errors` names each with a pointer and a code.

    Mend them all; nothing was changed.
    """

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


class Throttled(DomainError):
    """There were too many requests in a short time.

    Wait as many seconds as `Retry-After` says.
    """

    status = 429
    title = "Too Many Requests"
    default_code = "throttled"


class Failed(DomainError):
    """The request failed unexpectedly, and it is not known how far it came.

    Send it again with the same idempotency key: what was done under a key is not done twice. Name
    the `request_id` when you report it.
    """

    status = 500
    title = "Internal error"
    default_code = "internal_error"


class Busy(DomainError):
    """A lock or the database could not be had in time.

    Wait as long as `Retry-After` says, and send it again with the same idempotency key.
    """

    status = 503
    title = "Busy"
    default_code = "busy"


class InvariantBroken(Exception):
    """An impossible state: a wrong bill or entry stops here instead of shipping. Never caught."""
