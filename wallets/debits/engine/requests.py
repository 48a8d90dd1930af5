"""The requests that the engine accepts, and what each asks under its key.

A request names who asked from the moment it is made: the combiner runs it in any caller's thread
(docs/decisions.md#d165).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from aforo import actors
from aforo.actors import Actor
from aforo.errors import Busy, Conflict, DomainError
from aforo.protocol.idempotency import Answer, KeyedOperation
from wallets.models import BurnStrategy

Result = Answer | DomainError

# The default and the greatest lifetime of a reservation, in seconds.
DEFAULT_HOLD = 900
MAX_HOLD = 30 * 24 * 3600
# How long a reservation may be held in all where it is extended.
MAX_EXTENDED = 7 * 24 * 3600


class NeedsRenewal(Conflict):
    """A cycle of the customer is over and the next has not begun: nothing was done yet.

    Send the request again in a moment, with the same idempotency key.
    """

    default_code = "cycle_settling"

    def __init__(self, book_id: int) -> None:
        super().__init__("The cycle is over and is being renewed; send it again.")
        self.book_id = book_id


class CustomerBusy(Busy):
    """Others have locked the customer, who is named where it exists."""

    def __init__(self, customer_id: str | None) -> None:
        super().__init__("Others are at work on this customer; send the request again.")
        self.customer_id = customer_id


@dataclass(frozen=True, slots=True)
class CustomerRequest(ABC):
    """What names its customer; a capture or a void names a reservation instead."""

    operation: ClassVar[str]

    customer_id: str
    key: str
    # What the client calls this use: its team, user, agent, task, model.
    attributes: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    actor: Actor = field(default_factory=actors.current, kw_only=True, compare=False)

    @property
    def matched_by(self) -> Mapping[str, str]:
        """Return what budgets match it by."""
        return self.attributes

    @property
    @abstractmethod
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""


@dataclass(frozen=True, slots=True)
class UsageRequest(CustomerRequest):
    """Usage of a metric, which the list's `Pricing` prices: what else it asks is defined there."""

    metric: str = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class CreditRequest(CustomerRequest):
    """A need of money (`amount` in `currency`, or in the customer's only one) or of units
    (`quantity` of `metric`), in the customer's burn order or of one kind.
    """

    strategy: str = BurnStrategy.WATERFALL
    amount: Decimal | None = None
    currency: str | None = None
    metric: str | None = None
    quantity: Decimal | None = None

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return _asked(self)

    @property
    def need(self) -> Decimal:
        need = self.amount if self.metric is None else self.quantity
        assert need is not None, "the edge validates that one of both is given"
        return need


@dataclass(frozen=True, slots=True)
class DebitRequest(CreditRequest):
    """Burn credits now."""

    operation: ClassVar[str] = "wallets.debit"


@dataclass(frozen=True, slots=True)
class ReserveRequest(CreditRequest):
    """Reserve credits for at most `expires_in` seconds; what is None is as the offering has it."""

    operation: ClassVar[str] = "wallets.reserve"

    expires_in: int = DEFAULT_HOLD
    over_capture: str | None = None
    grace_seconds: int | None = None

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return {
            **_asked(self),
            "expires_in": self.expires_in,
            "over_capture": self.over_capture,
            "grace_seconds": self.grace_seconds,
        }


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Burn what a reservation holds: a part of it, or without either all that is left.

    `amount` is of money, `quantity` of units. What goes beyond the holds follows the reservation's
    policy, whatever `allow_more` says, which older clients send; `final` releases the rest.
    """

    operation: ClassVar[str] = "wallets.reservations.capture"

    reservation: UUID
    key: str
    amount: Decimal | None = None
    quantity: Decimal | None = None
    final: bool = True
    allow_more: bool = False
    actor: Actor = field(default_factory=actors.current, kw_only=True, compare=False)

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return {
            "reservation": self.reservation,
            "amount": self.amount,
            "quantity": self.quantity,
            "final": self.final,
            "allow_more": self.allow_more,
        }


@dataclass(frozen=True, slots=True)
class VoidRequest:
    """Release what a reservation holds."""

    operation: ClassVar[str] = "wallets.reservations.void"

    reservation: UUID
    key: str
    actor: Actor = field(default_factory=actors.current, kw_only=True, compare=False)

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return {"reservation": self.reservation}


@dataclass(frozen=True, slots=True)
class ExtendRequest:
    """Extend a reservation until `expires_in` seconds from now, or more for it, or both.

    `amount` is of money, `quantity` of units or of usage: what is held in addition.
    """

    operation: ClassVar[str] = "wallets.reservations.extend"

    reservation: UUID
    key: str
    expires_in: int | None = None
    amount: Decimal | None = None
    quantity: Decimal | None = None
    actor: Actor = field(default_factory=actors.current, kw_only=True, compare=False)

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return {
            "reservation": self.reservation,
            "expires_in": self.expires_in,
            "amount": self.amount,
            "quantity": self.quantity,
        }


ReservationRequest = CaptureRequest | ExtendRequest | VoidRequest
Request = DebitRequest | ReserveRequest | ReservationRequest | UsageRequest


def named(attributes: Mapping[str, str]) -> dict[str, object]:
    """Return attributes as a part of a request's content: none where it has none, as for requests
    from before there were any (docs/decisions.md#d290).
    """
    return {"attributes": attributes} if attributes else {}


def _asked(ask: CreditRequest) -> dict[str, object]:
    return {
        "customer_id": ask.customer_id,
        "strategy": ask.strategy,
        "amount": ask.amount,
        "currency": ask.currency,
        "metric": ask.metric,
        "quantity": ask.quantity,
        **named(ask.attributes),
    }


def keyed(request: Request) -> KeyedOperation:
    """Return what a request asks under its key."""
    return KeyedOperation.of(request.key, request.operation, request.content)
