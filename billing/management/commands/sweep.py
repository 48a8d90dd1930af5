"""`manage.py sweep`: do everything that is due, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.jobs import due_work
from billing.management.failures import report


class Command(BaseCommand):
    help = "Do everything that is due, once: payments, settlement, lapses, refills. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep once and print the results."""
        swept = due_work.sweep(now=timezone.now(), clock=timezone.now)
        self.stdout.write(
            f"{swept.paid} payments answered, {swept.settled} cycles settled, "
            f"{swept.lapsed} lots lapsed, {swept.refilled} refills begun"
        )
        report(self.stderr, swept.failures)
