"""Write the page of every error code: `docs/errors.md`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from aforo.api import error_codes


class Command(BaseCommand):
    help = "Print every error code, when it comes and what to do, as Markdown."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the page."""
        self.stdout.write(error_codes.page(), ending="")
