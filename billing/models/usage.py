"""Metered usage events, append-only, deduplicated for ever by (book, key)."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from billing.models.customers import Subscription
from ledger.models import Book
from pricing.models import Metric


class UsageEvent(models.Model):
    """One metered event.

    `counted_at` is the instant at which it counts toward a cycle: `occurred_at`, or for usage that
    arrived after its cycle was sealed, the first instant of the cycle open then. It is set once,
    under the book's lock, so each event belongs to exactly one cycle. Reserved usage that is
    captured while no cycle runs is sold by itself, and counts toward none.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Added under a lock on the book, which cannot go while it has a customer.
    book = models.ForeignKey(
        Book,
        on_delete=models.PROTECT,
        related_name="usage_events",
        db_constraint=False,
        db_index=False,
    )
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    key = models.CharField(max_length=255)
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    occurred_at = models.DateTimeField()
    counted_at = models.DateTimeField(
        null=True, help_text="None for usage that was sold by itself, outside every cycle."
    )
    received_at = models.DateTimeField()
    properties = models.JSONField(default=dict)
    behind = models.BigIntegerField(
        null=True, help_text="The rollup that was there when it came, if it counts before its end."
    )

    class Meta:
        indexes = [
            models.Index(fields=["book", "metric", "counted_at"], name="billing_usage_cycle"),
            models.Index(fields=["book", "received_at"], name="billing_usage_received"),
            models.Index(
                fields=["book", "metric", "behind"],
                condition=Q(behind__isnull=False),
                name="billing_usage_behind",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["book", "key"], name="billing_usage_key"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="billing_usage_quantity"),
            models.CheckConstraint(
                condition=Q(counted_at__gte=F("occurred_at")), name="billing_usage_counted"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_late(self) -> bool:
        """Return whether it arrived after its cycle was sealed."""
        return self.counted_at is not None and self.counted_at > self.occurred_at


class UsageRollup(models.Model):
    """The sum of the events of an open cycle that counted before a moment, so that they are not
    added up again under the lock.

    Guarantee: it contains the events that count in [starts_at, through) except those that are
    `behind` it or a later one; whatever comes after its row was written, under the book's exclusive
    lock, is marked as behind, and the set never changes. Keys of one book grow in the order of
    time. It is a cache: without it the same figures are added up from the events. `deciding` is the
    event that MAX and LATEST found, `total` the sum of the other aggregations; null until counted.
    """

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="+", db_index=False)
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    starts_at = models.DateTimeField()
    through = models.DateTimeField()
    events = models.PositiveBigIntegerField(null=True)
    # As exact as a property of an event can be.
    total = models.DecimalField(max_digits=200, decimal_places=70, null=True)
    deciding = models.UUIDField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["book", "metric", "id"], name="billing_usagerollup_latest"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "metric"],
                condition=Q(events=None),
                name="billing_usagerollup_one_uncounted",
            ),
            models.CheckConstraint(
                condition=Q(through__gte=F("starts_at")), name="billing_usagerollup_span"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.events} events before {self.through:%Y-%m-%d %H:%M}"


class UnbilledReason(models.TextChoices):
    """The reason why an accepted event is never billed."""

    NO_SUBSCRIPTION = "no_subscription", "Nothing that the customer subscribed to charges it then."
    PAUSED = "paused", "The subscription was paused."
    TOO_OLD = "too_old", "It came too long after its cycle was settled."
    MISSING_PROPERTY = "missing_property", "It lacks the property that the metric reads."
    NOT_A_NUMBER = "not_a_number", "The property that the metric adds up is no number."


class UnbilledUsage(models.Model):
    """An event that will never be billed, as known when it arrived. Append-only."""

    event = models.OneToOneField(
        UsageEvent, on_delete=models.PROTECT, primary_key=True, related_name="unbilled"
    )
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    reason = models.CharField(max_length=20, choices=UnbilledReason.choices)
    noted_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "unbilled usage"
        indexes = [models.Index(fields=["book", "event"], name="billing_unbilled_book")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reason__in=UnbilledReason.values),
                name="billing_unbilledusage_reason",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.reason}"
