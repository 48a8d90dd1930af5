"""What probes and scrapers are told, with and without a worker, and by whatever name they call."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from billing.jobs import tasks, workers
from billing.models import WorkerHeartbeat

PAGES = ["/healthz", "/readyz", "/healthz/jobs", "/metrics"]


@pytest.fixture
def production(settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["aforo.example"]
    settings.SECURE_SSL_REDIRECT = True


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_probes_need_neither_host_nor_tls(production: None, client: Client, page: str) -> None:
    workers.note_swept(now=timezone.now())

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
    workers.note_swept(now=now)
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
