"""Render JSON: decimals as plain strings, times as RFC 3339 in UTC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rest_framework.renderers import BaseRenderer

from aforo import money


def timestamp(moment: datetime) -> str:
    """Write an aware moment as RFC 3339, microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _default(value: object) -> str:
    match value:
        case Decimal():
            return money.plain(value)
        case datetime():
            return timestamp(value)
        case UUID() | date():
            return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def to_json(data: object) -> str:
    """Render an answer; the same text is stored for replays."""
    return json.dumps(data, default=_default, ensure_ascii=False, separators=(",", ":"))


class ExactJsonRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Render `data`; no data is an empty body."""
        return b"" if data is None else to_json(data).encode()
