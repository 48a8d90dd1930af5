"""What probes and scrapers are told, with and without a worker, and by whatever name they call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from aforo.webhooks.models import OutboxEvent
from billing.jobs import tasks, workers
from billing.models import Subscription, WorkerHeartbeat
from ledger.models import Seal
from tests import factories

PAGES = ["/healthz", "/readyz", "/healthz/jobs", "/metrics"]


def swept(now: datetime, passed_over: int = 0) -> None:
    """Record a sweep of 1.5 seconds that ends now, and that beat has sent it."""
    began = now - timedelta(milliseconds=1_500)
    workers.note_swept(began=began, now=now, passed_over=passed_over)
    PeriodicTask.objects.update(last_run_at=now)


@pytest.fixture
def production(settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["aforo.example"]
    settings.SECURE_SSL_REDIRECT = True


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_probes_need_neither_host_nor_tls(production: None, client: Client, page: str) -> None:
    swept(timezone.now())

    assert client.get(page, headers={"host": "10.0.0.7:8000"}).status_code == 200
    # Nobody else is answered so.
    assert client.get("/admin/", headers={"host": "10.0.0.7:8000"}).status_code == 400
    assert client.get("/admin/", headers={"host": "aforo.example"}).status_code == 301


@pytest.mark.django_db
def test_jobs_are_late_and_the_server_is_still_ready(client: Client) -> None:
    never = client.get("/healthz/jobs")
    assert (never.status_code, never.json()["status"]) == (503, "late")
    assert never.json()["jobs"]["worker"] == {"late": True, "age_seconds": None}

    now = timezone.now()
    workers.note_alive(now=now)
    swept(now)
    assert client.get("/healthz/jobs").status_code == 200

    WorkerHeartbeat.objects.update(seen_at=now - timedelta(minutes=2))
    late, ready = client.get("/healthz/jobs"), client.get("/readyz")
    assert (late.status_code, ready.status_code) == (503, 200)
    for answer in (late, ready):
        jobs = answer.json()["jobs"]
        assert (jobs["worker"]["late"], jobs["sweep"]["late"]) == (True, False)
        assert jobs["worker"]["age_seconds"] >= 120
    shown = client.get("/metrics").content.decode()
    assert "aforo_database_up 1" in shown
    assert 'aforo_job_late{job="worker"} 1' in shown
    assert 'aforo_job_late{job="sweep"} 0' in shown


@pytest.mark.django_db
def test_a_worker_whose_sweeps_fail_is_late(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("a sweep that dies")

    monkeypatch.setattr("billing.jobs.due_work.sweep", fail)
    workers.note_alive(now=timezone.now())
    with pytest.raises(RuntimeError):
        tasks.sweep()
    jobs = client.get("/healthz/jobs").json()["jobs"]
    assert (jobs["worker"]["late"], jobs["sweep"]["late"]) == (False, True)

    monkeypatch.undo()
    tasks.sweep()
    PeriodicTask.objects.update(last_run_at=timezone.now())
    assert client.get("/healthz/jobs").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    """Without the mark that lets a test use it, any use of it fails as an unreachable one would."""
    from django.db import OperationalError, connection

    def unreachable(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", unreachable)

    status = client.get(page).status_code

    assert status == {"/healthz": 200, "/metrics": 200}.get(page, 503)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "behind"),
    [
        ("beat", lambda now: PeriodicTask.objects.update(last_run_at=now - timedelta(minutes=11))),
        ("settlement", lambda now: over(now - timedelta(minutes=61))),
        ("webhooks", lambda now: happened(now - timedelta(minutes=16))),
        ("seal", lambda now: sealed(now - timedelta(hours=37))),
    ],
)
def test_what_is_behind_is_named(
    client: Client, name: str, behind: Callable[[datetime], object]
) -> None:
    now = timezone.now()
    workers.note_alive(now=now)
    swept(now)
    assert client.get("/healthz/jobs").status_code == 200

    behind(now)

    answer = client.get("/healthz/jobs")
    assert answer.status_code == 503
    assert [job for job, state in answer.json()["jobs"].items() if state["late"]] == [name]
    assert f'aforo_job_late{{job="{name}"}} 1.0' in client.get("/metrics").content.decode()


def over(ended_at: datetime) -> None:
    """Leave a cycle that ended then without a successor."""
    factories.offering()
    factories.customer()
    factories.subscription("cust_1", starts_at=ended_at - relativedelta(months=1))
    assert Subscription.objects.get().current_ends_at == ended_at


def happened(at: datetime) -> None:
    """Leave an event of then that was never queued."""
    OutboxEvent.objects.create(
        livemode=False, customer_id="c", type="wallet.topped_up", payload={}, occurred_at=at
    )
    OutboxEvent.objects.update(created_at=at)


def sealed(at: datetime) -> None:
    Seal.objects.create(
        livemode=True, number=1, sealed_at=at, books=1, entries=1, root="0", hash="0"
    )


@pytest.mark.django_db
def test_an_empty_system_has_no_seal_and_is_not_late(client: Client) -> None:
    swept(timezone.now())
    workers.note_alive(now=timezone.now())

    assert client.get("/healthz/jobs").json()["jobs"]["seal"] == {
        "late": False,
        "age_seconds": None,
    }
