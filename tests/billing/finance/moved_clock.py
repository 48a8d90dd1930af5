"""The real time of live customers, moved by a test, and what happens in it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from billing.lifecycle import subscribing
from billing.usage import ingest
from tests import factories
from tests.factories import START


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def meter(
    quantity: int,
    moment: datetime,
    received_at: datetime | None = None,
    *,
    livemode: bool = False,
) -> None:
    event = factories.event("cust_1", quantity, f"{quantity} {moment}", moment)
    found = ingest.ingest(livemode=livemode, events=[event], received_at=received_at or moment)
    assert found.accepted == 1


class Clock:
    """The real time of live customers, moved by a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        monkeypatch.setattr(timezone, "now", lambda: self.now)

    def sell(self, mode: str, start: str, *charges: dict[str, object], **plan: Any) -> None:
        """Subscribe a live customer to tokens at .002, and to further charges."""
        self.now = at(start)
        plan = {"charges": [*charges, *factories.TOKENS_AT_2_MILLS], **plan}
        factories.offering(billing_mode=mode, livemode=True, **plan)
        factories.customer(livemode=True)
        subscribing.subscribe(livemode=True, customer_id="cust_1", offering="tokens_monthly")

    def meter(self, quantity: int, received: str, occurred: str = "") -> None:
        """Send usage."""
        self.now = at(received)
        meter(quantity, at(occurred or received), self.now, livemode=True)

    def sweep(self, moment: str) -> None:
        """Sweep by the command."""
        self.now = at(moment)
        call_command("sweep", stdout=io.StringIO())

    def close(self, month: str, moment: str) -> None:
        """Close a month by the command."""
        self.now = at(moment)
        factories.person("ann")
        call_command("close_period", month, "--by", "ann", stdout=io.StringIO())
