"""Coupons."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class CouponType(models.TextChoices):
    PERCENT = "PERCENT"
    FIXED = "FIXED"


class CouponDuration(models.TextChoices):
    """For how many paid cycles a coupon takes something off."""

    ONCE = "ONCE"
    REPEATING = "REPEATING"
    FOREVER = "FOREVER"


class Coupon(models.Model):
    """A discount that a subscription takes with it; redeemed at most `max_redemptions` times.

    It counts in paid periods that begin between its dates, in as many as it takes something off;
    of a fixed amount, what a period did not take is taken in the next ones where `carries_rest`.
    """

    livemode = models.BooleanField()
    code = models.CharField(max_length=64)
    type = models.CharField(max_length=10, choices=CouponType.choices)
    value = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3, blank=True)
    duration = models.CharField(max_length=10, choices=CouponDuration.choices)
    cycles = models.PositiveIntegerField(null=True, blank=True)
    max_redemptions = models.PositiveIntegerField(null=True, blank=True)
    redemptions = models.PositiveIntegerField(default=0)
    starts_at = models.DateTimeField(
        null=True, blank=True, help_text="It counts in periods that begin from then on."
    )
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="It counts in periods that begin before."
    )
    charges = ArrayField(
        models.CharField(max_length=64),
        default=list,
        db_default=[],
        blank=True,
        help_text="Codes of the charges that it is for; none: the whole subtotal.",
    )
    carries_rest = models.BooleanField(
        default=False,
        db_default=False,
        help_text="What a period leaves of a fixed amount is taken in the next ones.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at=None)
                | Q(ends_at=None)
                | Q(ends_at__gt=models.F("starts_at")),
                name="pricing_coupon_dates",
            ),
            models.CheckConstraint(
                condition=Q(carries_rest=False) | Q(type="FIXED"), name="pricing_coupon_rest"
            ),
            models.UniqueConstraint(fields=["livemode", "code"], name="pricing_coupon_code"),
            models.CheckConstraint(
                condition=Q(type="PERCENT", value__gt=0, value__lte=100, currency="")
                | (Q(type="FIXED", value__gt=0) & ~Q(currency="")),
                name="pricing_coupon_value",
            ),
            models.CheckConstraint(
                condition=Q(duration="REPEATING", cycles__gt=0)
                | (~Q(duration="REPEATING") & Q(cycles=None)),
                name="pricing_coupon_cycles",
            ),
            models.CheckConstraint(
                condition=Q(max_redemptions=None) | Q(redemptions__lte=models.F("max_redemptions")),
                name="pricing_coupon_redemptions",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def periods(self) -> int | None:
        """Return in how many paid periods it takes something off; None where without end."""
        return 1 if self.duration == CouponDuration.ONCE else self.cycles

    def is_in_force(self, at: datetime) -> bool:
        """Return whether it counts in a period that begins at a moment."""
        return (self.starts_at is None or self.starts_at <= at) and not self.is_over(at)

    def is_over(self, at: datetime) -> bool:
        """Return whether it counts in no period that begins from a moment on."""
        return self.ends_at is not None and self.ends_at <= at
