"""Events made for endpoints, and time that passes for deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aforo.webhooks import delivery, endpoints
from aforo.webhooks.models import EventType, WebhookDelivery, WebhookEndpoint
from aforo.webhooks.services import Notice, emit

START = datetime(2026, 3, 1, tzinfo=UTC)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def deliver(self, after: timedelta = timedelta(0)) -> int:
        """Deliver what is due after a while."""
        self.now += after
        return delivery.deliver_due(clock=self)


def happen(customer: str, number: int = 0, type_: str = EventType.WALLET_DEPLETED) -> None:
    """Write an event of a customer."""
    emit([Notice(False, customer, type_, {"number": number}, START)])


def endpoint(url: str, **terms: Any) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint; return it with its secret."""
    return endpoints.create(livemode=False, terms={"url": url, **terms})


def states() -> list[tuple[str, int, int | None]]:
    """Return status, attempts and last answer of every delivery, in their order."""
    rows = WebhookDelivery.objects.order_by("id")
    return list(rows.values_list("status", "attempts", "response_status"))
