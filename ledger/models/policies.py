"""What the company has decided about measurement, each decision by two different people.

Guarantees, held by the database: nobody approves what they proposed, and what is approved never
changes (triggers, ENABLE ALWAYS). See docs/accounting.md#policies.
"""

from __future__ import annotations

from functools import reduce
from operator import and_

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ledger.models.books import Book


class FourEyes(models.Model):
    """Proposed by one person, in force once another one approves."""

    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    evidence = models.TextField(help_text="What the decision rests on.")

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_at=None)
                | (
                    Q(approved_by__isnull=False, approved_at__isnull=False)
                    & ~Q(approved_by=F("proposed_by"))
                ),
                name="%(app_label)s_%(class)s_two_people",
            ),
            models.CheckConstraint(condition=~Q(evidence=""), name="%(app_label)s_%(class)s_why"),
        ]

    @property
    def is_approved(self) -> bool:
        """Return whether a second person agreed."""
        return self.approved_at is not None


class BreakageMethod(models.TextChoices):
    """When credits that will not be used become revenue (ASC 606-10-55-48; IFRS 15 B46)."""

    REMOTE = "REMOTE", "At expiry, when use has become remote"
    PROPORTIONAL = "PROPORTIONAL", "In proportion to use, by cohort"


class BonusAllocation(models.TextChoices):
    """How a price is split over what was bought with it (docs/accounting.md#m2)."""

    EFFECTIVE_RATE = "EFFECTIVE_RATE", "At stand-alone prices"
    RELATIVE_SSP = "RELATIVE_SSP", "At stand-alone prices, less the bonus expected unused"


class Policy(FourEyes):
    """The switches of a mode from a day on; before the first one, the defaults of the fields."""

    livemode = models.BooleanField(default=True)
    starts_on = models.DateField()
    breakage_method = models.CharField(
        max_length=12, choices=BreakageMethod.choices, default=BreakageMethod.REMOTE
    )
    bonus_allocation = models.CharField(
        max_length=14, choices=BonusAllocation.choices, default=BonusAllocation.EFFECTIVE_RATE
    )
    unclaimed_percent = models.DecimalField(
        max_digits=9,
        decimal_places=6,
        default=0,
        help_text="Of lapsed cash credits, what has to be handed to a state.",
    )
    unexplained_limit = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=100,
        help_text="The largest unexplained difference that may be posted by hand.",
    )

    class Meta(FourEyes.Meta):
        verbose_name_plural = "policies"
        constraints = [
            *FourEyes.Meta.constraints,
            models.UniqueConstraint(
                fields=["livemode", "starts_on"],
                condition=Q(approved_by__isnull=False),
                name="ledger_policy_one_a_day",
            ),
            models.CheckConstraint(
                condition=Q(unclaimed_percent__gte=0, unclaimed_percent__lte=100),
                name="ledger_policy_unclaimed",
            ),
            models.CheckConstraint(
                condition=Q(unexplained_limit__gte=0), name="ledger_policy_unexplained"
            ),
        ]

    def __str__(self) -> str:
        return f"from {self.starts_on}"


class BreakageRate(FourEyes):
    """From a day on, so many percent of what such cohorts sold is expected never to be used.

    A cohort is what was sold in one month, of a kind and currency; a rate for a currency goes
    before one for all, and a later one before an earlier one.
    """

    livemode = models.BooleanField(default=True)
    kind = models.CharField(max_length=5, choices=[("CASH", "CASH"), ("BONUS", "BONUS")])
    currency = models.CharField(max_length=3, blank=True, help_text="Empty: every currency.")
    sold_from = models.DateField(null=True, blank=True, help_text="The first month of sale.")
    sold_until = models.DateField(null=True, blank=True, help_text="Exclusive; empty: no end.")
    starts_on = models.DateField(help_text="The estimate is in force from this day on.")
    percent = models.DecimalField(max_digits=9, decimal_places=6)

    class Meta(FourEyes.Meta):
        constraints = [
            *FourEyes.Meta.constraints,
            # With all of it expected unused, there would be no use to be in proportion to.
            models.CheckConstraint(
                condition=Q(percent__gte=0, percent__lt=100), name="ledger_breakagerate_percent"
            ),
            models.CheckConstraint(
                condition=Q(sold_from=None) | Q(sold_until=None) | Q(sold_until__gt=F("sold_from")),
                name="ledger_breakagerate_months",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.percent.normalize():f} % from {self.starts_on}"


def _percent(title: str) -> models.DecimalField:  # type: ignore[type-arg]
    return models.DecimalField(title, max_digits=9, decimal_places=6)


class ProvisionMatrix(FourEyes):
    """From a day on, so many percent of open invoices are expected never to be paid, by how long
    they are overdue (ASC 326; IFRS 9 B5.5.35).

    One for a customer goes before one for a currency, that before one for all, and a later one
    before an earlier one.
    """

    livemode = models.BooleanField(default=True)
    book = models.ForeignKey(
        Book,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="customer",
        help_text="Empty: every customer.",
    )
    currency = models.CharField(max_length=3, blank=True, help_text="Empty: every currency.")
    starts_on = models.DateField(help_text="It is in force from this day on.")
    current = _percent("not due, %")
    overdue_30 = _percent("1-30 days, %")
    overdue_60 = _percent("31-60 days, %")
    overdue_90 = _percent("61-90 days, %")
    overdue_later = _percent("over 90 days, %")

    class Meta(FourEyes.Meta):
        verbose_name_plural = "provision matrices"
        constraints = [
            *FourEyes.Meta.constraints,
            models.CheckConstraint(
                condition=reduce(
                    and_,
                    (
                        Q((f"{bucket}__gte", 0), (f"{bucket}__lte", 100))
                        for bucket in (
                            "current", "overdue_30", "overdue_60", "overdue_90", "overdue_later",
                        )
                    ),
                ),
                name="ledger_provisionmatrix_percents",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        of = self.currency if self.book is None else f"{self.book} {self.currency}"
        return f"{of} from {self.starts_on}".strip()
