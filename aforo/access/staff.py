"""Members of staff: accounts of the back office, each with its roles."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.contrib.auth.models import Group, User
from django.db import transaction

from aforo.errors import Conflict


class StaffExists(Conflict):
    """There is an account of this name already.

    A superuser gives it other roles under Users.
    """

    default_code = "staff_exists"


@transaction.atomic
def create_staff(*, name: str, roles: Sequence[str], email: str = "") -> tuple[User, str]:
    """Create a member of staff with roles, and return it with the password, which is kept nowhere.

    Raises: StaffExists.
    """
    if User.objects.filter(username=name).exists():
        raise StaffExists(f"There is an account {name}.")
    password = secrets.token_urlsafe(18)
    user = User.objects.create_user(name, email=email, password=password, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user, password
