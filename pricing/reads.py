"""What other floors read of the catalogue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from aforo.errors import Conflict, FieldError, Invalid
from pricing.models import Charge, Metric, Offering, RatePlan, RatePlanVersion, VersionStatus
from pricing.terms import Terms, parse


class NotPublished(Conflict):
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
    """Give the latest published version of a plan.

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
    """Give a version's charges in their order, in three queries."""
    charges = (
        Charge.objects.filter(version=version)
        .prefetch_related("feeds__metric")
        .order_by("position", "pk")
    )
    return tuple(
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
    )


def known_metrics(*, livemode: bool, codes: Collection[str]) -> dict[str, Metric]:
    """Give those of the named metrics that a mode has, by code."""
    storable = [code for code in codes if "\x00" not in code]
    found = Metric.objects.filter(livemode=livemode, code__in=storable)
    return {metric.code: metric for metric in found}
