"""Delivery in the background: beat asks every ten seconds, and each endpoint is a task, so that one
that answers slowly holds up no other.
"""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from aforo.celery import JobTask
from aforo.webhooks import delivery


class WebhookTask(JobTask):
    """A task of the queue in which others wait for what receivers answer."""

    queue = "webhooks"


@shared_task(name="webhooks.tasks.deliver", base=WebhookTask, expires=60)
def deliver() -> None:
    """Queue what has happened, and send a task for each endpoint that something is due to."""
    for endpoint_id in delivery.publish(clock=timezone.now):
        deliver_to.delay(str(endpoint_id))


@shared_task(name="webhooks.tasks.deliver_to", base=WebhookTask, expires=60)
def deliver_to(endpoint_id: str) -> None:
    """Send what is due to one endpoint."""
    delivery.deliver_to(endpoint_id=UUID(endpoint_id), clock=timezone.now)
