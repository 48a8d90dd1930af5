"""A customer's wallets: one a currency or credit unit, one a metric for units."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value

from aforo import money
from ledger.models import Book
from pricing.models import BillingMode, CreditKind, Metric, OverCapture, default_burn_order


class SpendState(models.TextChoices):
    """Whether new debits are taken; captures of existing holds always are."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    PAUSED = "PAUSED"


class SpendRuleFields(models.Model):
    """How a wallet may be spent; written by billing under the book's lock, from the oldest live
    subscription, so that the engine need not know any subscription.
    """

    billing_mode = models.CharField(
        max_length=10, choices=BillingMode.choices, default=BillingMode.PREPAID
    )
    burn_order = ArrayField(
        models.CharField(max_length=5, choices=CreditKind.choices), default=default_burn_order
    )
    overage_limit = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    own_overage_limit = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="The customer's own; it goes before the offering's.",
    )
    over_capture = models.CharField(
        max_length=9,
        choices=OverCapture.choices,
        default=OverCapture.REFUSE,
        db_default=OverCapture.REFUSE,
    )
    grace_seconds = models.PositiveIntegerField(default=0, db_default=0)
    debt_limit = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Most that may be owed for captures beyond the credits; empty for none.",
    )
    own_debt_limit = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="The customer's own; it goes before the offering's.",
    )
    low_balance_threshold = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, blank=True
    )
    spend_state = models.CharField(
        max_length=10, choices=SpendState.choices, default=SpendState.ACTIVE
    )
    renews_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the first of the customer's cycles ends: what is asked later waits for the "
        "renewal. Kept by the database with the subscriptions.",
    )
    cycle_starts_at = models.DateTimeField(
        null=True, blank=True, help_text="The overage limit counts from here."
    )
    cycle_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="Budgets of a cycle count until here."
    )
    tax_rates = models.JSONField(
        default=list,
        db_default=Value([], models.JSONField()),
        blank=True,
        help_text="The customer's tax rates, each from an instant on, for what it spends directly. "
        "Kept by the database with the customer and the rates.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Wallet(SpendRuleFields):
    """A customer's money credits in one currency, or its credits of one credit unit, whose code
    then stands for the currency (docs/decisions.md#d640).
    """

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="wallets", db_index=False)
    currency = models.CharField(max_length=10)
    preferred_at = models.DateTimeField(
        null=True, blank=True, help_text="Set on the one that a debit without currency means."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "currency"], name="wallets_wallet_currency"),
            models.UniqueConstraint(
                fields=["book"],
                condition=Q(preferred_at__isnull=False),
                name="wallets_wallet_one_preferred",
            ),
            models.CheckConstraint(
                condition=(Q(overage_limit=None) | Q(overage_limit__gte=0))
                & (Q(own_overage_limit=None) | Q(own_overage_limit__gte=0)),
                name="wallets_wallet_overage_limit",
            ),
            models.CheckConstraint(
                condition=(Q(debt_limit=None) | Q(debt_limit__gte=0))
                & (Q(own_debt_limit=None) | Q(own_debt_limit__gte=0)),
                name="wallets_wallet_debt_limit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book.key} {self.currency}"

    @property
    def credit_unit(self) -> str:
        """Return the credit unit that it is in; empty for money."""
        return "" if self.currency in money.EXPONENTS else self.currency

    @property
    def unit(self) -> dict[str, str]:
        """Return the currency, as answers show it."""
        return {"currency": self.currency}


class UnitWallet(SpendRuleFields):
    """A customer's unit credits for one metric."""

    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="unit_wallets", db_index=False
    )
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, db_constraint=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "metric"], name="wallets_unitwallet_metric"),
        ]

    def __str__(self) -> str:
        return f"{self.book.key} {self.metric.code}"

    @property
    def unit(self) -> dict[str, str]:
        """Return the metric, as answers show it."""
        return {"metric": self.metric.code}
