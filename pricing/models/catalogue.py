"""The catalogue: metrics, rate plans and their versions, charges, grants, offerings.

Guarantees, held by the database: a published version, its charges and its grants never change;
a plan has at most one draft; version numbers have no repeat.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from aforo.periods import Interval


class Aggregation(models.TextChoices):
    COUNT = "COUNT"
    SUM = "SUM"
    MAX = "MAX"
    UNIQUE = "UNIQUE"
    LATEST = "LATEST"
    AVERAGE = "AVERAGE"
    P95 = "P95"


class Metric(models.Model):
    """What is measured, and how its events add up over a cycle."""

    livemode = models.BooleanField()
    code = models.CharField(max_length=255)
    name = models.CharField(max_length=200)
    aggregation = models.CharField(max_length=10, choices=Aggregation.choices)
    property = models.CharField(
        max_length=100, blank=True, help_text="The event property that is aggregated."
    )
    filters = models.JSONField(default=list, blank=True, help_text="[{property, op, value}]")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "code"], name="pricing_metric_code")
        ]

    def __str__(self) -> str:
        return self.code


class CreditKind(models.TextChoices):
    """What a credit is: granted, granted with a purchase, or bought."""

    PROMO = "PROMO"
    BONUS = "BONUS"
    CASH = "CASH"


def default_burn_order() -> list[str]:
    """Promo, then bonus, then cash."""
    return [CreditKind.PROMO, CreditKind.BONUS, CreditKind.CASH]


class RatePlan(models.Model):
    """A price list in one currency; its versions have the prices."""

    livemode = models.BooleanField()
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "code"], name="pricing_rateplan_code")
        ]

    def __str__(self) -> str:
        return self.code


class VersionStatus(models.TextChoices):
    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    RETIRED = "RETIRED"


class LateUsagePolicy(models.TextChoices):
    """What becomes of usage that arrives after its cycle was settled."""

    RERATE = "RERATE", "Priced by the terms of its own cycle"
    NEXT_CYCLE = "NEXT_CYCLE", "Billed as usage of the next cycle"


class RatePlanVersion(models.Model):
    """One version of a rate plan: edited while DRAFT, never changed once PUBLISHED."""

    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(
        max_length=10, choices=VersionStatus.choices, default=VersionStatus.DRAFT
    )
    burn_order = ArrayField(
        models.CharField(max_length=5, choices=CreditKind.choices), default=default_burn_order
    )
    minimum_spend = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    maximum_spend = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    caps = models.JSONField(
        default=dict,
        blank=True,
        help_text='Hard cap per metric and cycle: {"metric": {"quantity": "1000", "beyond": '
        '"PRICED"}}. With "REFUSED", usage beyond it is not billed.',
    )
    grace_hours = models.PositiveIntegerField(
        default=0, help_text="How long after its end a cycle waits for late events."
    )
    draft_hours = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="How long an invoice stays a draft, to be looked at, before it has its number.",
    )
    lapse_grace_hours = models.PositiveIntegerField(
        default=0,
        help_text="How long after a credit's expiry usage of its lifetime may still arrive.",
    )
    late_usage = models.CharField(
        max_length=10,
        choices=LateUsagePolicy.choices,
        default=LateUsagePolicy.RERATE,
        help_text="What becomes of usage that arrives after its cycle was settled.",
    )
    tax_class = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="Whose tax rates it takes."
    )
    tax_inclusive = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Its prices, fees, minimum, maximum and fixed coupons contain the tax.",
    )
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="pricing_version_number"),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(status="DRAFT"), name="pricing_version_one_draft"
            ),
            models.CheckConstraint(
                condition=Q(status="DRAFT", published_at=None)
                | (~Q(status="DRAFT") & Q(published_at__isnull=False)),
                name="pricing_version_published",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan.code} v{self.number}"


class PriceModel(models.TextChoices):
    """The six pricing models."""

    PER_UNIT = "PER_UNIT"
    FLAT_RATE = "FLAT_RATE"
    VOLUME = "VOLUME"
    GRADUATED = "GRADUATED"
    INCLUDED_QUOTA = "INCLUDED_QUOTA"
    PERCENTAGE = "PERCENTAGE"


class ChargeTiming(models.TextChoices):
    ARREARS = "ARREARS"
    ADVANCE = "ADVANCE"


class Charge(models.Model):
    """One price of a version: a model, its terms, and the metrics that feed it."""

    version = models.ForeignKey(RatePlanVersion, on_delete=models.CASCADE, related_name="charges")
    code = models.CharField(max_length=64)
    model = models.CharField(max_length=20, choices=PriceModel.choices)
    description = models.CharField(max_length=200, blank=True)
    terms = models.JSONField(help_text="See pricing.terms; decimals are strings.")
    timing = models.CharField(
        max_length=10, choices=ChargeTiming.choices, default=ChargeTiming.ARREARS
    )
    position = models.PositiveSmallIntegerField(default=0)
    metrics: models.ManyToManyField[Metric, models.Model] = models.ManyToManyField(
        Metric, through="ChargeMetric", related_name="charges"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "code"], name="pricing_charge_code")
        ]

    def __str__(self) -> str:
        return self.code


class ChargeMetric(models.Model):
    """A metric that feeds a charge: its aggregate counts `weight` times."""

    charge = models.ForeignKey(Charge, on_delete=models.CASCADE, related_name="feeds")
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT, related_name="feeds")
    weight = models.DecimalField(max_digits=28, decimal_places=12, default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["charge", "metric"], name="pricing_chargemetric_once"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="pricing_chargemetric_weight"),
        ]

    def __str__(self) -> str:
        return f"{self.metric_id} x {self.weight}"


class GrantRecurrence(models.TextChoices):
    ONCE = "ONCE"
    EVERY_CYCLE = "EVERY_CYCLE"


class GrantTemplate(models.Model):
    """Credits that a plan gives: money or units, once or every cycle."""

    version = models.ForeignKey(RatePlanVersion, on_delete=models.CASCADE, related_name="grants")
    code = models.CharField(max_length=64)
    kind = models.CharField(max_length=5, choices=CreditKind.choices)
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    quantity = models.DecimalField(
        max_digits=38, decimal_places=12, help_text="Money without a metric, else units."
    )
    recurrence = models.CharField(max_length=15, choices=GrantRecurrence.choices)
    expires_after_days = models.PositiveIntegerField(null=True, blank=True)
    expires_at_cycle_end = models.BooleanField(default=False)
    priority = models.PositiveSmallIntegerField(default=100)
    rollover = models.JSONField(null=True, blank=True, help_text="{mode, percent, ...}")
    ssp_unit_price = models.DecimalField(
        max_digits=28,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Stand-alone selling price of one unit, to allocate the fee over a bundle.",
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "code"], name="pricing_grant_code"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="pricing_grant_quantity"),
            models.CheckConstraint(
                condition=Q(expires_after_days=None) | Q(expires_at_cycle_end=False),
                name="pricing_grant_one_expiry",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class BillingMode(models.TextChoices):
    """What happens to the part that no credit covers."""

    PREPAID = "PREPAID", "Prepaid: refused"
    HYBRID = "HYBRID", "Hybrid: credits first, the rest to the invoice"
    POSTPAID = "POSTPAID", "Postpaid: to the invoice, no cash credits"


class OverCapture(models.TextChoices):
    """What happens to the part of a capture that neither the hold nor free credits cover."""

    REFUSE = "REFUSE", "Refuse: the capture is refused"
    AVAILABLE = "AVAILABLE", "Available: takes what is there, the rest stays uncovered"
    DEBT = "DEBT", "Debt: the next credits pay the rest"


# The longest time after its end in which a reservation may still be captured, in seconds.
MAX_GRACE = 24 * 3600


class OfferingStatus(models.TextChoices):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class Offering(models.Model):
    """A rate plan as it is sold: in a billing mode, at an interval."""

    livemode = models.BooleanField()
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="offerings")
    billing_mode = models.CharField(max_length=10, choices=BillingMode.choices)
    interval = models.CharField(max_length=5, choices=[(i.value, i.value) for i in Interval])
    interval_count = models.PositiveSmallIntegerField(default=1)
    trial_days = models.PositiveSmallIntegerField(default=0)
    overage_limit = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Most overage a customer may run up in a cycle.",
    )
    over_capture = models.CharField(
        max_length=9,
        choices=OverCapture.choices,
        default=OverCapture.REFUSE,
        db_default=OverCapture.REFUSE,
        help_text="What reservations of money do with a capture that nothing covers, unless they "
        "name it themselves.",
    )
    grace_seconds = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="How long after its end a reservation may be captured, unless it names it.",
    )
    debt_limit = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Most that a customer may owe for captures beyond its credits; empty for none.",
    )
    several_per_customer = models.BooleanField(
        default=False, help_text="A customer may have several live subscriptions of it."
    )
    gives_again = models.BooleanField(
        default=False,
        help_text="Trial and once-only grants come with each subscription, not only the first.",
    )
    status = models.CharField(
        max_length=10, choices=OfferingStatus.choices, default=OfferingStatus.ACTIVE
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "code"], name="pricing_offering_code"),
            models.CheckConstraint(
                condition=Q(interval_count__gte=1), name="pricing_offering_interval"
            ),
            models.CheckConstraint(
                condition=Q(grace_seconds__lte=MAX_GRACE)
                & (Q(debt_limit=None) | Q(debt_limit__gte=0))
                & (Q(billing_mode="PREPAID") | ~Q(over_capture="DEBT")),
                name="pricing_offering_over_capture",
            ),
        ]

    def __str__(self) -> str:
        return self.code
