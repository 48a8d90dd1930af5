"""Dunning: when open invoices are reminded of, the reminders, and customers who get none for now.

All rows are append-only; the newest schedule of a mode counts, and the newest pause of a customer.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from aforo import actors
from billing.models.customers import Customer
from billing.models.invoices import Invoice


class DunningSchedule(models.Model):
    """The days after an invoice is due on which it is reminded of, and that on which the customer
    is suspended, if ever.
    """

    livemode = models.BooleanField()
    reminder_days = ArrayField(models.PositiveSmallIntegerField(), blank=True, default=list)
    suspend_day = models.PositiveSmallIntegerField(null=True, blank=True)
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["livemode", "-id"], name="billing_schedule_newest")]

    def __str__(self) -> str:
        return ", ".join(map(str, self.reminder_days))


class DunningAction(models.TextChoices):
    REMIND = "REMIND"
    SUSPEND = "SUSPEND"


class Reminder(models.Model):
    """A step of dunning that an overdue invoice has reached: `day` days after it was due, with what
    was open of it then. SUSPEND suspends the customer until it is paid.
    """

    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, related_name="reminders", db_index=False
    )
    day = models.PositiveSmallIntegerField()
    action = models.CharField(max_length=7, choices=DunningAction.choices)
    open = models.DecimalField(max_digits=38, decimal_places=12)
    occurred_at = models.DateTimeField(help_text="In the customer's time.")
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "day", "action"], name="billing_reminder_once"
            ),
            models.UniqueConstraint(
                fields=["invoice"], condition=Q(action="SUSPEND"), name="billing_reminder_suspends"
            ),
            models.CheckConstraint(condition=Q(open__gt=0), name="billing_reminder_open"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice} day {self.day}"


class DunningPause(models.Model):
    """A pause of dunning for a customer, until a moment; none where that is empty."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="dunning_pauses", db_index=False
    )
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["customer", "-id"], name="billing_dunningpause_newest")]

    def __str__(self) -> str:
        return self.reason


class OverdueInvoice(Invoice):
    """An open invoice that is past its due date, as the back office lists them."""

    class Meta:
        proxy = True
        verbose_name = "overdue invoice"
