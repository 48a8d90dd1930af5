"""Offerings: a plan as it is sold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from aforo.errors import FieldError, Invalid, NotFound
from pricing.models import Offering, OfferingStatus, RatePlan
from pricing.reads import current_version
from pricing.services.codes import CodeTaken, can_exist


class UnknownOffering(NotFound):
    default_code = "unknown_offering"


def create_offering(
    *,
    livemode: bool,
    code: str,
    name: str,
    rate_plan: str,
    billing_mode: str,
    interval: str,
    interval_count: int = 1,
    trial_days: int = 0,
    overage_limit: Decimal | None = None,
    status: str = OfferingStatus.ACTIVE,
) -> Offering:
    """Sell a plan in a billing mode, at an interval.

    Raises: CodeTaken; Invalid (`unknown_rate_plan`); NotPublished for an active one.
    """
    plan = RatePlan.objects.filter(livemode=livemode, code=rate_plan).first()
    if plan is None:
        detail = f"There is no rate plan {rate_plan}."
        raise Invalid([FieldError("/rate_plan", "unknown_rate_plan", detail)])
    if status == OfferingStatus.ACTIVE:
        current_version(plan)
    try:
        with transaction.atomic():
            return Offering.objects.create(
                livemode=livemode,
                code=code,
                name=name,
                plan=plan,
                billing_mode=billing_mode,
                interval=interval,
                interval_count=interval_count,
                trial_days=trial_days,
                overage_limit=overage_limit,
                status=status,
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is an offering {code} already.") from error


def get_offering(*, livemode: bool, code: str) -> Offering:
    """Find an offering.

    Raises: UnknownOffering.
    """
    found = Offering.objects.filter(livemode=livemode, code=code).select_related("plan")
    offering = found.first() if can_exist(code) else None
    if offering is None:
        raise UnknownOffering(f"There is no offering {code}.")
    return offering


@transaction.atomic
def update_offering(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Offering:
    """Rename an offering, or move it between DRAFT, ACTIVE and ARCHIVED.

    An archived one takes no new subscription and keeps its old ones.
    Raises: UnknownOffering, NotPublished.
    """
    offering = get_offering(livemode=livemode, code=code)
    if changes.get("status") == OfferingStatus.ACTIVE:
        current_version(offering.plan)
    for name, value in changes.items():
        setattr(offering, name, value)
    if changes:
        offering.save(update_fields=list(changes))
    return offering
