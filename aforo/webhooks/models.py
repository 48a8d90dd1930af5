"""The outbox, what has happened, written in the transaction in which it happened; and whom it is
sent to, with what came of that.
"""

from __future__ import annotations

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from aforo import actors
from aforo.ids import new_id

# Asked by every insert, so that the events of a customer ascend as its book's lock was had.
NEXT_SEQUENCE: Final = models.Func(
    models.Value("webhooks_event_sequence"),
    function="nextval",
    output_field=models.BigIntegerField(),
)


class EventType(models.TextChoices):
    """What other systems are told about."""

    WALLET_TOPPED_UP = "wallet.topped_up", "wallet.topped_up"
    WALLET_LOW_BALANCE = "wallet.low_balance", "wallet.low_balance"
    WALLET_DEPLETED = "wallet.depleted", "wallet.depleted"
    WALLET_REFILL_FAILED = "wallet.refill_failed", "wallet.refill_failed"
    CREDITS_GRANTED = "credits.granted", "credits.granted"
    DEBIT_DECLINED = "debit.declined", "debit.declined"
    RESERVATION_EXPIRED = "reservation.expired", "reservation.expired"
    RESERVATION_UNCOVERED = "reservation.uncovered", "reservation.uncovered"
    BUDGET_ALERT = "budget.alert", "budget.alert"
    BUDGET_EXCEEDED = "budget.exceeded", "budget.exceeded"
    TOP_UP_DISPUTED = "top_up.disputed", "top_up.disputed"
    INVOICE_PAID = "invoice.paid", "invoice.paid"
    WALLET_REFILLED = "wallet.refilled", "wallet.refilled"
    WALLET_ALERT = "wallet.alert", "wallet.alert"
    CREDITS_EXPIRING = "credits.expiring", "credits.expiring"
    CREDITS_EXPIRED = "credits.expired", "credits.expired"
    SETTLEMENT_COMPLETED = "settlement.completed", "settlement.completed"
    INVOICE_FINALIZED = "invoice.finalized", "invoice.finalized"
    SUBSCRIPTION_CREATED = "subscription.created", "subscription.created"
    SUBSCRIPTION_ACTIVATED = "subscription.activated", "subscription.activated"
    SUBSCRIPTION_TRIAL_ENDED = "subscription.trial_ended", "subscription.trial_ended"
    SUBSCRIPTION_SUSPENDED = "subscription.suspended", "subscription.suspended"
    SUBSCRIPTION_PAUSED = "subscription.paused", "subscription.paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed", "subscription.resumed"
    SUBSCRIPTION_CANCELLED = "subscription.cancelled", "subscription.cancelled"
    SUBSCRIPTION_UPDATED = "subscription.updated", "subscription.updated"
    INVOICE_OVERDUE = "invoice.overdue", "invoice.overdue"
    ENDPOINT_SWITCHED_OFF = "webhook_endpoint.switched_off", "webhook_endpoint.switched_off"


class OutboxEvent(models.Model):
    """One event of one customer.

    Guarantees: it exists if and only if its cause committed; of events that share a `sameness`
    there is one; among those of a customer `sequence` ascends in the order of their commits;
    whoever sees a `position` sees all lower ones. The customer is named by its key: a row of its
    book would be a hidden hot row.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    customer_id = models.CharField(max_length=64, help_text="The key of the customer's book.")
    type = models.CharField(max_length=50)
    payload = models.JSONField(help_text="Strings only; decimals are written plainly.")
    occurred_at = models.DateTimeField(help_text="In the customer's time.")
    sameness = models.CharField(
        max_length=200, blank=True, help_text="Events that would repeat each other share it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(
        null=True, blank=True, help_text="Version 0.1.0 writes it; nothing reads it."
    )
    sequence = models.BigIntegerField(
        null=True,
        editable=False,
        db_default=NEXT_SEQUENCE,
        help_text="In the order of writing; what version 0.1.0 had written has none.",
    )
    position = models.BigIntegerField(
        null=True,
        editable=False,
        unique=True,
        help_text="Its place in the feed, given once its transaction has committed.",
    )

    class Meta:
        indexes = [
            models.Index(fields=["livemode", "customer_id"], name="webhooks_event_customer"),
            models.Index(
                fields=["sequence"], condition=Q(position=None), name="webhooks_event_waiting"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "sameness"],
                condition=~Q(sameness=""),
                name="webhooks_event_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.customer_id}"


class WebhookEndpoint(models.Model):
    """An address of another system that events are sent to; what was deleted stays as a row, so
    that its deliveries can be read.

    Guarantees: while it is off nothing is sent, and it has the position up to which events were
    taken for it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    url = models.CharField(max_length=2_000)
    events = ArrayField(
        models.CharField(max_length=50), default=list, blank=True, help_text="Empty: all."
    )
    customer_id = models.CharField(max_length=64, blank=True, help_text="Empty: all.")
    description = models.CharField(max_length=200, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    off_at = models.DateTimeField(null=True, blank=True)
    off_reason = models.CharField(max_length=200, blank=True)
    off_position = models.BigIntegerField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(off_at=None, off_position=None)
                | Q(off_at__isnull=False, off_position__isnull=False),
                name="webhooks_webhookendpoint_off",
            )
        ]

    def __str__(self) -> str:
        return self.url


class WebhookSecret(models.Model):
    """A secret that an endpoint's messages are signed with, which is not in the database: it is
    made of this salt and a key of the environment (docs/decisions.md#d353).
    """

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="secrets")
    salt = models.CharField(max_length=64, editable=False)
    key_digest = models.CharField(
        max_length=16, help_text="The beginning of the hash of the key in the environment."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.created_at}"


class DeliveryStatus(models.TextChoices):
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class WebhookStream(models.Model):
    """The deliveries of one customer to one endpoint, one after the other; a replay has a stream of
    its own.

    Guarantees: while something is pending it is due at some time; whoever is at work on it has the
    lease, and is done before it is due again.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE)
    customer_id = models.CharField(max_length=64, blank=True)
    lane = models.CharField(
        max_length=36, blank=True, help_text="Empty for what is in order; else of a replay."
    )
    due_at = models.DateTimeField(null=True, blank=True)
    lease = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "customer_id", "lane"], name="webhooks_webhookstream_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "due_at"],
                condition=Q(due_at__isnull=False),
                name="webhooks_stream_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.customer_id}"


class WebhookDelivery(models.Model):
    """One event for one endpoint, with what came of it so far.

    Guarantees: an event is in a stream once; of a stream the lowest pending position is sent.
    """

    stream = models.ForeignKey(WebhookStream, models.CASCADE)
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(OutboxEvent, models.CASCADE)
    position = models.BigIntegerField()
    status = models.CharField(
        max_length=9, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    attempted_at = models.DateTimeField(null=True, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_excerpt = models.TextField(blank=True)
    error = models.CharField(max_length=200, blank=True, help_text="Why there was no answer.")

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "event"], name="webhooks_webhookdelivery_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["stream", "position"],
                condition=Q(status="PENDING"),
                name="webhooks_delivery_pending",
            ),
            models.Index(fields=["endpoint", "id"], name="webhooks_delivery_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.status}"
