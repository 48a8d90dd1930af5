"""What a second person has to approve: the limits above which, and the requests that wait.

Guarantees, held by the database: nobody approves what they proposed or asked for themselves, a
request is decided once, and apart from its decision nothing of it ever changes.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from aforo import actors
from aforo.access.models import ApiKey
from aforo.ids import new_id
from ledger.models import Book, FourEyes


class ApprovalAction(models.TextChoices):
    """What credits are given away or paid back by."""

    GOODWILL = "GOODWILL", "Goodwill"
    REFUND = "REFUND", "Refund"


class ApprovalLimit(FourEyes):
    """Above an amount a second person approves; one for a key goes before one for all, and a later
    one before an earlier one.
    """

    livemode = models.BooleanField(default=True)
    action = models.CharField(max_length=8, choices=ApprovalAction.choices)
    currency = models.CharField(max_length=3)
    key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        verbose_name="API key", help_text="Empty: whoever asks.",
    )  # fmt: skip
    amount = models.DecimalField(
        max_digits=38, decimal_places=12, help_text="What may be done without a second person."
    )
    starts_at = models.DateTimeField(help_text="In force from then on, once it is approved.")

    class Meta(FourEyes.Meta):
        constraints = [
            *FourEyes.Meta.constraints,
            models.CheckConstraint(condition=Q(amount__gte=0), name="wallets_approvallimit_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} above {self.amount.normalize():f} {self.currency}"


class ApprovalRequest(models.Model):
    """An operation that waits for a second person, as it was asked for."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="approval_requests")
    action = models.CharField(max_length=8, choices=ApprovalAction.choices)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3)
    content = models.JSONField(help_text="What was asked, in canonical form.")
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    rejected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    rejected_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_at=None)
                | Q(approved_by__isnull=False, approved_at__isnull=False, rejected_at=None),
                name="wallets_approvalrequest_approved",
            ),
            models.CheckConstraint(
                condition=Q(rejected_by=None, rejected_at=None)
                | Q(rejected_by__isnull=False, rejected_at__isnull=False),
                name="wallets_approvalrequest_rejected",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.amount.normalize():f} {self.currency}"

    @property
    def status(self) -> str:
        """Return how far it has come."""
        if self.approved_at is not None:
            return "APPROVED"
        return "PENDING" if self.rejected_at is None else "REJECTED"
