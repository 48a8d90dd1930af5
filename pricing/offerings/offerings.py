"""Offerings: a plan as it is sold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from aforo.errors import FieldError, Invalid, NotFound
from pricing.catalogue import current_version
from pricing.models import (
    MAX_GRACE,
    BillingMode,
    Offering,
    OfferingStatus,
    OverCapture,
    RatePlan,
)
from pricing.plans.codes import CodeTaken, can_exist


class UnknownOffering(NotFound):
    """No offering of the key's mode has this code.

    Take the code from GET /v1/offerings.
    """

    default_code = "unknown_offering"


# Ten years: longer than anything that is sold, and far from the last date there is.
MOST_TRIAL_DAYS = 3_660
MOST_INTERVALS = 366


def check_offering(
    *,
    interval_count: int = 1,
    trial_days: int = 0,
    overage_limit: Decimal | None = None,
    billing_mode: str = BillingMode.PREPAID,
    over_capture: str = OverCapture.REFUSE,
    grace_seconds: int = 0,
    debt_limit: Decimal | None = None,
) -> None:
    """Check the numbers of an offering, and what it does with captures beyond the credits.

    Raises: Invalid, naming each that is out of bounds.
    """
    faults = _faults_of_holds(billing_mode, over_capture, grace_seconds, debt_limit)
    if not 1 <= interval_count <= MOST_INTERVALS:
        detail = f"From 1 to {MOST_INTERVALS}."
        faults.append(FieldError("/interval_count", "out_of_bounds", detail))
    if not 0 <= trial_days <= MOST_TRIAL_DAYS:
        faults.append(FieldError("/trial_days", "out_of_bounds", f"From 0 to {MOST_TRIAL_DAYS}."))
    if overage_limit is not None and overage_limit < 0:
        detail = "Zero or above; leave it empty for no limit."
        faults.append(FieldError("/overage_limit", "negative", detail))
    if faults:
        raise Invalid(faults)


def _faults_of_holds(
    billing_mode: str, over_capture: str, grace_seconds: int, debt_limit: Decimal | None
) -> list[FieldError]:
    faults = []
    if over_capture == OverCapture.DEBT and billing_mode != BillingMode.PREPAID:
        detail = "Only PREPAID customers run into debt; others have overage."
        faults.append(FieldError("/over_capture", "prepaid_only", detail))
    if not 0 <= grace_seconds <= MAX_GRACE:
        faults.append(FieldError("/grace_seconds", "out_of_bounds", f"From 0 to {MAX_GRACE}."))
    if debt_limit is not None and debt_limit < 0:
        faults.append(FieldError("/debt_limit", "negative", "Zero or above; none is zero."))
    return faults


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
    over_capture: str = OverCapture.REFUSE,
    grace_seconds: int = 0,
    debt_limit: Decimal | None = None,
    several_per_customer: bool = False,
    gives_again: bool = False,
    status: str = OfferingStatus.ACTIVE,
) -> Offering:
    """Create an offering: a plan sold in a billing mode, at an interval.

    Raises: CodeTaken; Invalid (`unknown_rate_plan`); NotPublished for an active one.
    """
    check_offering(
        interval_count=interval_count,
        trial_days=trial_days,
        overage_limit=overage_limit,
        billing_mode=billing_mode,
        over_capture=over_capture,
        grace_seconds=grace_seconds,
        debt_limit=debt_limit,
    )
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
                over_capture=over_capture,
                grace_seconds=grace_seconds,
                debt_limit=debt_limit,
                several_per_customer=several_per_customer,
                gives_again=gives_again,
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
    """Change an offering, or move it between DRAFT, ACTIVE and ARCHIVED.

    An archived one takes no new subscription and keeps its old ones.
    Raises: UnknownOffering, NotPublished.
    """
    offering = get_offering(livemode=livemode, code=code)
    numbers = ("interval_count", "trial_days", "overage_limit")
    check_offering(**{name: changes[name] for name in numbers if name in changes})
    if changes.get("status") == OfferingStatus.ACTIVE:
        current_version(offering.plan)
    for name, value in changes.items():
        setattr(offering, name, value)
    if changes:
        offering.save(update_fields=list(changes))
    return offering
