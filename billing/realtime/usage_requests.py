"""What a client may ask of usage in real time, and the refusals that only usage has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from aforo.errors import Conflict, Invalid
from ledger.models import Book
from wallets.budgets import counting
from wallets.debits import engine


class NoSubscription(Conflict):
    """No live subscription of the customer prices this metric.

    Subscribe the customer to an offering that prices it, or debit units or money.
    """

    default_code = "no_subscription"


class KeyMetered(Invalid):
    """The key belongs to an event that was metered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRequest(engine.UsageRequest):
    """A quantity of usage of a metric, now or a moment ago, to be paid at once."""

    operation: ClassVar[str] = "billing.usage.debit"

    quantity: Decimal
    occurred_at: datetime | None = None
    properties: Mapping[str, object] = field(default_factory=dict)

    @property
    def matched_by(self) -> Mapping[str, str]:
        """Return what budgets match it by: the properties of its event."""
        return counting.texts(self.event_properties)

    @property
    def event_properties(self) -> dict[str, object]:
        """Return the properties of its event: attributes are properties, too, and win over those in
        `metadata` as any member beside it does.
        """
        return {**self.properties, **self.attributes}

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        return _asked(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReserveRequest(UsageRequest):
    """A quantity of usage to come, whose price is reserved for at most `expires_in` seconds."""

    operation: ClassVar[str] = "billing.usage.reserve"

    expires_in: int = engine.DEFAULT_HOLD
    over_capture: str | None = None
    grace_seconds: int | None = None

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        asked = {"expires_in": self.expires_in, "grace_seconds": self.grace_seconds}
        # Keys of before it could be asked for stay what they were.
        policy = {} if self.over_capture is None else {"over_capture": self.over_capture}
        return {**_asked(self), **asked, **policy}


def event_keys(
    books: Mapping[str, Book], requests: Sequence[engine.Request]
) -> list[tuple[int, str]]:
    """Return the keys of requests, with their books, that become keys of events."""
    return [
        (books[request.customer_id].pk, request.key)
        for request in requests
        if type(request) is UsageRequest and request.customer_id in books
    ]


def _asked(ask: UsageRequest) -> dict[str, object]:
    return {
        "customer_id": ask.customer_id,
        "metric": ask.metric,
        "quantity": ask.quantity,
        "occurred_at": ask.occurred_at,
        "properties": ask.properties,
        **engine.named(ask.attributes),
    }
