"""Credit lots and the append-only movements that prove them.

Guarantees, held by the database:
- `remaining` and `held` are never negative, nothing is held that is not there, and a lot never
  holds more than was granted;
- what remains of the consideration (`carrying_remaining`) goes with what remains of the lot, to
  zero with the last unit;
- movements are never updated or deleted, and each is in the book of its entry and of its lot.
`verify_ledger` proves that lots equal the sums of their movements.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from aforo.money import ZERO
from ledger.models import Book, Entry
from pricing.models import CreditKind
from wallets.models.top_ups import TopUp
from wallets.models.wallets import UnitWallet, Wallet


class CreditSource(models.TextChoices):
    """Where a lot comes from."""

    PLAN = "PLAN"
    CAMPAIGN = "CAMPAIGN"
    TOP_UP = "TOP_UP"
    REFILL = "REFILL"
    MANUAL = "MANUAL"
    GOODWILL = "GOODWILL"
    REVERSAL = "REVERSAL"
    OPENING = "OPENING"


class CreditLot(models.Model):
    """One grant: so many credits of a kind, with the consideration they hold and their expiry.

    Quantities are money in a wallet's currency, credits of its `credit_unit`, or units of a unit
    wallet's metric. `carrying` is the part of the price paid that the lot holds, in `currency`,
    released in proportion as the lot is used (docs/accounting.md#m1): carrying_remaining =
    carrying x remaining / face, to 12 places.
    What a document has taxed (`taxed_at_sale`) pays net, and its use owes no tax again
    (docs/decisions.md#d44).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="lots", db_index=False)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, related_name="lots", db_index=False
    )
    unit_wallet = models.ForeignKey(
        UnitWallet, on_delete=models.PROTECT, null=True, related_name="lots", db_index=False
    )
    kind = models.CharField(max_length=5, choices=CreditKind.choices)
    source = models.CharField(max_length=10, choices=CreditSource.choices)
    cause = models.CharField(
        max_length=255, blank=True, help_text="What it was granted for; once per book."
    )
    # Of billing's subscription, without a key to it: wallets know nothing above them.
    subscription_id = models.UUIDField(
        null=True, blank=True, help_text="The subscription whose plan granted it."
    )
    grant_code = models.CharField(
        max_length=64, blank=True, help_text="The grant of that plan by its code."
    )
    grant_period = models.PositiveIntegerField(
        null=True, blank=True, help_text="The period granted for; none where a plan grants once."
    )
    grant_part = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="The cycle with which a change of plan added to the grants of a period, else 0.",
    )
    reason = models.CharField(max_length=500, blank=True)
    top_up = models.ForeignKey(
        TopUp, on_delete=models.PROTECT, null=True, blank=True, related_name="lots"
    )
    face = models.DecimalField(max_digits=38, decimal_places=12)
    remaining = models.DecimalField(max_digits=38, decimal_places=12)
    held = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    carrying = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    carrying_remaining = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    currency = models.CharField(max_length=3, blank=True)
    credit_unit = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="What it is counted in, where that is no currency: then `currency` was paid.",
    )
    taxed_at_sale = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A document has taxed what was paid for it: a plan's fee.",
    )
    priority = models.PositiveSmallIntegerField(default=100)
    granted_at = models.DateTimeField()
    effective_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    rollover = models.JSONField(null=True, blank=True)
    frozen_at = models.DateTimeField(
        null=True, blank=True, help_text="Set while the payment of its top-up is disputed."
    )
    rolled = models.PositiveSmallIntegerField(
        default=0, help_text="Into how many further cycles it has been rolled."
    )
    lapsing = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        help_text="How much of what is held has not rolled: it lapses if it is released.",
    )
    lapsing_since = models.DateTimeField(
        null=True, blank=True, help_text="The expiry that `lapsing` has kept."
    )

    class Meta:
        indexes = [
            # Only lots with something left are read when credits burn, however long the history.
            models.Index(fields=["book"], condition=Q(remaining__gt=0), name="wallets_lot_open"),
            models.Index(
                fields=["expires_at"],
                condition=Q(remaining__gt=0, expires_at__isnull=False),
                name="wallets_lot_lapsing",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "cause"], condition=~Q(cause=""), name="wallets_lot_cause"
            ),
            models.UniqueConstraint(
                fields=["subscription_id", "grant_code", "grant_period", "grant_part"],
                condition=Q(subscription_id__isnull=False),
                nulls_distinct=False,
                name="wallets_lot_plan_grant",
            ),
            models.CheckConstraint(
                condition=Q(subscription_id=None, grant_code="", grant_period=None)
                | (Q(subscription_id__isnull=False) & ~Q(grant_code="")),
                name="wallets_lot_granted_by",
            ),
            models.CheckConstraint(
                condition=Q(wallet__isnull=False, unit_wallet=None)
                | Q(wallet=None, unit_wallet__isnull=False),
                name="wallets_lot_one_wallet",
            ),
            models.CheckConstraint(
                condition=Q(credit_unit="")
                | (Q(wallet__isnull=False) & (Q(carrying=0) | ~Q(currency=""))),
                name="wallets_lot_credit_unit",
            ),
            models.CheckConstraint(
                condition=Q(face__gt=0, remaining__gte=0, remaining__lte=F("face")),
                name="wallets_lot_remaining",
            ),
            models.CheckConstraint(
                condition=Q(held__gte=0, held__lte=F("remaining")), name="wallets_lot_held"
            ),
            models.CheckConstraint(
                condition=Q(lapsing__gte=0, lapsing__lte=F("held"))
                & (Q(lapsing=0) | Q(lapsing_since__isnull=False)),
                name="wallets_lot_lapsing_held",
            ),
            models.CheckConstraint(
                condition=Q(
                    carrying__gte=0,
                    carrying_remaining__gte=0,
                    carrying_remaining__lte=F("carrying"),
                ),
                name="wallets_lot_carrying",
            ),
            models.CheckConstraint(
                condition=Q(remaining__gt=0) | Q(carrying_remaining=0),
                name="wallets_lot_carrying_spent",
            ),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("effective_at")),
                name="wallets_lot_lifetime",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.face.normalize():f}"

    @property
    def unit(self) -> dict[str, str]:
        """Return the currency or the metric, as its wallet does."""
        return {"currency": self.counted_in} if self.unit_wallet is None else self.unit_wallet.unit

    @property
    def counted_in(self) -> str:
        """Return the currency of its wallet, or the credit unit that stands for it there."""
        return self.credit_unit or self.currency

    @property
    def available(self) -> Decimal:
        """Return what can be spent of it while it lives: nothing that is held, nothing while
        frozen.
        """
        return ZERO if self.frozen_at is not None else self.remaining - self.held


class MovementKind(models.TextChoices):
    GRANT = "GRANT"
    HOLD = "HOLD"
    RELEASE = "RELEASE"
    BURN = "BURN"
    EXPIRE = "EXPIRE"
    ROLLOVER = "ROLLOVER"
    REVERSE = "REVERSE"
    REFUND = "REFUND"
    ADJUST = "ADJUST"


# What adds to a lot, and what takes from it; a hold, its release and a rollover do neither.
ADDED = (MovementKind.GRANT, MovementKind.REVERSE)
TAKEN = (MovementKind.BURN, MovementKind.EXPIRE, MovementKind.REFUND, MovementKind.ADJUST)


class Movement(models.Model):
    """One change of one lot, append-only. The kind says the side; quantities are above zero.

    `balance_after` and `held_after` are of the lot. `wallet_balance_after` is of its whole wallet,
    held, frozen and lapsed parts included, in the order of the book's sequence and of the positions
    within an entry (docs/decisions.md#d160).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="movements", db_constraint=False
    )
    lot = models.ForeignKey(CreditLot, on_delete=models.PROTECT, related_name="movements")
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+", db_index=False)
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=8, choices=MovementKind.choices)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    carrying = models.DecimalField(max_digits=38, decimal_places=12)
    balance_after = models.DecimalField(max_digits=38, decimal_places=12)
    held_after = models.DecimalField(max_digits=38, decimal_places=12)
    wallet_balance_after = models.DecimalField(max_digits=38, decimal_places=12)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "position"], name="wallets_movement_position"),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, carrying__gte=0, balance_after__gte=0),
                name="wallets_movement_amounts",
            ),
            models.CheckConstraint(
                condition=Q(held_after__gte=0, held_after__lte=F("balance_after")),
                name="wallets_movement_held",
            ),
            models.CheckConstraint(
                condition=Q(wallet_balance_after__gte=F("balance_after")),
                name="wallets_movement_wallet_balance",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity.normalize():f}"
