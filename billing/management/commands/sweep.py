"""`manage.py sweep`: everything that is due, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.management.failures import report
from billing.services import due


class Command(BaseCommand):
    help = "Do everything that is due, once: payments, settlement, lapses, refills. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep."""
        swept = due.sweep(now=timezone.now(), clock=timezone.now)
        self.stdout.write(
            f"{swept.paid} payments answered, {swept.settled} cycles settled, "
            f"{swept.lapsed} lots lapsed, {swept.refilled} refills begun"
        )
        report(self.stderr, swept.failures)
