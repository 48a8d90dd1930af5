"""Settled cycles and the runs that settle them."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from billing.models.customers import Subscription
from ledger.models import Book, Entry
from pricing.models import BillingMode
from wallets.models import CreditLot

LAST_PLACES = Decimal("0.000000001")


class SettlementStatus(models.TextChoices):
    SEALED = "SEALED"
    SETTLED = "SETTLED"
    VOIDED = "VOIDED"


class SettlementKind(models.TextChoices):
    CYCLE = "CYCLE", "A cycle, and the fees in advance of the next"
    OPENING = "OPENING", "The fees in advance of a cycle that begins apart"


class Settlement(models.Model):
    """One cycle of one subscription: sealed, then settled exactly once.

    A plan with fees in advance has an OPENING before its first cycle's, where a cycle began before
    the last was settled, and after a renewal that credits did not cover in time; each bills the
    fees of the cycle that it begins. A cycle that a pause or a cancellation cuts short ends at that
    instant and takes the usage of this very instant that had come by then: `counted_until` is a
    microsecond later, and whatever comes from then on counts later. No two cycles that charge a
    metric count the same usage. `rolled_on` is the included quantity that rolls into the next
    cycle, by charge and by how often it has rolled. `stages` is the trace of the ten stages and
    `totals` their result, as the API shows them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="settlements"
    )
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="settlements")
    kind = models.CharField(
        max_length=10, choices=SettlementKind.choices, default=SettlementKind.CYCLE
    )
    cycle = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    full_starts_at = models.DateTimeField(help_text="The whole period, of which it may be a part.")
    full_ends_at = models.DateTimeField()
    period_number = models.IntegerField(
        help_text="Which paid period of the subscription it lies in, from 0; -1 is the trial."
    )
    counted_from = models.DateTimeField(
        help_text="Usage that counts in [counted_from, counted_until) is this cycle's."
    )
    counted_until = models.DateTimeField()
    billing_mode = models.CharField(max_length=8, choices=BillingMode.choices)
    status = models.CharField(
        max_length=10, choices=SettlementStatus.choices, default=SettlementStatus.SEALED
    )
    statement_number = models.CharField(
        max_length=40,
        null=True,
        blank=True,
        unique=True,
        help_text="Of a PREPAID settlement, which is its own document; without gaps.",
    )
    sealed_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    arrears = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    arrears_tax = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="The tax in the arrears."
    )
    arrears_paid = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    stages = models.JSONField(default=list)
    totals = models.JSONField(default=dict)
    content = models.JSONField(
        null=True,
        blank=True,
        help_text="What the statement of a PREPAID settlement says: lines, payers, taxes.",
    )
    rolled_on = models.JSONField(default=dict)
    late_adjusted = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        help_text="What later settlements billed, or took back, for usage that arrived late.",
    )
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, null=True, related_name="+")
    run = models.ForeignKey(
        "SettlementRun",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="settlements",
        help_text="The run that settled it, unless a clock or the end of a subscription did.",
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["book"],
                condition=Q(billing_mode="PREPAID", status="SETTLED", statement_number=None),
                name="billing_settlement_unnumbered",
            ),
            models.Index(
                fields=["book"],
                condition=Q(content__isnull=True, statement_number__isnull=False),
                name="billing_stmt_undocumented",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "cycle", "kind"],
                condition=~Q(status="VOIDED"),
                name="billing_settlement_once",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gte=F("starts_at")), name="billing_settlement_period"
            ),
            models.CheckConstraint(
                condition=Q(counted_from__gte=F("starts_at"))
                & Q(counted_until__gte=F("counted_from"))
                & Q(counted_until__gte=F("ends_at")),
                name="billing_settlement_counted",
            ),
            models.CheckConstraint(
                condition=Q(status="SEALED", settled_at=None)
                | (~Q(status="SEALED") & Q(settled_at__isnull=False)),
                name="billing_settlement_settled",
            ),
            models.CheckConstraint(
                condition=Q(arrears__gte=0, arrears_paid__gte=0, arrears_paid__lte=F("arrears")),
                name="billing_settlement_arrears",
            ),
            models.CheckConstraint(
                condition=Q(arrears_tax__gte=0, arrears_tax__lte=F("arrears")),
                name="billing_settlement_arrears_tax",
            ),
            models.CheckConstraint(
                condition=Q(statement_number=None) | Q(billing_mode="PREPAID", status="SETTLED"),
                name="billing_settlement_statement",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ends_at:%Y-%m-%d} #{self.cycle}"


class CycleBurn(models.Model):
    """The burn of one lot by a cycle's metered usage and fees: so far, or once settled, for good.

    A running sum of the movements whose entries name the cycle or its settlement (so `carrying` may
    end a last place below zero, where the lot's rounding fell to another burn): a burn before a lot
    lapses begins it, settlement adjusts it to what the whole cycle owes; `late` is the part that
    later usage burned. `tax` is that in the face of `quantity`, owed as far as was paid for it
    (docs/decisions.md#d44). What real-time usage burned (`kept`) keeps its payer: it pays first
    when the cycle is priced again (docs/decisions.md#d33).
    """

    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="burns", db_index=False
    )
    kind = models.CharField(
        max_length=10, choices=SettlementKind.choices, default=SettlementKind.CYCLE
    )
    cycle = models.PositiveIntegerField()
    lot = models.ForeignKey(CreditLot, on_delete=models.PROTECT, related_name="+", db_index=False)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    kept = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    late = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        help_text="What usage that came after the cycle was settled took of it, or gave back.",
    )
    carrying = models.DecimalField(max_digits=38, decimal_places=12)
    tax = models.DecimalField(max_digits=38, decimal_places=12)
    advance_fee = models.DecimalField(max_digits=38, decimal_places=12, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "cycle", "kind", "lot"], name="billing_cycleburn_lot"
            ),
            models.CheckConstraint(
                condition=Q(
                    quantity__gte=F("kept"),
                    kept__gte=0,
                    carrying__gte=-LAST_PLACES,
                    tax__gte=0,
                    advance_fee__gte=0,
                ),
                name="billing_cycleburn_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id} {self.quantity.normalize():f}"


class AdvanceFee(models.Model):
    """The fees that a settlement billed in advance of a cycle, earned by day
    (docs/decisions.md#d27, #d28).

    `amount` is what was posted as owed to the customer (2120), less what became the consideration
    of the cycle's own credits.
    """

    settlement = models.OneToOneField(
        Settlement, on_delete=models.PROTECT, related_name="advance_fee"
    )
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="advance_fees")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="advance_fees"
    )
    cycle = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    recognised = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    recognised_through = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["recognised_through"],
                condition=Q(recognised__lt=F("amount")),
                name="billing_fee_unearned",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "cycle"], name="billing_advancefee_cycle"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="billing_advancefee_period"
            ),
            models.CheckConstraint(
                condition=Q(recognised__gte=0, recognised__lte=F("amount")),
                name="billing_advancefee_recognised",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"


class RunStatus(models.TextChoices):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"


class SettlementRun(models.Model):
    """A run over everything due in one mode, or over one customer.

    Guarantee: runs with overlapping scopes never run at once; the second one is refused.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    as_of = models.DateTimeField()
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    due = models.PositiveIntegerField(default=0)
    settled = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    failures = models.JSONField(default=list, blank=True, help_text="[{customer_id, reason}]")
    created_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "book"],
                condition=~Q(status="DONE"),
                nulls_distinct=False,
                name="billing_run_one_per_scope",
            )
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}"


class RunItemStatus(models.TextChoices):
    PENDING = "PENDING"
    CLAIMED = "CLAIMED"
    DONE = "DONE"
    FAILED = "FAILED"


class SettlementRunItem(models.Model):
    """One customer of a run. Any number of workers share a run by claiming its items.

    Guarantee: a claim outlives its worker by a lease at most; if two workers then do the same, it
    has one effect, because each cycle is settled once.
    """

    run = models.ForeignKey(
        SettlementRun, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    # No constraint: listing a customer would wait for whoever has locked its book, and the list of
    # everybody with it.
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    status = models.CharField(
        max_length=10, choices=RunItemStatus.choices, default=RunItemStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    settled = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["run", "id"],
                condition=Q(status__in=["PENDING", "CLAIMED"]),
                name="billing_runitem_unfinished",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "book"], name="billing_runitem_once"),
            models.CheckConstraint(
                condition=~Q(status="CLAIMED") | Q(claimed_at__isnull=False),
                name="billing_runitem_claimed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.book_id}"


class WorkerHeartbeat(models.Model):
    """When a background worker last started a task, and when a sweep last finished; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    seen_at = models.DateTimeField()
    swept_at = models.DateTimeField(null=True, blank=True)
    sweep_milliseconds = models.PositiveBigIntegerField(null=True, blank=True)
    sweep_passed_over = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="billing_heartbeat_single")]

    def __str__(self) -> str:
        return self.seen_at.isoformat()
