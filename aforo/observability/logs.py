"""Lines of the log: one object of JSON each in production, words for a person elsewhere."""

from __future__ import annotations

import logging

from pythonjsonlogger.json import JsonFormatter

from aforo import actors


class OfRequest(logging.Filter):
    """Adds the id of the request, if there is one, to every line that is written within it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, and let the line pass."""
        record.request_id = actors.request_id()
        return True


class Words(logging.Formatter):
    """Time, level, who writes, the message, and the request's id where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = super().format(record)
        found = getattr(record, "request_id", "")
        return f"{line} [{found}]" if found else line


class Json(JsonFormatter):
    """One object a line: `time`, `level`, `logger`, `message`, and what the writer added."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
