"""Mail to customers, kept as it was written."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aforo.ids import new_id
from billing.models.customers import Customer
from billing.models.documents import IssuedDocument
from billing.models.invoices import Invoice


class MailStatus(models.TextChoices):
    WAITING = "WAITING"
    SENDING = "SENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    KEPT = "KEPT", "Kept: the sandbox sends none"
    NO_ADDRESS = "NO_ADDRESS", "Not sent: the customer has no address"


class Mail(models.Model):
    """One mail: written with its cause, sent after that has committed, at most once.

    Of mails that share a `sameness` there is one.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="mails")
    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, null=True, blank=True, related_name="mails"
    )
    sameness = models.CharField(max_length=200, unique=True)
    document = models.ForeignKey(
        IssuedDocument,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="mails",
        help_text="What is attached, as PDF where the server makes that, else as a page.",
    )
    to = models.EmailField(blank=True)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    status = models.CharField(max_length=10, choices=MailStatus.choices)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(help_text="When it is sent, or tried again.")
    sent_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=300, blank=True)
    attached = models.CharField(
        max_length=50, blank=True, default="", db_default="", help_text="The file that was sent."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(status__in=["WAITING", "SENDING"]),
                name="billing_mail_waiting",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="SENT", sent_at__isnull=False)
                | (~Q(status="SENT") & Q(sent_at=None)),
                name="billing_mail_sent",
            ),
            models.CheckConstraint(
                condition=Q(status="NO_ADDRESS") ^ ~Q(to=""), name="billing_mail_addressed"
            ),
        ]

    def __str__(self) -> str:
        return self.subject
