"""Write events into the outbox, in the caller's transaction; their delivery comes later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aforo.protocol.exact_json import to_json
from aforo.webhooks.models import OutboxEvent


@dataclass(frozen=True, slots=True)
class Notice:
    """What has happened to a customer; of events that share a `sameness` one is kept."""

    livemode: bool
    customer_id: str
    type: str
    payload: Mapping[str, object]
    occurred_at: datetime
    sameness: str = ""


def emit(events: Sequence[Notice]) -> None:
    """Write events in one statement; none for none.

    Decimals, times and ids of the payload are written as the API writes them.
    """
    rows = [
        OutboxEvent(
            livemode=event.livemode,
            customer_id=event.customer_id,
            type=event.type,
            payload=json.loads(to_json({"customer_id": event.customer_id, **event.payload})),
            occurred_at=event.occurred_at,
            sameness=event.sameness,
        )
        for event in events
    ]
    if rows:
        OutboxEvent.objects.bulk_create(rows, ignore_conflicts=True)
