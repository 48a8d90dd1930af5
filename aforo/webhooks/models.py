"""The outbox: what has happened, written in the transaction in which it happened."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aforo.ids import new_id


class EventType(models.TextChoices):
    """What other systems are told about."""

    WALLET_TOPPED_UP = "wallet.topped_up", "wallet.topped_up"
    WALLET_LOW_BALANCE = "wallet.low_balance", "wallet.low_balance"
    WALLET_DEPLETED = "wallet.depleted", "wallet.depleted"
    WALLET_REFILL_FAILED = "wallet.refill_failed", "wallet.refill_failed"
    CREDITS_GRANTED = "credits.granted", "credits.granted"
    DEBIT_DECLINED = "debit.declined", "debit.declined"
    TOP_UP_DISPUTED = "top_up.disputed", "top_up.disputed"
    INVOICE_PAID = "invoice.paid", "invoice.paid"


class OutboxEvent(models.Model):
    """One event of one customer, delivered later.

    Guarantees: it exists if and only if its cause committed; of events that share a `sameness`
    there is one. The customer is named by its key: a row of its book would be a hidden hot row.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    customer_id = models.CharField(max_length=64, help_text="The key of the customer's book.")
    type = models.CharField(max_length=50, choices=EventType.choices)
    payload = models.JSONField(help_text="Strings only; decimals are written plainly.")
    occurred_at = models.DateTimeField(help_text="In the customer's time.")
    sameness = models.CharField(
        max_length=200, blank=True, help_text="Events that would repeat each other share it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], condition=Q(delivered_at=None), name="webhooks_event_undelivered"
            ),
            models.Index(fields=["livemode", "customer_id"], name="webhooks_event_customer"),
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
