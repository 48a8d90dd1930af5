"""What customers owe outside of any settlement, and what a settlement leaves out for it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from billing.models.customers import Subscription
from ledger.models import Book
from wallets.models import Debit, TopUp


class Claim(models.Model):
    """A debt outside of any settlement: for credits that were spent and whose payment a lost
    dispute took back, or for what a capture took beyond the credits there were.

    Arrears like those of a settlement: an open claim suspends the customer, and the next credits
    pay it first.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="claims")
    top_up = models.OneToOneField(TopUp, on_delete=models.PROTECT, null=True, related_name="claim")
    debit = models.OneToOneField(Debit, on_delete=models.PROTECT, null=True, related_name="claim")
    currency = models.CharField(
        max_length=10, help_text="Or the credit unit, of what was spent in credits."
    )
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    paid = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    lost = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="Of a claim in credits, what was lost of their payment, in the currency paid.",
    )
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["book"], condition=Q(amount__gt=F("paid")), name="billing_claim_open"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, paid__gte=0, paid__lte=F("amount")),
                name="billing_claim_paid",
            ),
            models.CheckConstraint(
                condition=Q(top_up=None, debit__isnull=False) | Q(top_up__isnull=False, debit=None),
                name="billing_claim_one_cause",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"


class ForgivenUsage(models.Model):
    """What a capture of usage took beyond the credits there were, less the tax in it: its cycle
    does not bill it.

    Its debit has the gross, and whether the next credits pay that, or nobody.
    """

    debit = models.OneToOneField(
        Debit, on_delete=models.PROTECT, primary_key=True, related_name="+", db_constraint=False
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    cycle = models.PositiveIntegerField()
    counted_at = models.DateTimeField(help_text="That of its usage event.")
    net = models.DecimalField(max_digits=38, decimal_places=12)

    class Meta:
        indexes = [
            models.Index(fields=["subscription", "cycle"], name="billing_forgivenusage_cycle")
        ]
        constraints = [
            models.CheckConstraint(condition=Q(net__gt=0), name="billing_forgivenusage_net")
        ]

    def __str__(self) -> str:
        return f"{self.net.normalize():f}"
