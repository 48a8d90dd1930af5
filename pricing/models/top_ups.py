"""On what terms credits are sold: bounds, lifetime, what is on account, and bonus slabs."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aforo import payable


class OnAccount(models.TextChoices):
    """What a top-up without a payment does (docs/accounting.md#e3 and #e4)."""

    HELD_BACK = "HELD_BACK", "Invoiced; the credits come when it is paid"
    AT_ONCE = "AT_ONCE", "Invoiced; the credits come at once"
    REFUSED = "REFUSED", "Refused"


class TopUpRule(models.Model):
    """On what terms credits of a currency are sold in a mode; without one there are no bounds."""

    livemode = models.BooleanField()
    currency = models.CharField(max_length=3)
    minimum = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    maximum = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    expires_after_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Counted from the payment; empty: bought credits stay."
    )
    on_account = models.CharField(
        max_length=10, choices=OnAccount.choices, default=OnAccount.HELD_BACK
    )
    tax_at_sale = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Tax comes on top when credits are sold; else it is inside as they are used.",
    )
    tax_class = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="Whose tax rates they take."
    )

    class Meta:
        verbose_name = "top-up rule"
        constraints = [
            models.UniqueConstraint(fields=["livemode", "currency"], name="pricing_topuprule_once"),
            models.CheckConstraint(
                condition=(Q(minimum=None) | Q(minimum__gt=0))
                & (Q(maximum=None) | Q(maximum__gt=0))
                & (Q(minimum=None) | Q(maximum=None) | Q(minimum__lte=models.F("maximum"))),
                name="pricing_topuprule_bounds",
            ),
            models.CheckConstraint(
                condition=payable.columns("minimum", "maximum"), name="pricing_topuprule_payable"
            ),
            models.CheckConstraint(
                condition=Q(expires_after_days=None) | Q(expires_after_days__gt=0),
                name="pricing_topuprule_expiry",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.currency} ({'live' if self.livemode else 'sandbox'})"


class BonusSlab(models.Model):
    """Pay `from_amount` or more, get `bonus` more; the highest slab that is reached counts."""

    rule = models.ForeignKey(TopUpRule, on_delete=models.CASCADE, related_name="slabs")
    from_amount = models.DecimalField(max_digits=38, decimal_places=12)
    bonus = models.DecimalField(max_digits=38, decimal_places=12)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule", "from_amount"], name="pricing_slab_once"),
            models.CheckConstraint(
                condition=Q(from_amount__gt=0, bonus__gt=0),
                name="pricing_slab_amounts",
                violation_error_message="Both are above zero.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_amount.normalize():f}: {self.bonus.normalize():f} more"
