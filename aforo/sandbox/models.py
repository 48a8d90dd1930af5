"""Test clocks: time that stands still until it is advanced."""

from __future__ import annotations

from django.db import models

from aforo.ids import new_id


class TestClock(models.Model):
    """The time of the sandbox customers that hang on it."""

    __test__ = False  # It is no test case, whatever its name says to a test runner.

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    now = models.DateTimeField()
    advancing_since = models.DateTimeField(
        null=True, blank=True, help_text="Real time; set while an advance is under way."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.now.isoformat()} ({self.pk})"
