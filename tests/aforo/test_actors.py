"""Who acts: set at each edge, bounded by it, and never taken from somebody else's thread."""

from __future__ import annotations

import sys
import threading

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

import manage
from aforo import actors, devdb
from aforo.access.acting import ActorMiddleware
from aforo.access.actor_names import name_actor
from aforo.access.services import create_api_key
from aforo.actors import Actor, ActorKind
from aforo.celery import JobTask, app
from aforo.errors import InvariantBroken
from billing.jobs import tasks

KEY = Actor(ActorKind.API_KEY, "7")


def test_an_actor_ends_where_it_began() -> None:
    with actors.acting(KEY):
        assert actors.current() == KEY
        with actors.acting(actors.job("renewal")):
            assert str(actors.current()) == "JOB:renewal"
        assert (actors.current_kind(), actors.current_id()) == ("API_KEY", "7")
    assert actors.current() == actors.job("tests")


def test_it_ends_with_a_failure_too() -> None:
    with pytest.raises(ZeroDivisionError), actors.acting(KEY):
        raise ZeroDivisionError

    assert actors.current() == actors.job("tests")


def test_a_thread_does_not_inherit_it() -> None:
    seen: list[Actor] = []
    with actors.acting(KEY):
        thread = threading.Thread(target=lambda: seen.append(actors.current()))
        thread.start()
        thread.join()

    assert seen == [actors.job("tests")]


def acting_at(path: str, user: User | AnonymousUser) -> Actor | None:
    """Return who acts in a request of a user, None for nobody."""
    seen: list[Actor | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        try:
            seen.append(actors.current())
        except InvariantBroken:
            seen.append(None)
        return HttpResponse()

    request = RequestFactory().get(path)
    request.user = user
    ActorMiddleware(view)(request)
    return seen[0]


def test_on_a_page_the_member_of_staff_acts() -> None:
    ann = User(pk=3, username="ann")

    assert acting_at("/admin/ledger/entry/", ann) == Actor(ActorKind.STAFF, "3")
    assert acting_at("/admin/login/", AnonymousUser()) is None


def test_in_the_api_a_session_is_nobody() -> None:
    assert acting_at("/v1/ledger/entries", User(pk=3, username="ann")) is None


def test_a_key_acts_until_its_request_ends() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        actors.act_as(KEY)
        assert actors.current() == KEY
        return HttpResponse()

    ActorMiddleware(view)(RequestFactory().get("/v1/metrics"))

    assert actors.current() == actors.job("tests")


def test_a_command_acts_as_a_job_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Actor] = []
    monkeypatch.setattr(sys, "argv", ["manage.py", "sweep"])
    monkeypatch.setattr(devdb, "ensure_for_command", lambda arguments: None)
    monkeypatch.setattr(
        "django.core.management.execute_from_command_line",
        lambda arguments: seen.append(actors.current()),
    )

    manage.main()

    assert seen == [actors.job("sweep")]


def test_every_task_acts_as_a_job_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {name: task for name, task in app.tasks.items() if name.startswith("billing.")}
    assert {"billing.tasks.sweep", "billing.tasks.settle_item"} < ours.keys()
    assert all(isinstance(task, JobTask) for task in ours.values())
    seen: list[Actor] = []
    monkeypatch.setattr(
        "wallets.top_ups.refill.refill_if_low", lambda book_ids: seen.append(actors.current())
    )

    with actors.acting(KEY):
        tasks.refill_books([1])
        tasks.refill_books.apply(args=([1],))

    assert seen == [actors.job("refill_books")] * 2


def test_a_run_in_a_thread_acts_as_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Actor] = []
    done = threading.Event()

    def execute(run_id: object, clock: object) -> None:
        seen.append(actors.current())
        done.set()

    monkeypatch.setattr("billing.cycle_end.runs.execute", execute)

    with actors.acting(KEY):
        tasks._in_thread(tasks._execute_here, "a run")

    assert done.wait(30)
    assert seen == [actors.job("execute_run")]


@pytest.mark.django_db
def test_names_are_looked_up_when_somebody_looks() -> None:
    key, _ = create_api_key(livemode=False, name="Billing server")
    ann = User.objects.create_user("ann")

    assert name_actor("API_KEY", str(key.pk)) == f"API key Billing server ({key.prefix}...)"
    assert name_actor("STAFF", str(ann.pk)) == "ann"
    ann.username = "ann-of-finance"
    ann.save(update_fields=["username"])
    assert name_actor("STAFF", str(ann.pk)) == "ann-of-finance"
    assert name_actor("JOB", "sweep") == "job sweep"
    assert name_actor("STAFF", "999999") == "user 999999"
    assert name_actor("API_KEY", "forged") == "API key forged"
