"""Guessing at passwords: each attempt is counted before it is answered, and waits grow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse

from aforo.access import login_limits
from aforo.access.models import LoginFailures

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
MINUTE = timedelta(minutes=1)


def attempt(client: Client, password: str, username: str = "ann") -> str:
    page = client.post(
        reverse("admin:login"), {"username": username, "password": password, "next": "/admin/"}
    )
    return "in" if page.status_code == 302 else page.content.decode()


@pytest.mark.django_db
def test_the_right_password_comes_too_late_after_five_wrong_ones(client: Client) -> None:
    User.objects.create_user("ann", password=PASSWORD, is_staff=True)

    for _ in range(4):
        assert "Please enter the correct username" in attempt(client, "guess")
    assert "Try again in 1 min." in attempt(client, "guess")
    # Neither case nor spelling of the name begins a new count, and nothing is looked at.
    for name in ("ann", "ANN"):
        assert "Try again in 1 min." in attempt(client, PASSWORD, name)
    assert "_auth_user_id" not in client.session
    assert LoginFailures.objects.get().failures == 5

    LoginFailures.objects.update(last_at=NOW - timedelta(hours=1))
    assert attempt(client, PASSWORD) == "in"
    assert not LoginFailures.objects.exists()


@pytest.mark.django_db
def test_a_log_in_that_began_at_its_form_leads_to_the_back_office(client: Client) -> None:
    User.objects.create_user("ann", password=PASSWORD, is_staff=True)

    answer = client.post(reverse("admin:login"), {"username": "ann", "password": PASSWORD})

    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("admin:index"))


@pytest.mark.django_db
def test_names_that_nobody_has_are_counted_like_others(client: Client) -> None:
    for _ in range(5):
        last = attempt(client, "guess", "nobody")

    assert "Try again in 1 min." in last
    # What was typed in as a name may have been a password.
    assert "nobody" not in LoginFailures.objects.get().name_digest


@pytest.mark.django_db
def test_the_waits_grow_and_a_day_has_about_a_hundred_guesses() -> None:
    """5 free; at 1, 3, 7 and 15 min; from 30 min on every 15: 5 + 4 + (1440 - 30) / 15 = 103."""
    allowed = [
        minute
        for minute in range(24 * 60)
        for _ in range(7)
        if login_limits.begin_attempt(username="ann", now=NOW + minute * MINUTE)
    ]

    assert allowed[:11] == [0, 0, 0, 0, 0, 1, 3, 7, 15, 30, 45]
    assert len(allowed) == 103
    assert login_limits.wait(username="ann", now=NOW + allowed[-1] * MINUTE) == 15 * MINUTE
    # A day without any is forgotten, and so is what others tried.
    assert login_limits.begin_attempt(username="ben", now=NOW + timedelta(days=2, minutes=1))
    assert LoginFailures.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("threads")
def test_guesses_at_the_same_moment_count_one_another() -> None:
    User.objects.create_user("ann", password=PASSWORD, is_staff=True)

    def guess(_: int) -> bool:
        try:
            return login_limits.begin_attempt(username="ann", now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        allowed = sum(pool.map(guess, range(40)))

    assert allowed == login_limits.FREE


@pytest.mark.django_db
def test_a_colleague_lets_somebody_in_again(admin_client: Client, client: Client) -> None:
    ann = User.objects.create_user("ann", password=PASSWORD, is_staff=True)
    for _ in range(5):
        assert authenticate(username="ann", password="guess") is None
    assert authenticate(username="ann", password=PASSWORD) is None

    admin_client.post(
        reverse("admin:auth_user_changelist"),
        {"action": "let_in", "_selected_action": [ann.pk], "index": "0"},
    )

    assert attempt(client, PASSWORD) == "in"


@pytest.mark.parametrize("password", ["ad", "hunter2hunt", "password1234", "123456789012345"])
def test_passwords_that_are_guessed_first_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)
    validate_password(PASSWORD)
