"""Credit units: what a company calls its own credits, and what one costs in each currency."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q

MOST_DECIMALS = 6
UNIT_CODE = r"^[A-Z]{4,10}$"


class CreditUnit(models.Model):
    """A unit that stands wherever a wallet's currency does (docs/decisions.md#d640).

    Its code is longer than those of ISO 4217, so no currency is ever taken for it. An inactive one
    is not sold or granted any more; the credits there are live on.
    """

    livemode = models.BooleanField()
    code = models.CharField(
        max_length=10, help_text="4 to 10 capitals; three are an ISO 4217 currency."
    )
    name = models.CharField(max_length=200)
    decimals = models.PositiveSmallIntegerField(
        default=2, db_default=2, help_text="Of the credits that are sold, 0 to 6; never changes."
    )
    rates = models.JSONField(
        default=dict,
        blank=True,
        help_text='What one credit costs, by currency: {"USD": "0.01"}.',
    )
    tax_at_sale = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Tax comes on top when credits are sold; else it is inside as they are used.",
    )
    tax_class = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="Whose tax rates they take."
    )
    active = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "code"], name="pricing_creditunit_code"),
            models.CheckConstraint(
                condition=Q(code__regex=UNIT_CODE), name="pricing_creditunit_capitals"
            ),
            models.CheckConstraint(
                condition=Q(decimals__lte=MOST_DECIMALS), name="pricing_creditunit_decimals"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} ({'live' if self.livemode else 'sandbox'})"

    @property
    def prices(self) -> dict[str, Decimal]:
        """Return what one credit costs, by currency."""
        return {currency: Decimal(rate) for currency, rate in sorted(self.rates.items())}
