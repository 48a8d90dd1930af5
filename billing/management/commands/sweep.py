"""`manage.py sweep`: everything that is due, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from aforo.errors import DomainError
from billing.services import due


class Command(BaseCommand):
    help = "Do everything that is due, once: payments, settlement, lapses, refills. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep."""
        try:
            swept = due.sweep(now=timezone.now(), clock=timezone.now)
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(
            f"{swept.paid} payments answered, {swept.settled} cycles settled, "
            f"{swept.lapsed} lots lapsed, {swept.refilled} refills begun"
        )
        if swept.failures:
            names = ", ".join(failure["customer_id"] for failure in swept.failures)
            raise CommandError(f"{len(swept.failures)} customers failed: {names}")
