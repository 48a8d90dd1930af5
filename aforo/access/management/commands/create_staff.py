"""`manage.py create_staff`: make an account of the back office, its password alone on stdout."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aforo.access import roles, staff
from aforo.errors import DomainError


class Command(BaseCommand):
    help = "Create a member of staff; the password is printed once, alone on stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("name")
        parser.add_argument(
            "--role", action="append", choices=[*roles.ROLES], required=True, dest="roles"
        )
        parser.add_argument("--email", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the account."""
        try:
            _, password = staff.create_staff(
                name=options["name"], roles=options["roles"], email=options["email"]
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(password)
