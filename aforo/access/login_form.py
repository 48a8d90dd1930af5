"""The login form, which says when attempts came too fast to be looked at."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from django.core.exceptions import ValidationError
from django.utils import timezone

from aforo.access import login_limits
from aforo.adminui.forms import AuthenticationForm


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """The form for user name and password."""

    def get_invalid_login_error(self) -> ValidationError:
        """Return that the name or the password is wrong, or how long to wait."""
        name = str(self.cleaned_data.get("username"))
        pause = login_limits.wait(username=name, now=timezone.now())
        if not pause:
            error: ValidationError = super().get_invalid_login_error()
            return error
        minutes = ceil(pause / timedelta(minutes=1))
        return ValidationError(
            "There were too many failed attempts. Try again in %(minutes)s min.",
            code="too_many_attempts",
            params={"minutes": minutes},
        )
