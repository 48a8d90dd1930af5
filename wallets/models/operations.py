"""Operations with their idempotency keys, and debits."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo.access.models import KeptAnswer
from aforo.ids import new_id
from ledger.models import Book, Entry
from wallets.models.wallets import UnitWallet, Wallet


class Operation(KeptAnswer):
    """A request that moved credits, by its idempotency key, and the answer it got.

    Guarantees: (book, key) is unique for ever, across all operations; the row is written in the
    transaction of the effect, and its body is replayed verbatim. A refusal leaves no row.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="operations", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "key"], name="wallets_operation_key")
        ]


class BurnStrategy(models.TextChoices):
    """Which lots may pay: the plan's burn order, or one kind alone."""

    WATERFALL = "WATERFALL"
    PROMO = "PROMO"
    BONUS = "BONUS"
    CASH = "CASH"


class Debit(models.Model):
    """An accepted debit: `quantity` was asked for, `overage` of it goes to the invoice.

    Of the overage, `overage_billed` went to a settlement and `overage_reversed` was taken back;
    what is left waits for the next settlement. A capture may also leave a `debt`, which the next
    credits pay, or an `uncovered` part, which nobody does.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="debits")
    operation = models.OneToOneField(
        Operation, on_delete=models.PROTECT, null=True, related_name="debit", db_constraint=False
    )
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="+")
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, related_name="debits", db_index=False
    )
    unit_wallet = models.ForeignKey(
        UnitWallet, on_delete=models.PROTECT, null=True, related_name="debits", db_index=False
    )
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    overage = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    overage_billed = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        help_text="How much of the overage a settlement has taken.",
    )
    debt = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        db_default=0,
        help_text="How much the next credits pay.",
    )
    uncovered = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, db_default=0, help_text="How much nobody pays."
    )
    strategy = models.CharField(max_length=10, choices=BurnStrategy.choices)
    reservation = models.UUIDField(
        null=True, blank=True, help_text="The reservation that this captures."
    )
    attributes = models.JSONField(
        null=True, blank=True, help_text="A copy of its entry's, to filter by."
    )
    reversed = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="How much of it was taken back."
    )
    overage_reversed = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    debt_reversed = models.DecimalField(max_digits=38, decimal_places=12, default=0, db_default=0)
    occurred_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["book"],
                condition=Q(overage__gt=F("overage_billed") + F("overage_reversed")),
                name="wallets_debit_unbilled",
            ),
            models.Index(
                fields=["occurred_at"],
                condition=Q(uncovered__gt=0) | Q(debt__gt=0),
                name="wallets_debit_uncovered",
            ),
            models.Index(
                fields=["book"], condition=Q(uncovered__gt=0), name="wallets_debit_lost_of_book"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(wallet__isnull=False, unit_wallet=None)
                | Q(wallet=None, unit_wallet__isnull=False),
                name="wallets_debit_one_wallet",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, overage__gte=0, overage__lte=F("quantity")),
                name="wallets_debit_overage",
            ),
            models.CheckConstraint(
                condition=Q(
                    overage_billed__gte=0,
                    overage_reversed__gte=0,
                    overage__gte=F("overage_billed") + F("overage_reversed"),
                ),
                name="wallets_debit_overage_billed",
            ),
            models.CheckConstraint(
                condition=Q(
                    debt__gte=F("debt_reversed"),
                    debt_reversed__gte=0,
                    uncovered__gte=0,
                    quantity__gte=F("overage") + F("debt") + F("uncovered"),
                )
                & (Q(debt=0, uncovered=0) | Q(wallet__isnull=False, reservation__isnull=False)),
                name="wallets_debit_over_captured",
            ),
            models.CheckConstraint(
                condition=Q(
                    reversed__gte=F("overage_reversed"),
                    reversed__lte=F("quantity"),
                ),
                name="wallets_debit_reversed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f}"

    @property
    def open_overage(self) -> Decimal:
        """Return what waits for the next settlement."""
        return self.overage - self.overage_billed - self.overage_reversed
