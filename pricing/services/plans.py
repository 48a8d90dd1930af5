"""Rate plans and their versions: drafted, published for ever."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing.models import (
    ChargeMetric,
    RatePlan,
    RatePlanVersion,
    VersionStatus,
)
from pricing.services import wording as wordings
from pricing.services.codes import CodeTaken


class UnknownRatePlan(NotFound):
    default_code = "unknown_rate_plan"


class NoDraft(Conflict):
    default_code = "no_draft"


class DraftExists(Conflict):
    default_code = "draft_exists"


@transaction.atomic
def create_rate_plan(
    *, livemode: bool, code: str, name: str, currency: str, wording: wordings.Wording
) -> RatePlanVersion:
    """Create a plan with its first draft.

    Raises: CodeTaken; Invalid with a pointer for every fault of the wording.
    """
    try:
        with transaction.atomic():
            plan = RatePlan.objects.create(
                livemode=livemode, code=code, name=name, currency=currency
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a rate plan {code} already.") from error
    return wordings.write(plan, RatePlanVersion(plan=plan, number=1), wording)


def get_rate_plan(*, livemode: bool, code: str) -> RatePlan:
    """Find a rate plan.

    Raises: UnknownRatePlan.
    """
    plan = RatePlan.objects.filter(livemode=livemode, code=code).first()
    if plan is None:
        raise UnknownRatePlan(f"There is no rate plan {code}.")
    return plan


def get_version(*, livemode: bool, code: str, number: int | None) -> RatePlanVersion:
    """Find a version of a plan; without a number the latest, draft or published.

    Raises: UnknownRatePlan.
    """
    found = RatePlanVersion.objects.filter(plan__livemode=livemode, plan__code=code)
    if number is not None:
        found = found.filter(number=number)
    version = found.select_related("plan").order_by("-number").first()
    if version is None:
        raise UnknownRatePlan(f"There is no version {number} of a rate plan {code}.")
    return version


@transaction.atomic
def create_version(*, livemode: bool, code: str, wording: wordings.Wording) -> RatePlanVersion:
    """Begin the next draft of a plan.

    Raises: UnknownRatePlan, DraftExists, Invalid.
    """
    plan = get_rate_plan(livemode=livemode, code=code)
    latest = plan.versions.order_by("-number").first()
    if latest is not None and latest.status == VersionStatus.DRAFT:
        raise DraftExists(f"Version {latest.number} of {code} is a draft: change that one.")
    number = 1 if latest is None else latest.number + 1
    return wordings.write(plan, RatePlanVersion(plan=plan, number=number), wording)


@transaction.atomic
def begin_draft(*, plan: RatePlan) -> RatePlanVersion:
    """Begin the next draft as a copy of the latest version, or as an empty one.

    Raises: DraftExists.
    """
    latest = plan.versions.order_by("-number").first()
    if latest is None:
        return RatePlanVersion.objects.create(plan=plan, number=1)
    if latest.status == VersionStatus.DRAFT:
        raise DraftExists(f"Version {latest.number} of {plan.code} is a draft already.")
    draft = RatePlanVersion.objects.get(pk=latest.pk)
    draft.pk, draft.number = None, latest.number + 1
    draft.status, draft.published_at = VersionStatus.DRAFT, None
    draft.save(force_insert=True)
    for charge in latest.charges.prefetch_related("feeds").order_by("position", "pk"):
        feeds = list(charge.feeds.all())
        charge.pk, charge.version = None, draft
        charge.save(force_insert=True)
        ChargeMetric.objects.bulk_create(
            ChargeMetric(charge=charge, metric_id=feed.metric_id, weight=feed.weight)
            for feed in feeds
        )
    for grant in latest.grants.order_by("position", "pk"):
        grant.pk, grant.version = None, draft
        grant.save(force_insert=True)
    return draft


@transaction.atomic
def update_draft(*, livemode: bool, code: str, wording: wordings.Wording) -> RatePlanVersion:
    """Replace what the draft of a plan says.

    Raises: UnknownRatePlan, NoDraft, Invalid.
    """
    draft = _draft_of(livemode=livemode, code=code)
    draft.charges.all().delete()
    draft.grants.all().delete()
    return wordings.write(draft.plan, draft, wording)


def _draft_of(*, livemode: bool, code: str) -> RatePlanVersion:
    plan = get_rate_plan(livemode=livemode, code=code)
    draft = plan.versions.filter(status=VersionStatus.DRAFT).select_related("plan").first()
    if draft is None:
        raise NoDraft(f"The rate plan {code} has no draft.")
    return draft


@transaction.atomic
def publish(*, livemode: bool, code: str, now: datetime) -> RatePlanVersion:
    """Freeze the draft for ever; new subscriptions take it from now on.

    Raises: UnknownRatePlan, NoDraft; Invalid when it has neither charges nor grants.
    """
    draft = _draft_of(livemode=livemode, code=code)
    if not draft.charges.exists() and not draft.grants.exists():
        raise Invalid([FieldError("/charges", "empty", "The plan has no charge and no grant.")])
    draft.status = VersionStatus.PUBLISHED
    draft.published_at = now
    draft.save(update_fields=["status", "published_at"])
    return draft
