"""The outbox: what has happened, written in the transaction in which it happened."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models import Q

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
    RESERVATION_UNCOVERED = "reservation.uncovered", "reservation.uncovered"
    BUDGET_ALERT = "budget.alert", "budget.alert"
    BUDGET_EXCEEDED = "budget.exceeded", "budget.exceeded"
    TOP_UP_DISPUTED = "top_up.disputed", "top_up.disputed"
    INVOICE_PAID = "invoice.paid", "invoice.paid"


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
