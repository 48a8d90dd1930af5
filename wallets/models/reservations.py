"""Reservations: credits held on named lots until they are captured, voided or time out.

Guarantees, held by the database: what was captured and released of a hold never exceeds what was
held, a reservation that has ended promises no overage any more, what it does with a capture that
nothing covers never changes, and a hold is in the book of its reservation and of its lot.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from ledger.models import Book, Entry
from pricing.models import MAX_GRACE, OverCapture
from wallets.models.lots import CreditLot
from wallets.models.operations import BurnStrategy, Operation
from wallets.models.wallets import UnitWallet, Wallet


class ReservationStatus(models.TextChoices):
    HELD = "HELD"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"


class ReservationKind(models.TextChoices):
    """What is reserved: credits, or usage to come, which billing prices and captures."""

    CREDITS = "CREDITS"
    USAGE = "USAGE"


class Reservation(models.Model):
    """`quantity` was asked for, `held` of it is on lots; the rest is overage that is expected.

    One for usage is on lots of its price, in a money wallet, and on lots of units beside.

    It ends at `expires_at` by itself, exactly then, whether or not a sweep has run.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="reservations")
    operation = models.OneToOneField(
        Operation,
        on_delete=models.PROTECT,
        null=True,
        related_name="reservation",
        db_constraint=False,
    )
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, null=True, related_name="+")
    kind = models.CharField(
        max_length=7, choices=ReservationKind.choices, default=ReservationKind.CREDITS
    )
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, related_name="reservations", db_index=False
    )
    unit_wallet = models.ForeignKey(
        UnitWallet, on_delete=models.PROTECT, null=True, related_name="reservations", db_index=False
    )
    strategy = models.CharField(max_length=10, choices=BurnStrategy.choices)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    held = models.DecimalField(max_digits=38, decimal_places=12)
    captured = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    promised = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        help_text="Overage that it may still come to; it counts against the overage limit.",
    )
    over_capture = models.CharField(
        max_length=9,
        choices=OverCapture.choices,
        default=OverCapture.REFUSE,
        db_default=OverCapture.REFUSE,
        help_text="What happens to the part of a capture that no credit covers.",
    )
    grace_seconds = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How long after its end it may still be captured."
    )
    uncovered = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        db_default=0,
        help_text="What its captures left that nobody pays, under AVAILABLE.",
    )
    debt = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        db_default=0,
        help_text="What its captures left to be paid by the next credits, under DEBT.",
    )
    status = models.CharField(
        max_length=8, choices=ReservationStatus.choices, default=ReservationStatus.HELD
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attributes = models.JSONField(
        null=True, blank=True, help_text="A copy of its entry's, to filter by."
    )
    counted = models.JSONField(
        null=True, blank=True, help_text="What it holds of budgets, by their counters."
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["book", "expires_at"], condition=Q(status="HELD"), name="wallets_reserved"
            ),
            models.Index(
                fields=["expires_at"], condition=Q(status="HELD"), name="wallets_reserved_due"
            ),
            models.Index(
                fields=["wallet"], condition=Q(promised__gt=0), name="wallets_reserved_promised"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(wallet__isnull=False, unit_wallet=None)
                | Q(wallet=None, unit_wallet__isnull=False),
                name="wallets_reservation_one_wallet",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=0, held__gte=0, held__lte=F("quantity"))
                & (Q(quantity__gt=0) | Q(kind="USAGE")),
                name="wallets_reservation_held",
            ),
            models.CheckConstraint(
                condition=Q(kind="CREDITS", entry__isnull=False)
                | Q(kind="USAGE", wallet__isnull=False),
                name="wallets_reservation_kind",
            ),
            models.CheckConstraint(
                condition=Q(captured__gte=0), name="wallets_reservation_captured"
            ),
            models.CheckConstraint(
                condition=Q(promised=0) | Q(status="HELD", promised__gt=0),
                name="wallets_reservation_promised",
            ),
            models.CheckConstraint(
                condition=Q(status="HELD", ended_at=None)
                | (~Q(status="HELD") & Q(ended_at__isnull=False)),
                name="wallets_reservation_ended",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="wallets_reservation_lifetime"
            ),
            models.CheckConstraint(
                condition=Q(grace_seconds__lte=MAX_GRACE), name="wallets_reservation_grace"
            ),
            models.CheckConstraint(
                condition=Q(uncovered=0, debt=0)
                | Q(uncovered__gte=0, debt=0, over_capture="AVAILABLE")
                | Q(uncovered=0, debt__gte=0, over_capture="DEBT"),
                name="wallets_reservation_over_captured",
            ),
            models.CheckConstraint(
                condition=Q(over_capture="REFUSE") | Q(wallet__isnull=False),
                name="wallets_reservation_units_refuse",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.quantity.normalize():f}"


class Hold(models.Model):
    """What a reservation holds on one lot, in the order in which it will burn."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="holds")
    lot = models.ForeignKey(CreditLot, on_delete=models.PROTECT, related_name="holds")
    position = models.PositiveSmallIntegerField()
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    captured = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    released = models.DecimalField(max_digits=38, decimal_places=12, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reservation", "position"], name="wallets_hold_position"
            ),
            models.CheckConstraint(
                condition=Q(
                    quantity__gt=0,
                    captured__gte=0,
                    released__gte=0,
                    quantity__gte=F("captured") + F("released"),
                ),
                name="wallets_hold_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.open.normalize():f}"

    @property
    def open(self) -> Decimal:
        """Return what is still held."""
        return self.quantity - self.captured - self.released
