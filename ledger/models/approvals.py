"""What a second person has to approve: the limits above which, and the requests that wait.

Guarantees, held by the database: nobody approves what they proposed or asked for themselves, a
request is decided once, and apart from its decision nothing of it ever changes.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from aforo import actors
from aforo.access.models import ApiKey
from aforo.ids import new_id
from ledger.models.books import Book
from ledger.models.policies import FourEyes


class ApprovalAction(models.TextChoices):
    """What a limit is for."""

    GOODWILL = "GOODWILL", "Goodwill"
    REFUND = "REFUND", "Refund"
    CREDIT_REFUND = "CREDIT_REFUND", "Refund of customer credit"
    WRITE_OFF = "WRITE_OFF", "Write-off"
    ADJUSTMENT = "ADJUSTMENT", "Adjustment"
    IMPORT = "IMPORT", "Import"
    MAPPING = "MAPPING", "Account mapping"
    TAX_RATE = "TAX_RATE", "Tax rate"
    EXCHANGE_RATE = "EXCHANGE_RATE", "Exchange rate"


# Of these nothing has an amount: with a limit, each one waits.
WITHOUT_AMOUNT = [ApprovalAction.MAPPING, ApprovalAction.TAX_RATE, ApprovalAction.EXCHANGE_RATE]
_HAS_NO_AMOUNT = Q(action__in=[each.value for each in WITHOUT_AMOUNT])


class ApprovalLimit(FourEyes):
    """Above an amount a second person approves; one for a key or a role goes before one for all,
    and a later one before an earlier one.

    That of a role is also what its members may approve of others.
    """

    livemode = models.BooleanField(default=True)
    action = models.CharField(max_length=13, choices=ApprovalAction.choices)
    currency = models.CharField(
        max_length=3, blank=True, help_text="Empty for mappings and rates, which have no amount."
    )
    key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        verbose_name="API key", help_text="Empty: whoever asks.",
    )  # fmt: skip
    role = models.ForeignKey(
        Group, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="Of its members: what they do alone, and approve of others. Empty: whoever asks.",
    )  # fmt: skip
    amount = models.DecimalField(
        max_digits=38, decimal_places=12, default=0,
        help_text="What may be done without a second person.",
    )  # fmt: skip
    starts_at = models.DateTimeField(help_text="In force from then on, once it is approved.")

    class Meta(FourEyes.Meta):
        constraints = [
            *FourEyes.Meta.constraints,
            models.CheckConstraint(condition=Q(amount__gte=0), name="ledger_approvallimit_amount"),
            models.CheckConstraint(
                condition=Q(key=None) | Q(role=None), name="ledger_approvallimit_whose"
            ),
            models.CheckConstraint(
                condition=(_HAS_NO_AMOUNT & Q(currency="", amount=0))
                | (~_HAS_NO_AMOUNT & ~Q(currency="")),
                name="ledger_approvallimit_currency",
                violation_error_message="Mappings and rates have neither currency nor amount; "
                "everything else has a currency.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} above {self.amount.normalize():f} {self.currency}"


class ApprovalRequest(models.Model):
    """An operation that waits for a second person, as it was asked for; without a book it is the
    company's.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, null=True, blank=True, related_name="approval_requests"
    )
    action = models.CharField(max_length=13, choices=ApprovalAction.choices)
    operation = models.CharField(max_length=100, help_text="What is done, by its stable name.")
    amount = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
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
                name="ledger_approvalrequest_approved",
            ),
            models.CheckConstraint(
                condition=Q(rejected_by=None, rejected_at=None)
                | Q(rejected_by__isnull=False, rejected_at__isnull=False),
                name="ledger_approvalrequest_rejected",
            ),
            models.CheckConstraint(
                condition=Q(amount=None, currency="") | (Q(amount__gte=0) & ~Q(currency="")),
                name="ledger_approvalrequest_amount",
            ),
        ]

    def __str__(self) -> str:
        if self.amount is None:
            return str(self.get_action_display())
        return f"{self.get_action_display()} {self.amount.normalize():f} {self.currency}"

    @property
    def status(self) -> str:
        """Return how far it has come."""
        if self.approved_at is not None:
            return "APPROVED"
        return "PENDING" if self.rejected_at is None else "REJECTED"

    @property
    def decided_at(self) -> datetime | None:
        """Return when it was approved or rejected."""
        return self.approved_at or self.rejected_at

    @property
    def asked_by(self) -> dict[str, str]:
        """Return who asked, as answers have an actor."""
        return {"kind": self.actor_kind, "id": self.actor_id}
