"""Queries of the catalogue for wallets and billing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from django.db.models import QuerySet

from aforo import money
from aforo.database.together import Part, select_together
from aforo.errors import Conflict, FieldError, Invalid
from pricing.models import (
    BonusSlab,
    Charge,
    ChargeTiming,
    CreditUnit,
    Metric,
    Offering,
    OnAccount,
    RatePlan,
    RatePlanVersion,
    TopUpRule,
    VersionStatus,
)
from pricing.terms import Terms, parse


class NotPublished(Conflict):
    """The rate plan has no published version.

    Publish its draft by POST /v1/rate-plans/{code}/publish.
    """

    default_code = "not_published"


@dataclass(frozen=True, slots=True)
class PricedCharge:
    """A charge with its terms read."""

    code: str
    model: str
    terms: Terms
    timing: str
    feeds: tuple[tuple[str, Decimal], ...]
    description: str


def current_version(plan: RatePlan) -> RatePlanVersion:
    """Return the latest published version of a plan.

    Raises: NotPublished.
    """
    published = RatePlanVersion.objects.filter(plan=plan, status=VersionStatus.PUBLISHED)
    version = published.select_related("plan").order_by("-number").first()
    if version is None:
        raise NotPublished(f"The rate plan {plan.code} has no published version.")
    return version


def find_offering(*, livemode: bool, code: str, pointer: str = "/offering") -> Offering:
    """Find an offering by the code that a request's field at `pointer` names.

    Raises: Invalid (`unknown_offering`).
    """
    offering = (
        Offering.objects.filter(livemode=livemode, code=code).select_related("plan").first()
        if "\x00" not in code
        else None
    )
    if offering is None:
        detail = f"There is no offering {code}."
        raise Invalid([FieldError(pointer, "unknown_offering", detail)])
    return offering


def charges_of(version: RatePlanVersion) -> tuple[PricedCharge, ...]:
    """Return a version's charges in their order."""
    return _priced(version).charges


def metrics_of(version: RatePlanVersion) -> tuple[Metric, ...]:
    """Return the metrics that a version prices, the oldest first."""
    return _priced(version).metrics


def bills_in_advance(version: RatePlanVersion) -> bool:
    """Return whether a version has fees that are billed in advance."""
    return any(charge.timing == ChargeTiming.ADVANCE for charge in charges_of(version))


@dataclass(frozen=True, slots=True)
class _Priced:
    charges: tuple[PricedCharge, ...]
    metrics: tuple[Metric, ...]


def _priced(version: RatePlanVersion) -> _Priced:
    """Read what a version prices; a published one never changes, so a process reads it once. Of a
    draft, what its instance has fetched before is reused.
    """
    if version.published_at is not None:
        return _published(version.pk, version.published_at)
    if "charges" in getattr(version, "_prefetched_objects_cache", {}):
        return _as_priced(version.charges.all())
    return _as_priced(_charges(version.pk))


@lru_cache(maxsize=1_000)
def published_version(version_id: int, published_at: datetime) -> RatePlanVersion:
    """Return a version, with its plan, that was published then; a process reads it once. It is
    shared, and only its terms may be read.
    """
    found = RatePlanVersion.objects.select_related("plan")
    return found.get(pk=version_id, published_at=published_at)


@lru_cache(maxsize=1_000)
def _published(version_id: int, published_at: datetime) -> _Priced:
    # Part of the key: what was published and taken back in one transaction can still be edited.
    del published_at
    return _as_priced(_charges(version_id))


def _charges(version_id: int) -> QuerySet[Charge]:
    return Charge.objects.filter(version=version_id).prefetch_related("feeds__metric")


def _as_priced(found: Iterable[Charge]) -> _Priced:
    charges = sorted(found, key=lambda charge: (charge.position, charge.pk))
    metrics = {feed.metric for charge in charges for feed in charge.feeds.all()}
    return _Priced(
        tuple(
            PricedCharge(
                code=charge.code,
                model=charge.model,
                terms=parse(charge.model, charge.terms),
                timing=charge.timing,
                feeds=tuple(
                    (feed.metric.code, feed.weight)
                    for feed in sorted(charge.feeds.all(), key=lambda feed: feed.pk)
                ),
                description=charge.description or charge.code,
            )
            for charge in charges
        ),
        tuple(sorted(metrics, key=lambda metric: metric.pk)),
    )


def known_metrics(*, livemode: bool, codes: Collection[str]) -> dict[str, Metric]:
    """Return those of the named metrics that a mode has, by code."""
    storable = [code for code in codes if "\x00" not in code]
    found = Metric.objects.filter(livemode=livemode, code__in=storable)
    return {metric.code: metric for metric in found}


@dataclass(frozen=True, slots=True)
class TopUpTerms:
    """On what terms credits of a currency are sold; `slabs` are (from, bonus), highest first."""

    minimum: Decimal | None = None
    maximum: Decimal | None = None
    expires_after_days: int | None = None
    on_account: str = OnAccount.HELD_BACK
    tax_at_sale: bool = False
    tax_class: str = ""
    slabs: tuple[tuple[Decimal, Decimal], ...] = ()
    unit: CreditUnit | None = None

    def of_unit(self, unit: CreditUnit) -> TopUpTerms:
        """Return the terms of a credit unit that is paid in the currency: bounds and what is on
        account are the payment's; lifetime and slabs are those of the currency's own credits.
        """
        return replace(
            self,
            unit=unit,
            expires_after_days=None,
            slabs=(),
            tax_at_sale=unit.tax_at_sale,
            tax_class=unit.tax_class,
        )

    def bonus_for(self, amount: Decimal) -> Decimal | None:
        """Return what comes with a top-up: with (100, 20), 20 for 100 and more, else nothing."""
        return next((bonus for start, bonus in self.slabs if start <= amount), None)

    def check(self, amount: Decimal) -> None:
        """Check an amount against the bounds, both of which may be bought.

        Raises: Invalid (`below_minimum`, `above_maximum`).
        """
        if self.minimum is not None and amount < self.minimum:
            detail = f"The smallest top-up is {money.plain(self.minimum)}."
            raise Invalid([FieldError("/amount", "below_minimum", detail)])
        if self.maximum is not None and amount > self.maximum:
            detail = f"The largest top-up is {money.plain(self.maximum)}."
            raise Invalid([FieldError("/amount", "above_maximum", detail)])


def is_sold_in(*, livemode: bool, currency: str) -> bool:
    """Return whether a code is a currency that is sold in, or a credit unit."""
    units = CreditUnit.objects.filter(livemode=livemode, code=currency)
    return currency in money.EXPONENTS or units.exists()


_RULE = "WHERE t.livemode = %s AND t.currency = %s"
_SLABS = "JOIN pricing_topuprule AS r ON r.id = t.rule_id WHERE r.livemode = %s AND r.currency = %s"


def top_up_terms(*, livemode: bool, currency: str) -> TopUpTerms:
    """Return the terms on which credits of a currency are sold."""
    asked = [livemode, currency]
    found = select_together([Part(TopUpRule, _RULE, asked), Part(BonusSlab, _SLABS, asked)])
    rules, slabs = found.rows
    if not rules:
        return TopUpTerms()
    rule = rules[0]
    return TopUpTerms(
        minimum=rule.minimum,
        maximum=rule.maximum,
        expires_after_days=rule.expires_after_days,
        on_account=rule.on_account,
        tax_at_sale=rule.tax_at_sale,
        tax_class=rule.tax_class,
        slabs=tuple(sorted(((slab.from_amount, slab.bonus) for slab in slabs), reverse=True)),
    )
