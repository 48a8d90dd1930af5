"""Campaigns: credits given by configuration, to whom, when, for what, and how much at most.

Guarantees, held by the database: a campaign never gives more than its budget or more grants than
it may; its terms hold together; what it promises never changes once it left DRAFT.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from aforo.periods import days_after
from pricing.models.catalogue import CreditKind, Metric


class CampaignTrigger(models.TextChoices):
    """What a customer has to do."""

    SUBSCRIPTION = "SUBSCRIPTION", "A subscription starts"
    TOP_UP = "TOP_UP", "A top-up is paid: a part of it is added"
    CODE = "CODE", "A code is redeemed"
    MILESTONE = "MILESTONE", "Usage of a month reaches a quantity"
    EVERYBODY = "EVERYBODY", "Nothing: everybody who matches gets it now"


class CampaignAudience(models.TextChoices):
    ALL = "ALL", "All customers"
    OFFERINGS = "OFFERINGS", "Subscribers of the offerings listed"
    TAGS = "TAGS", "Customers with one of the tags listed"
    CUSTOMERS = "CUSTOMERS", "The customers listed"


class CampaignStatus(models.TextChoices):
    DRAFT = "DRAFT"
    SCHEDULED = "SCHEDULED"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


def _quantity() -> models.DecimalField[Decimal | None, Decimal | None]:
    return models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)


class Campaign(models.Model):
    """A campaign and what it has given so far.

    One grant is `amount` of `currency`, or `quantity` units of `metric`; a TOP_UP campaign adds
    `match_percent` of what was paid instead. `budget` and `spent` are in that same money or unit.
    """

    livemode = models.BooleanField()
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=10, choices=CampaignStatus.choices, default=CampaignStatus.DRAFT
    )

    trigger = models.CharField(max_length=12, choices=CampaignTrigger.choices)
    redemption_code = models.CharField(max_length=64, blank=True)
    milestone_metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    milestone_quantity = _quantity()
    match_percent = _quantity()
    max_per_top_up = _quantity()

    audience = models.CharField(
        max_length=9, choices=CampaignAudience.choices, default=CampaignAudience.ALL
    )
    audience_list = models.JSONField(default=list, blank=True)

    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    kind = models.CharField(
        max_length=5, choices=[(k.value, k.label) for k in CreditKind][:2], blank=True
    )
    amount = _quantity()
    currency = models.CharField(max_length=3, blank=True)
    quantity = _quantity()
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    expires_after_days = models.PositiveIntegerField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    priority = models.PositiveSmallIntegerField(default=100)

    budget = _quantity()
    spent = models.DecimalField(max_digits=38, decimal_places=12, default=0, editable=False)
    max_grants = models.PositiveIntegerField(null=True, blank=True)
    grants = models.PositiveIntegerField(default=0, editable=False)
    max_per_customer = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # Top-ups, subscriptions and the sweep look for what is running now.
            models.Index(
                fields=["livemode", "trigger"],
                condition=Q(status__in=["SCHEDULED", "ACTIVE"]),
                name="pricing_campaign_running",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["livemode", "code"], name="pricing_campaign_code"),
            # People type codes in any case.
            models.UniqueConstraint(
                "livemode",
                Upper("redemption_code"),
                condition=~Q(redemption_code=""),
                name="pricing_campaign_redemption_code",
            ),
            models.CheckConstraint(
                condition=Q(
                    trigger="TOP_UP",
                    kind="BONUS",
                    match_percent__isnull=False,
                    match_percent__gt=0,
                    amount=None,
                    quantity=None,
                    metric=None,
                )
                | (~Q(trigger="TOP_UP") & Q(match_percent=None, max_per_top_up=None)),
                name="pricing_campaign_match",
            ),
            models.CheckConstraint(
                condition=(Q(metric=None, quantity=None) & ~Q(currency=""))
                | Q(currency="", amount=None, metric__isnull=False, quantity__isnull=False),
                name="pricing_campaign_money_or_units",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["PROMO", "BONUS"]), name="pricing_campaign_kind"
            ),
            models.CheckConstraint(
                condition=Q(trigger="TOP_UP")
                | Q(amount__isnull=False, amount__gt=0)
                | Q(quantity__isnull=False, quantity__gt=0),
                name="pricing_campaign_grant",
            ),
            models.CheckConstraint(
                condition=Q(
                    trigger="MILESTONE",
                    milestone_metric__isnull=False,
                    milestone_quantity__isnull=False,
                    milestone_quantity__gt=0,
                )
                | (~Q(trigger="MILESTONE") & Q(milestone_metric=None, milestone_quantity=None)),
                name="pricing_campaign_milestone",
            ),
            models.CheckConstraint(
                condition=Q(redemption_code="") ^ Q(trigger="CODE"),
                name="pricing_campaign_redeemable",
            ),
            models.CheckConstraint(
                condition=(Q(audience="ALL") & Q(audience_list=[]))
                | (~Q(audience="ALL") & ~Q(audience_list=[])),
                name="pricing_campaign_audience",
            ),
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
                name="pricing_campaign_window",
            ),
            models.CheckConstraint(
                condition=Q(expires_after_days=None) | Q(expires_at=None),
                name="pricing_campaign_one_expiry",
            ),
            models.CheckConstraint(
                condition=Q(spent__gte=0) & (Q(budget=None) | Q(spent__lte=F("budget"))),
                name="pricing_campaign_budget",
            ),
            models.CheckConstraint(
                condition=Q(max_grants=None) | Q(grants__lte=F("max_grants")),
                name="pricing_campaign_max_grants",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def unit(self) -> str:
        """Return what a grant and the budget are counted in: a currency, or a metric's code."""
        return self.currency if self.metric is None else self.metric.code

    @property
    def each(self) -> Decimal:
        """Return the face of one grant, money or units; a match has none of its own."""
        face = self.amount if self.quantity is None else self.quantity
        assert face is not None, "only a match has no face"
        return face

    def has_begun_at(self, moment: datetime) -> bool:
        """Return whether the window, [starts_at, ends_at), has opened, swept or not."""
        return self.starts_at is None or self.starts_at <= moment

    def is_over_at(self, moment: datetime) -> bool:
        """Return whether the window has closed, or what is given would have lapsed."""
        ends = [end for end in (self.ends_at, self.expires_at) if end is not None]
        return any(end <= moment for end in ends)

    def lapses_at(self, granted_at: datetime, zone: tzinfo) -> datetime | None:
        """Return when a credit granted at a moment lapses, by the wall clock of `zone`."""
        if self.expires_after_days is not None:
            return days_after(granted_at, self.expires_after_days, zone)
        return self.expires_at

    def wants(self, *, key: str, tags: frozenset[str], offerings: frozenset[str]) -> bool:
        """Return whether a customer is of the audience."""
        match self.audience:
            case CampaignAudience.OFFERINGS:
                return not offerings.isdisjoint(self.audience_list)
            case CampaignAudience.TAGS:
                return not tags.isdisjoint(self.audience_list)
            case CampaignAudience.CUSTOMERS:
                return key in self.audience_list
        return True
