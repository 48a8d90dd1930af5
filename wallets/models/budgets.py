"""Budgets: what a part of a customer's use may take of its credits, and what it has taken.

Guarantees, held by the database: a code names one budget of a customer that has not ended, nothing
that was used or is held is below zero, and a value has one counter for a window.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from aforo import actors
from aforo.ids import new_id
from ledger.models import Book
from pricing.models import Metric


class BudgetWindow(models.TextChoices):
    """How long a budget counts before it begins anew, in the customer's time zone."""

    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    CYCLE = "CYCLE"
    TOTAL = "TOTAL"


class Budget(models.Model):
    """A limit of one customer: which use it is for, in money or units, per window.

    What it is for never changes; one that has ended stays with its counters, which holds give back
    to.
    """

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="budgets", db_index=False)
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    match = models.JSONField(help_text="Attributes by name, each a value or *, all of which match.")
    per = models.CharField(
        max_length=40, blank=True, help_text="The attribute of which each value has the limit."
    )
    currency = models.CharField(max_length=10, blank=True)
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        db_constraint=False, db_index=False,
    )  # fmt: skip
    limit = models.DecimalField(max_digits=38, decimal_places=12)
    window = models.CharField(max_length=5, choices=BudgetWindow.choices)
    hard = models.BooleanField(
        default=True, help_text="Off: it counts and alerts, and refuses none."
    )
    max_per_call = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="The most a call may take.",
    )
    alert_at = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        help_text="Percent of the limit.",
    )
    active = models.BooleanField(default=True, help_text="Off: it neither counts nor refuses.")
    timezone = models.CharField(
        max_length=50, help_text="The customer's; counts from the next window."
    )
    # How many values have a counter in the window that ends then.
    live_values = models.PositiveIntegerField(default=0)
    live_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(help_text="In the customer's time.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "code"], condition=Q(ended_at=None), name="wallets_budget_code"
            ),
            models.CheckConstraint(
                condition=Q(currency__gt="", metric=None) | Q(currency="", metric__isnull=False),
                name="wallets_budget_money_or_units",
            ),
            models.CheckConstraint(
                condition=Q(limit__gte=0) & (Q(max_per_call=None) | Q(max_per_call__gte=0)),
                name="wallets_budget_limit",
            ),
            models.CheckConstraint(condition=~Q(match={}), name="wallets_budget_matches"),
        ]

    def __str__(self) -> str:
        return self.code


class BudgetCounter(models.Model):
    """What a budget has counted of one value in one window: used, and held by reservations.

    A cache, changed under the book's lock with the entries whose documents name it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    budget = models.ForeignKey(
        Budget, on_delete=models.PROTECT, related_name="counters", db_index=False
    )
    value = models.CharField(max_length=100, blank=True, help_text="Empty where one total counts.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    used = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    held = models.DecimalField(max_digits=38, decimal_places=12, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "value", "ends_at", "starts_at"],
                name="wallets_budgetcounter_window",
            ),
            models.CheckConstraint(
                condition=Q(used__gte=0, held__gte=0), name="wallets_budgetcounter_counted"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="wallets_budgetcounter_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.value} from {self.starts_at:%Y-%m-%d %H:%M}"


class BudgetChange(models.Model):
    """Who made, changed or ended a budget, and its terms from then on; append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="changes")
    terms = models.JSONField()
    sequence = models.BigIntegerField(
        default=0, db_default=0, help_text="The last entry of the book before it."
    )
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "change of a budget"
        verbose_name_plural = "changes of budgets"

    def __str__(self) -> str:
        return f"{self.actor_kind}:{self.actor_id}"


class BudgetDelta(models.Model):
    """Metered usage that counts in a budget of units, appended as it comes in; the sweep folds it
    into its counter under the book's lock.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    budget = models.ForeignKey(
        Budget, on_delete=models.PROTECT, related_name="deltas", db_constraint=False, db_index=False
    )
    value = models.CharField(max_length=100, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    folded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["budget", "ends_at"], name="wallets_budgetdelta_window"),
            models.Index(
                fields=["budget"], condition=Q(folded_at=None), name="wallets_budgetdelta_pending"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="wallets_budgetdelta_quantity")
        ]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f}"
