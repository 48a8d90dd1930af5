"""`manage.py migrate`, as Django has it; after all of it the groups of the roles are made anew."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from aforo.access import roles


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, and make the groups, unless only a part or nothing was migrated."""
        super().handle(*args, **options)
        if not (options["app_label"] or options["plan"] or options["check_unapplied"]):
            roles.make_groups()
