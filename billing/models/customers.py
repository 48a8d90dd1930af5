"""Customers and their subscriptions; personal data stays here, outside the journals."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from ledger.models import Book
from pricing.models import BillingMode, Coupon, Offering, RatePlanVersion


class CollectionMethod(models.TextChoices):
    SEND_INVOICE = "SEND_INVOICE", "Send the invoice"
    CHARGE_AUTOMATICALLY = "CHARGE_AUTOMATICALLY", "Charge the payment method"


class Customer(models.Model):
    """A customer, one to one with its book."""

    book = models.OneToOneField(
        Book, on_delete=models.PROTECT, primary_key=True, related_name="customer"
    )
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    address = models.TextField(
        blank=True, default="", db_default="", help_text="As documents show it, line by line."
    )
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2.")
    region = models.CharField(max_length=50, blank=True)
    tax_id = models.CharField(max_length=50, blank=True)
    tax_id_checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When form and check digits of a VAT number were checked."
    )
    timezone = models.CharField(max_length=50, default="UTC", help_text="Decides period bounds.")
    apply_credit = models.BooleanField(
        default=False,
        db_default=False,
        help_text="What is owed to the customer pays its invoices by itself, the oldest first.",
    )
    collection_method = models.CharField(
        max_length=20,
        choices=CollectionMethod.choices,
        default=CollectionMethod.SEND_INVOICE,
        db_default=CollectionMethod.SEND_INVOICE,
        help_text="Whether the customer pays its invoices, or its payment method is charged.",
    )
    payment_method = models.CharField(
        max_length=50,
        blank=True,
        default="",
        db_default="",
        help_text="The method that is charged, as the payment gateway knows it.",
    )
    mail_documents = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Invoices, statements and credit notes are mailed as they are issued.",
    )
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class SubscriptionStatus(models.TextChoices):
    CREATED = "CREATED"
    TRIALING = "TRIALING"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    SUSPENDED = "SUSPENDED"
    CANCELLED = "CANCELLED"


class Subscription(models.Model):
    """A customer's contract on one published version of a rate plan.

    Guarantees: the ends of periods are computed from the anchor, a wall time, and the period's
    number, never chained. Usage counts in the open cycle from `counted_from` on, and in no other
    one; what counts before `usage_closed_through` can no longer change a settled cycle.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="subscriptions")
    version = models.ForeignKey(
        RatePlanVersion, on_delete=models.PROTECT, related_name="subscriptions"
    )
    coupon = models.ForeignKey(
        Coupon, on_delete=models.PROTECT, null=True, blank=True, related_name="subscriptions"
    )
    billing_mode = models.CharField(max_length=10, choices=BillingMode.choices)
    is_single = models.BooleanField(
        default=True, help_text="The customer may have no other live one of its offering."
    )
    status = models.CharField(max_length=10, choices=SubscriptionStatus.choices)
    starts_at = models.DateTimeField()
    subscribed_at = models.DateTimeField(
        help_text="The customer's time when it subscribed; a period over by then brings no credits."
    )
    anchor_date = models.DateField(
        help_text="Periods end this plus n intervals, by the wall clock."
    )
    anchor_time = models.TimeField()
    timezone = models.CharField(
        max_length=50,
        help_text="The zone that ends the open cycle; the customer's counts from the next one on.",
    )
    trial_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="Cycle 0 is then the trial, which costs nothing."
    )
    cycle = models.PositiveIntegerField(default=0, help_text="Number of the open cycle.")
    anchor_index = models.IntegerField(
        default=0, help_text="Number of intervals from the anchor to the period of the open cycle."
    )
    period_number = models.IntegerField(
        default=0, help_text="Paid periods begun before the open cycle's; -1 is the trial."
    )
    current_starts_at = models.DateTimeField()
    current_ends_at = models.DateTimeField()
    full_starts_at = models.DateTimeField(
        help_text="The whole period, of which the open cycle may be a part."
    )
    full_ends_at = models.DateTimeField()
    counted_from = models.DateTimeField(
        help_text="Usage that counts from here on belongs to the open cycle."
    )
    usage_closed_through = models.DateTimeField(
        help_text="Usage before this is sealed; what arrives later is late."
    )
    is_fee_due = models.BooleanField(
        default=False,
        help_text="The open cycle's fees in advance wait for credits that cover them.",
    )
    burned_through = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Up to here the metered usage of a PREPAID subscription was last burned.",
    )
    next_offering = models.ForeignKey(
        Offering, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    next_version = models.ForeignKey(
        RatePlanVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The plan changes to it at the next renewal.",
    )
    plan_changes = models.PositiveIntegerField(default=0, db_default=0)
    cancel_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["current_ends_at"],
                condition=~Q(status="CANCELLED"),
                name="billing_subscription_due",
            ),
            models.Index(
                fields=["starts_at"],
                condition=Q(status="CREATED"),
                name="billing_subscription_start",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "offering"],
                condition=Q(is_single=True) & ~Q(status="CANCELLED"),
                name="billing_subscription_single",
            ),
            models.CheckConstraint(
                condition=Q(current_ends_at__gte=F("current_starts_at")),
                name="billing_subscription_period",
            ),
            models.CheckConstraint(
                condition=Q(full_ends_at__gt=F("full_starts_at"))
                & Q(full_starts_at__lte=F("current_starts_at"))
                & Q(full_ends_at__gte=F("current_ends_at")),
                name="billing_subscription_full_period",
            ),
            models.CheckConstraint(
                condition=Q(counted_from__gte=F("current_starts_at")),
                name="billing_subscription_counted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.offering.code} from {self.starts_at:%Y-%m-%d}"


class SubscriptionCoupon(models.Model):
    """A coupon of a subscription: they are taken off in the order of their positions, in the paid
    periods from `from_period` on, and before `until_period` once it is removed.

    The database adds the row of a coupon that a subscription is created with.
    """

    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="coupons", db_index=False
    )
    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="uses")
    position = models.PositiveSmallIntegerField()
    from_period = models.PositiveIntegerField(default=0)
    until_period = models.PositiveIntegerField(null=True, blank=True)
    added_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "position"], name="billing_subscriptioncoupon_position"
            ),
            models.UniqueConstraint(
                fields=["subscription", "coupon"], name="billing_subscriptioncoupon_once"
            ),
            models.CheckConstraint(
                condition=Q(until_period=None, removed_at=None)
                | Q(until_period__gte=F("from_period"), removed_at__isnull=False),
                name="billing_subscriptioncoupon_removed",
            ),
        ]

    def __str__(self) -> str:
        return self.coupon.code

    def covers(self, period: int) -> bool:
        """Return whether it counts in a paid period."""
        return self.from_period <= period and (
            self.until_period is None or period < self.until_period
        )


class OneTimeBenefit(models.Model):
    """A benefit that an offering gives a customer once: its trial, or a once-only grant by its
    code. A second subscription of the same offering does not bring it again, unless the offering
    allows that.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="+")
    benefit = models.CharField(max_length=255)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = "one-time benefit"
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "offering", "benefit"], name="billing_onetimebenefit_once"
            )
        ]

    def __str__(self) -> str:
        return self.benefit
