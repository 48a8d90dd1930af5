"""Tax rates, and certificates of customers that are exempt.

Guarantees: what a rate says never changes and no rate is deleted; it is ended, from a moment on
that is still to come (docs/decisions.md#d440).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.models.customers import Customer


class TaxRate(models.Model):
    """A percentage for a jurisdiction, from a date on; the latest one that is in force counts.

    One of a region replaces its country's, or adds to it; one of a product class goes before those
    of all.
    """

    livemode = models.BooleanField()
    name = models.CharField(max_length=100)
    country = models.CharField(max_length=2)
    region = models.CharField(max_length=50, blank=True)
    product_class = models.CharField(
        max_length=40, blank=True, db_default="", help_text="Of plans; empty for all."
    )
    percent = models.DecimalField(max_digits=9, decimal_places=6)
    adds_to_country = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Levied beside the country's rate, as QST is beside GST; else it replaces it.",
    )
    reverse_charge = models.BooleanField(default=False)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # One that was ended where it begins has never been in force, and is in nobody's way.
            models.UniqueConstraint(
                fields=["livemode", "country", "region", "product_class", "valid_from"],
                condition=Q(valid_until=None) | Q(valid_until__gt=F("valid_from")),
                name="billing_taxrate_one_from",
            ),
            models.CheckConstraint(
                condition=Q(percent__gte=0, percent__lte=100), name="billing_taxrate_percent"
            ),
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gte=F("valid_from")),
                name="billing_taxrate_span",
            ),
            models.CheckConstraint(
                condition=Q(adds_to_country=False) | ~Q(region=""), name="billing_taxrate_adds"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TaxExemption(models.Model):
    """A certificate by which a customer owes no tax in a country, or in one of its regions, from a
    date to another.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="exemptions")
    number = models.CharField(max_length=100)
    country = models.CharField(max_length=2)
    region = models.CharField(
        max_length=50, blank=True, help_text="Empty: the rates of the country and all its regions."
    )
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "exemption certificate"
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "country", "region", "number"], name="billing_exemption_once"
            ),
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gte=F("valid_from")),
                name="billing_exemption_span",
            ),
        ]

    def __str__(self) -> str:
        return self.number
