"""Backtests: a version of a plan priced against settled cycles, compared with what was paid."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from billing.models.settlements import RunStatus, Settlement
from ledger.models import Book
from pricing.models import Offering, RatePlanVersion


class Backtest(models.Model):
    """The question what settled cycles would have cost on a version, and its answer.

    Guarantee: it writes nothing but its own rows; books, credits and invoices are only read.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    version = models.ForeignKey(RatePlanVersion, on_delete=models.CASCADE, related_name="+")
    offering = models.ForeignKey(
        Offering, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    customers = ArrayField(
        models.CharField(max_length=64),
        default=list,
        blank=True,
        help_text="Empty: all of the offering, or else of the plan.",
    )
    starts_at = models.DateTimeField(help_text="Cycles that end after this,")
    ends_at = models.DateTimeField(help_text="and no later than this.")
    with_credits = models.BooleanField(
        default=False, help_text="Let money credits pay too, as they stood then."
    )
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    due = models.PositiveIntegerField(default=0, help_text="Customers in question.")
    done = models.PositiveIntegerField(default=0, help_text="Customers priced so far.")
    summary = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="billing_backtest_window"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.starts_at:%Y-%m-%d} to {self.ends_at:%Y-%m-%d}"


class BacktestCycle(models.Model):
    """One settled cycle: the billed total, and the total that the version would have billed.

    Both are totals before money credits: subtotal less discount plus tax.
    """

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="cycles")
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # No constraint: the list of everybody would wait for the one whose book is locked.
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    ends_at = models.DateTimeField()
    paid = models.DecimalField(max_digits=38, decimal_places=12)
    priced = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, help_text="None where it could not be priced."
    )
    figures = models.JSONField(help_text="Both sides: subtotal, discount, tax, who pays.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["backtest", "settlement"], name="billing_backtestcycle_once"
            ),
        ]
        indexes = [models.Index(fields=["backtest", "book"], name="billing_backtestcycle_book")]

    def __str__(self) -> str:
        return f"{self.settlement_id}"
