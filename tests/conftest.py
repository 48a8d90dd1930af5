"""Fixtures of every test: no floats near money, and throw-away database clusters."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection
from rest_framework.test import APIClient

from aforo import actors
from aforo.access.services import create_api_key
from aforo.api import error_codes, problems
from aforo.api.field_codes import FIELD_CODES
from aforo.celery import app
from aforo.errors import DomainError
from billing.dunning import schedules
from tests import database, serving, template
from tests.factories.books import ensure_chart
from tests.webhooks.receivers import Receiver, receiver


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Make each process's database as a copy of the one that is migrated already."""
    connection.settings_dict["TEST"]["TEMPLATE"] = template.ensure()


@pytest.fixture(scope="session", autouse=True)
def acting_tests() -> Iterator[None]:
    """Set a job `tests` as who acts wherever no edge says who, also in threads."""
    tests = actors.job("tests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors, "_ACTOR", ContextVar("actor", default=tests))
        yield


@pytest.fixture(scope="session", autouse=True)
def nobody_dunned() -> Iterator[None]:
    """Remind nobody unless a test says so: customers of tests live for months and pay nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedules, "DEFAULT", schedules.Schedule((), None))
        yield


@pytest.fixture
def dunned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remind and suspend as without a schedule of one's own."""
    monkeypatch.setattr(schedules, "DEFAULT", schedules.Schedule())


@pytest.fixture(scope="session", autouse=True)
def explained_codes() -> Iterator[None]:
    """Fail whatever is answered with a code that docs/errors.md does not explain."""
    body = problems.body

    def checked(error: DomainError, request_id: str) -> dict[str, object]:
        own = {each.code for kind in type(error).__mro__ for each in error_codes.explain(kind)}
        unknown = {error.code, *(each.code for each in error.errors)} - own - FIELD_CODES.keys()
        assert not unknown, f"{unknown} is not explained: see aforo/api/field_codes.py"
        return body(error, request_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problems, "body", checked)
        yield


@pytest.fixture(autouse=True)
def float_trap() -> Iterator[None]:
    """Make Decimal(0.1) and Decimal < float raise, also in threads that a test starts."""
    template = decimal.DefaultContext
    before = template.traps[decimal.FloatOperation]
    template.traps[decimal.FloatOperation] = True
    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True
        yield
    template.traps[decimal.FloatOperation] = before


@pytest.fixture(autouse=True)
def chart(request: pytest.FixtureRequest) -> None:
    """Write the chart of accounts again, which a test with real commits flushes after itself."""
    uses_database = request.node.get_closest_marker("django_db") is not None
    if uses_database or {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("db")
        ensure_chart()


@pytest.fixture(autouse=True)
def seals_kept_apart(settings: LazySettings, tmp_path: Path) -> None:
    """Set a directory of its own for each test's copies of seals."""
    settings.SEALS_DIR = tmp_path / "seals"


@pytest.fixture(autouse=True)
def history_at_will(settings: LazySettings) -> None:
    """Allow subscriptions of long ago; how far back one may go has tests of its own."""
    settings.BACKDATED_CYCLES = 1_000


@pytest.fixture
def scratch_var() -> Iterator[Path]:
    """Point the launcher at an empty directory, where `devdb.ensure(fast=True)` makes a cluster."""
    with database.throw_away_directory() as var:
        yield var


@pytest.fixture
def served_url(transactional_db: None) -> Iterator[serving.Served]:
    """The address of the project as served by two processes on the tests' database."""
    with serving.serve() as url:
        yield url


@pytest.fixture
def eager_tasks() -> Iterator[None]:
    """Run tasks where they are sent, as a worker would."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def sandbox_key(db: None) -> str:
    """A sandbox key with every scope."""
    return create_api_key(livemode=False, name="tests")[1]


@pytest.fixture
def live_key(db: None) -> str:
    """A live key with every scope."""
    return create_api_key(livemode=True, name="tests")[1]


@pytest.fixture
def remembered_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember keys for as long as a test runs: its pace then changes no count of statements."""
    monkeypatch.setattr("aforo.access.services.CACHE_SECONDS", math.inf)


@pytest.fixture
def api(sandbox_key: str, remembered_keys: None) -> APIClient:
    """The API as a sandbox key sees it."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {sandbox_key}")
    return client


@pytest.fixture
def live_api(live_key: str, remembered_keys: None) -> APIClient:
    """The API as a live key sees it."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {live_key}")
    return client


@pytest.fixture
def other(settings: LazySettings) -> Iterator[Receiver]:
    """Another system that gets webhooks, on loopback."""
    settings.WEBHOOK_LOOPBACK = True
    with receiver() as given:
        yield given
