"""`manage.py rotate_api_key`: issue a key in the place of another, printed alone on stdout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.access import services
from aforo.errors import DomainError


class Command(BaseCommand):
    help = "Issue a key with the terms of another; the old one stays valid for an overlap."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("id", type=int, help="The id of the key, as the list of keys shows it.")
        parser.add_argument("--mode", choices=["live", "sandbox"], required=True)
        parser.add_argument("--overlap-hours", type=int, default=24)

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate the key."""
        hours = options["overlap_hours"]
        if not 0 <= hours <= 720:
            raise CommandError("--overlap-hours is 0 to 720.")
        try:
            key = services.get_api_key(livemode=options["mode"] == "live", key_id=options["id"])
            _, secret = services.rotate_api_key(
                key=key, now=timezone.now(), previous_valid=timedelta(hours=hours)
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(secret)
