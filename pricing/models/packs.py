"""Packs: so many credits of a unit for a price, as they are offered."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from pricing.models.credit_units import CreditUnit


class Pack(models.Model):
    """One version of a pack, which never changes but for its end: a change is a new version."""

    livemode = models.BooleanField()
    code = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=200)
    unit = models.ForeignKey(CreditUnit, on_delete=models.PROTECT, related_name="packs")
    quantity = models.DecimalField(max_digits=38, decimal_places=12, help_text="Credits bought.")
    bonus_quantity = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Credits that come with them, of the kind BONUS.",
    )
    prices = models.JSONField(help_text='What it costs, by currency: {"USD": "10.00"}.')
    expires_after_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Counted from the payment; empty: its credits stay."
    )
    available_from = models.DateTimeField(null=True, blank=True)
    available_until = models.DateTimeField(null=True, blank=True)
    max_per_customer = models.PositiveIntegerField(
        null=True, blank=True, help_text="How often a customer may buy it, all versions together."
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "code", "version"], name="pricing_pack_version"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0)
                & (Q(bonus_quantity=None) | Q(bonus_quantity__gt=0))
                & (Q(expires_after_days=None) | Q(expires_after_days__gt=0))
                & (Q(max_per_customer=None) | Q(max_per_customer__gt=0)),
                name="pricing_pack_amounts",
            ),
            models.CheckConstraint(
                condition=Q(available_from=None)
                | Q(available_until=None)
                | Q(available_until__gt=F("available_from")),
                name="pricing_pack_window",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"

    @property
    def costs(self) -> dict[str, Decimal]:
        """Return what it costs, by currency."""
        return {currency: Decimal(price) for currency, price in sorted(self.prices.items())}
