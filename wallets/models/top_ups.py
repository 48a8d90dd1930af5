"""Credits bought: the top-up, and the rule by which a wallet fills itself.

Guarantees, held by the database:
- of the top-ups that wait for their payment a key has one, and an automatic refill has one;
- what has SUCCEEDED has been paid, unless it was sold on account;
- how it was paid is kept as it was, so that money leaves by the way it came;
- what is paid, and paid back, can be paid in its currency, and no more is paid back than was paid.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo import actors, payable
from aforo.actors import Actor, ActorKind
from aforo.ids import new_id
from ledger.models import Book, Entry
from pricing.models import Metric, Pack
from wallets.models.wallets import Wallet


class GatewayRefundStatus(models.TextChoices):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class AutoRefill(models.Model):
    """Fill a wallet with `amount` whenever what is available comes down to `threshold`.

    At most `max_per_day` and `max_per_month` times in a calendar day and month (UTC), for at most
    `max_amount_per_day` and `max_amount_per_month`, and `min_interval` seconds apart. A failed
    payment backs off; too many in a row switch it off.
    """

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="auto_refills")
    wallet = models.OneToOneField(Wallet, on_delete=models.PROTECT, related_name="auto_refill")
    threshold = models.DecimalField(max_digits=38, decimal_places=12)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    max_per_day = models.PositiveIntegerField(
        null=True, blank=True, help_text="Most refills in a day (UTC); empty: any number."
    )
    max_per_month = models.PositiveIntegerField(
        null=True, blank=True, help_text="Most refills in a month (UTC); empty: any number."
    )
    max_amount_per_day = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Most money of refills in a day (UTC); empty: any.",
    )
    max_amount_per_month = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Most money of refills in a month (UTC); empty: any.",
    )
    min_interval = models.PositiveIntegerField(
        null=True, blank=True, help_text="Fewest seconds between two refills; empty: none."
    )
    method = models.CharField(max_length=50, help_text="How the gateway takes the money.")
    failures = models.PositiveSmallIntegerField(
        default=0, help_text="Failed payments since the last one that succeeded."
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="Not before this, after a failure."
    )
    switched_off_at = models.DateTimeField(null=True, blank=True)
    set_after = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the customer's last subscription had ended as this was set; a later end "
        "switches it off.",
    )

    class Meta:
        verbose_name = "auto-refill"
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold__gte=0, amount__gt=0), name="wallets_refill_amounts"
            ),
            models.CheckConstraint(
                condition=(Q(max_per_day=None) | Q(max_per_day__gt=0))
                & (Q(max_per_month=None) | Q(max_per_month__gt=0)),
                name="wallets_refill_caps",
            ),
            models.CheckConstraint(
                condition=(Q(max_amount_per_day=None) | Q(max_amount_per_day__gte=F("amount")))
                & (Q(max_amount_per_month=None) | Q(max_amount_per_month__gte=F("amount"))),
                name="wallets_refill_amount_caps",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} at {self.threshold.normalize():f}"


class TopUpStatus(models.TextChoices):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class TopUpChannel(models.TextChoices):
    """How the money comes."""

    GATEWAY = "GATEWAY", "Gateway"
    MANUAL = "MANUAL", "Elsewhere"
    ON_ACCOUNT = "ON_ACCOUNT", "On account"


class PaidBy(models.TextChoices):
    """Whose account the money came into, and leaves when it is paid back."""

    BANK = "BANK", "Bank account"
    PROCESSOR = "PROCESSOR", "Processor of payments"


class DisputeState(models.TextChoices):
    """What became of a payment that the payer contested."""

    OPENED = "opened"
    WON = "won"
    LOST = "lost"


class TopUp(models.Model):
    """A purchase of credits; its lots exist once it SUCCEEDED.

    A gateway's purchase is committed PENDING before the gateway is asked, with its own id as the
    gateway's key, so that it ends in one effect wherever a process dies (docs/decisions.md#d10).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="top_ups")
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    credit_unit = models.CharField(max_length=10, blank=True, default="", db_default="")
    credits = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="How many credits of the unit it buys.",
    )
    pack = models.ForeignKey(Pack, on_delete=models.PROTECT, null=True, blank=True)
    bonus = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    bonus_metric = models.ForeignKey(
        Metric,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="+",
        help_text="The bonus is units of it; without one it is money.",
    )
    bonus_unit_price = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="What one unit of the bonus costs alone: by it the payment is spread.",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    lifetime_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Counted from the delivery, where no expiry was given."
    )
    channel = models.CharField(max_length=10, choices=TopUpChannel.choices)
    method = models.CharField(max_length=50, blank=True)
    paid_by = models.CharField(
        max_length=9,
        choices=PaidBy.choices,
        blank=True,
        default="",
        db_default="",
        help_text="Known once it is paid; never changes. None before 0.2: by the channel.",
    )
    status = models.CharField(max_length=10, choices=TopUpStatus.choices)
    key = models.CharField(max_length=255, blank=True, help_text="The client's; none for a refill.")
    content = models.JSONField(null=True, blank=True, help_text="What the client asked for.")
    auto_refill = models.ForeignKey(
        AutoRefill, on_delete=models.PROTECT, null=True, blank=True, related_name="top_ups"
    )
    refill_reason = models.JSONField(
        null=True,
        blank=True,
        help_text="Why a refill was begun: what was available, the threshold, what was owed.",
    )
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    created_at = models.DateTimeField()
    asked = models.PositiveIntegerField(
        default=0, help_text="How often the gateway had no answer about the payment."
    )
    ask_again_at = models.DateTimeField(
        null=True, blank=True, help_text="The sweep asks again then; sooner when somebody asks."
    )
    paid_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    dispute = models.CharField(max_length=6, choices=DisputeState.choices, blank=True)
    disputed = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="What the payer contested."
    )
    dispute_fee = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        db_default=0,
        help_text="What the processor took for the dispute.",
    )
    refunded = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        help_text="What was paid back of the amount, without tax.",
    )
    taxed_at_sale = models.BooleanField(default=False, db_default=False)
    tax = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        db_default=0,
        help_text="Charged on top of the amount, when it was sold.",
    )
    tax_rate = models.JSONField(null=True, blank=True, help_text="By which it was taxed.")
    tax_refunded = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, db_default=0, help_text="Paid back with it."
    )

    class Meta:
        verbose_name = "top-up"
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status="PENDING"), name="wallets_topup_pending"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "key"],
                condition=Q(status="PENDING") & ~Q(key=""),
                name="wallets_topup_one_pending",
            ),
            models.UniqueConstraint(
                fields=["auto_refill"],
                condition=Q(status="PENDING"),
                name="wallets_topup_one_refill",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="wallets_topup_amount"),
            models.CheckConstraint(
                condition=payable.columns("amount"), name="wallets_topup_payable"
            ),
            models.CheckConstraint(
                condition=payable.columns("disputed", "refunded"),
                name="wallets_topup_paid_back_payable",
            ),
            models.CheckConstraint(
                condition=payable.columns("dispute_fee")
                & (Q(dispute_fee=0) | (Q(dispute_fee__gt=0) & ~Q(dispute=""))),
                name="wallets_topup_dispute_fee",
            ),
            # What a dispute takes back cannot be refunded as well.
            models.CheckConstraint(
                condition=Q(disputed__gte=0, refunded__gte=0, refunded__lte=F("amount"))
                & (
                    Q(dispute__in=["", "won"])
                    | Q(refunded__lte=F("amount") + F("tax") - F("tax_refunded") - F("disputed"))
                ),
                name="wallets_topup_paid_back",
            ),
            models.CheckConstraint(
                condition=payable.columns("tax", "tax_refunded")
                & Q(tax__gte=0, tax_refunded__gte=0, tax_refunded__lte=F("tax"))
                & (Q(tax=0) | Q(taxed_at_sale=True, tax_rate__isnull=False)),
                name="wallets_topup_tax",
            ),
            models.CheckConstraint(
                condition=Q(credit_unit="", credits=None)
                | (~Q(credit_unit="") & Q(credits__gt=0, bonus_metric=None)),
                name="wallets_topup_credits",
            ),
            models.CheckConstraint(
                condition=Q(bonus=None, bonus_metric=None) | Q(bonus__gt=0),
                name="wallets_topup_bonus",
            ),
            models.CheckConstraint(
                condition=Q(bonus_unit_price=None)
                | Q(bonus_metric__isnull=False, bonus_unit_price__gt=0),
                name="wallets_topup_bonus_price",
            ),
            models.CheckConstraint(
                condition=Q(paid_at__isnull=False)
                | ~Q(status="SUCCEEDED")
                | Q(channel="ON_ACCOUNT"),
                name="wallets_topup_paid",
            ),
            models.CheckConstraint(
                condition=Q(paid_by__in=["", "BANK", "PROCESSOR"])
                & (~Q(channel="GATEWAY") | ~Q(paid_by="BANK")),
                name="wallets_topup_paid_by",
            ),
            models.CheckConstraint(
                condition=Q(failed_at__isnull=False) ^ ~Q(status="FAILED"),
                name="wallets_topup_failed",
            ),
            models.CheckConstraint(
                condition=Q(dispute="", disputed=0) | (~Q(dispute="") & Q(status="SUCCEEDED")),
                name="wallets_topup_dispute",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"

    @property
    def bought(self) -> Decimal:
        """Return how much it buys: credits of a unit, or the amount itself."""
        return self.amount if self.credits is None else self.credits

    @property
    def counted_in(self) -> str:
        """Return the currency of the wallet that it fills, or the credit unit in its place."""
        return self.credit_unit or self.currency

    @property
    def total(self) -> Decimal:
        """Return what is paid for it, tax at sale included."""
        return self.amount + self.tax

    @property
    def left(self) -> Decimal:
        """Return what was not paid back of that."""
        return self.total - self.refunded - self.tax_refunded

    @property
    def actor(self) -> Actor:
        """Return who asked for it, whose doing its delivery is, whoever learns of the payment."""
        return Actor(ActorKind(self.actor_kind), self.actor_id)


class GatewayRefund(models.Model):
    """Money that a gateway is to pay back of a top-up.

    Committed PENDING with the refund, before the gateway is asked, its own id the gateway's key, so
    that it is paid back once wherever a process dies. What the gateway declines stays owed (2200)
    and is paid another way. It is never deleted, and changes once, to its outcome.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="gateway_refunds")
    refund_id = models.UUIDField(help_text="The refund that it belongs to.")
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    status = models.CharField(max_length=9, choices=GatewayRefundStatus.choices)
    created_at = models.DateTimeField()
    asked = models.PositiveIntegerField(
        default=0, help_text="How often the gateway had no answer about it."
    )
    ask_again_at = models.DateTimeField(null=True, blank=True)
    concluded_at = models.DateTimeField(null=True, blank=True)
    entry = models.OneToOneField(
        Entry,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Where it failed: what is owed instead.",
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status="PENDING"), name="wallets_refund_pending"
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["refund_id", "top_up"], name="wallets_refund_once"),
            models.CheckConstraint(
                condition=Q(amount__gt=0) & payable.columns("amount"),
                name="wallets_refund_payable",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", concluded_at=None, entry=None)
                | Q(status="SUCCEEDED", concluded_at__isnull=False, entry=None)
                | Q(status="FAILED", concluded_at__isnull=False, entry__isnull=False),
                name="wallets_refund_concluded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"
