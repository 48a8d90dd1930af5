"""Progress of campaigns: over all customers, and over metered usage."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from billing.models.settlements import RunStatus
from pricing.models import Campaign


class CampaignRun(models.Model):
    """A run of an EVERYBODY campaign over the matching customers, in primary-key order.

    Guarantees: a campaign has one unfinished run; `last_book` and the counters move together with
    the grants of a chunk, in one transaction, so a killed run continues where it stopped.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="runs")
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    granted = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    last_book = models.BigIntegerField(default=0, help_text="Customers up to this one are done.")
    passed_over = ArrayField(
        models.BigIntegerField(),
        default=list,
        blank=True,
        help_text="Books that failed or were locked: counted as skipped, tried again at the end.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign"],
                condition=~Q(status="DONE"),
                name="billing_campaignrun_one_open",
            ),
            models.CheckConstraint(
                condition=Q(done=F("granted") + F("skipped")), name="billing_campaignrun_done"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class MilestoneWatch(models.Model):
    """The moment up to which the usage of a MILESTONE campaign has been checked."""

    campaign = models.OneToOneField(
        Campaign, on_delete=models.PROTECT, primary_key=True, related_name="watch"
    )
    checked_through = models.DateTimeField()
    passed_over = ArrayField(
        models.BigIntegerField(),
        default=list,
        blank=True,
        help_text="Books that failed or were locked: they are looked at again.",
    )

    class Meta:
        verbose_name_plural = "milestone watches"

    def __str__(self) -> str:
        return f"{self.checked_through:%Y-%m-%d %H:%M}"
