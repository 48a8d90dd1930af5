"""Campaign grants: one row per customer and cause, for ever."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aforo.ids import new_id
from ledger.models import Book
from pricing.models import Campaign
from wallets.models.lots import CreditLot


class CampaignGrant(models.Model):
    """A lot that a campaign gave a customer for a cause.

    Guarantee: (campaign, book, cause) is unique for ever, so that a campaign never gives twice for
    the same subscription, top-up, code, month or run.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    campaign = models.ForeignKey(
        Campaign, on_delete=models.PROTECT, related_name="given", db_index=False
    )
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="campaign_grants")
    cause = models.CharField(
        max_length=64,
        help_text="The subscription or top-up, the month, or the words code and everybody.",
    )
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    lot = models.OneToOneField(CreditLot, on_delete=models.PROTECT, related_name="campaign_grant")
    granted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "book", "cause"], name="wallets_campaigngrant_once"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="wallets_campaigngrant_some"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f}"
