"""Alerts: at which figures of a wallet others are told, and what its days have spent.

Guarantees, held by the database: a threshold is of one wallet, and is there once.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ledger.models import Book
from wallets.models.wallets import UnitWallet, Wallet

_OF_ONE_WALLET = Q(wallet=None, unit_wallet__isnull=False) | Q(
    wallet__isnull=False, unit_wallet=None
)


class AlertUnit(models.TextChoices):
    """What a threshold is measured in."""

    AMOUNT = "AMOUNT", "Amount left"
    PERCENT = "PERCENT", "Percent left"
    RUNWAY_DAYS = "RUNWAY_DAYS", "Days left at the pace of the last week"
    SPENT_PER_DAY = "SPENT_PER_DAY", "Spent in a day (UTC)"
    SPENT_PER_MONTH = "SPENT_PER_MONTH", "Spent in a month (UTC)"
    EXPIRING_DAYS = "EXPIRING_DAYS", "Days before credits expire"


class AlertThreshold(models.Model):
    """A figure of a wallet at which others are told, once when it is reached and once when it has
    recovered.
    """

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="alert_thresholds")
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, blank=True, related_name="alert_thresholds",
        db_index=False,
    )  # fmt: skip
    unit_wallet = models.ForeignKey(
        UnitWallet, on_delete=models.PROTECT, null=True, blank=True,
        related_name="alert_thresholds", db_index=False,
    )  # fmt: skip
    unit = models.CharField(max_length=15, choices=AlertUnit.choices)
    at = models.DecimalField(max_digits=38, decimal_places=12)
    mail = models.BooleanField(
        default=True, help_text="The customer is written to, besides the webhook."
    )
    crossed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Empty while it is not reached."
    )

    class Meta:
        verbose_name = "alert"
        constraints = [
            models.CheckConstraint(condition=_OF_ONE_WALLET, name="wallets_alert_of_one_wallet"),
            models.CheckConstraint(condition=Q(at__gte=0), name="wallets_alert_at"),
            models.UniqueConstraint(
                fields=["wallet", "unit", "at"], name="wallets_alert_once_of_money"
            ),
            models.UniqueConstraint(
                fields=["unit_wallet", "unit", "at"], name="wallets_alert_once_of_units"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit} {self.at.normalize():f}"

    @property
    def of(self) -> Wallet | UnitWallet:
        """Return its wallet, of money or units."""
        wallet = self.wallet or self.unit_wallet
        assert wallet is not None, "the database holds it"
        return wallet


class SpentDay(models.Model):
    """What was burned of a wallet on a day (UTC), less what came back on it; a cache of its
    movements up to an entry of the book, kept for wallets whose alerts need it.
    """

    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    unit_wallet = models.ForeignKey(
        UnitWallet, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    day = models.DateField()
    spent = models.DecimalField(max_digits=38, decimal_places=12)
    through = models.BigIntegerField(help_text="The last entry of the book that is in it.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=_OF_ONE_WALLET, name="wallets_spentday_of_one_wallet"),
            models.UniqueConstraint(fields=["wallet", "day"], name="wallets_spentday_of_money"),
            models.UniqueConstraint(
                fields=["unit_wallet", "day"], name="wallets_spentday_of_units"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.spent.normalize():f}"
