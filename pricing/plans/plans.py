"""Rate plans and their versions: drafted, published for ever, retired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing.catalogue import NotPublished
from pricing.models import Metric, OfferingStatus, RatePlan, RatePlanVersion, VersionStatus
from pricing.plans import version_spec
from pricing.plans.codes import CodeTaken, can_exist


class UnknownRatePlan(NotFound):
    """No rate plan, or no such version of it, has this code in the key's mode.

    Take the code from GET /v1/rate-plans.
    """

    default_code = "unknown_rate_plan"


class NoDraft(Conflict):
    """The rate plan has no draft.

    Begin one by POST /v1/rate-plans/{code}/versions.
    """

    default_code = "no_draft"


class DraftExists(Conflict):
    """The rate plan has a draft already.

    Change or publish that draft first.
    """

    default_code = "draft_exists"


class OnSale(Conflict):
    """The version is the one that offerings sell.

    Publish another version first, or archive the offerings.
    """

    default_code = "on_sale"


@transaction.atomic
def create_rate_plan(
    *, livemode: bool, code: str, name: str, currency: str, spec: version_spec.VersionSpec
) -> RatePlanVersion:
    """Create a plan with its first draft.

    Raises: CodeTaken; Invalid with a pointer for every fault of the version.
    """
    try:
        with transaction.atomic():
            plan = RatePlan.objects.create(
                livemode=livemode, code=code, name=name, currency=currency
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a rate plan {code} already.") from error
    return version_spec.write(RatePlanVersion.objects.create(plan=plan, number=1), spec)


@transaction.atomic
def rename_rate_plan(*, livemode: bool, code: str, name: str) -> RatePlan:
    """Rename a plan; code and currency stay, since its prices rest on them.

    Raises: UnknownRatePlan.
    """
    plan = get_rate_plan(livemode=livemode, code=code)
    plan.name = name
    plan.save(update_fields=["name"])
    return plan


def check_version_spec(*, plan: RatePlan, spec: version_spec.VersionSpec) -> None:
    """Validate what a version says, against itself and the metrics of the plan's mode.

    Raises: Invalid, naming every fault.
    """
    version_spec.read(plan, spec)


def get_rate_plan(*, livemode: bool, code: str) -> RatePlan:
    """Find a rate plan.

    Raises: UnknownRatePlan.
    """
    found = RatePlan.objects.filter(livemode=livemode, code=code)
    plan = found.first() if can_exist(code) else None
    if plan is None:
        raise UnknownRatePlan(f"There is no rate plan {code}.")
    return plan


def get_version(*, livemode: bool, code: str, number: int | None) -> RatePlanVersion:
    """Find a version of a plan; without a number the latest, draft or published.

    Raises: UnknownRatePlan.
    """
    plan = get_rate_plan(livemode=livemode, code=code)
    found = RatePlanVersion.objects.filter(plan=plan).select_related("plan")
    if number is not None:
        found = found.filter(number=number)
    version = found.order_by("-number").first()
    if version is None:
        raise UnknownRatePlan(f"The rate plan {code} has no version {number}.")
    return version


@transaction.atomic
def create_version(
    *, livemode: bool, code: str, spec: version_spec.VersionSpec | None = None
) -> RatePlanVersion:
    """Create the next draft of a plan; without content, a copy of the latest version.

    Raises: UnknownRatePlan, DraftExists, Invalid.
    """
    return begin_draft(plan=get_rate_plan(livemode=livemode, code=code), spec=spec)


@transaction.atomic
def begin_draft(*, plan: RatePlan, spec: version_spec.VersionSpec | None = None) -> RatePlanVersion:
    """Create the next draft; without content a copy of the latest version, or an empty one.

    Raises: DraftExists, Invalid.
    """
    latest = plan.versions.order_by("-number").first()
    if latest is None:
        spec = spec or version_spec.VersionSpec(charges=())
        number = 1
    else:
        spec = spec or version_spec.of(latest)
        number = latest.number + 1
    try:
        with transaction.atomic():
            draft = RatePlanVersion.objects.create(plan=plan, number=number)
    except IntegrityError as error:
        raise DraftExists(f"The rate plan {plan.code} has a draft: change that one.") from error
    return version_spec.write(draft, spec)


@transaction.atomic
def update_draft(
    *, livemode: bool, code: str, changes: Mapping[str, Any], number: int | None = None
) -> RatePlanVersion:
    """Replace members of what the draft of a plan says (see VersionSpec); the others stay.

    With a `number`, only if the draft still is this version.
    Raises: UnknownRatePlan, NoDraft, Invalid.
    """
    draft = _lock_draft(get_rate_plan(livemode=livemode, code=code), number)
    return version_spec.write(draft, replace(version_spec.of(draft), **changes))


@transaction.atomic
def discard_draft(*, livemode: bool, code: str, number: int) -> None:
    """Delete a draft with its charges and grants.

    Raises: UnknownRatePlan, NoDraft.
    """
    _lock_draft(get_rate_plan(livemode=livemode, code=code), number).delete()


def _lock_draft(plan: RatePlan, number: int | None = None) -> RatePlanVersion:
    """Lock the draft's row until the end of the transaction, by an update that changes nothing.

    Whoever comes second waits, and finds out whether there is still a draft.
    Raises: NoDraft.
    """
    drafts = RatePlanVersion.objects.filter(plan=plan, status=VersionStatus.DRAFT)
    if number is not None:
        drafts = drafts.filter(number=number)
    if not drafts.update(status=VersionStatus.DRAFT):
        raise NoDraft(f"The rate plan {plan.code} has no draft.")
    return drafts.select_related("plan").get()


@transaction.atomic
def publish(*, livemode: bool, code: str, now: datetime) -> RatePlanVersion:
    """Publish the draft, which never changes again; new subscriptions get it from now on.

    It is validated once more: it may have been typed in part by part.
    Raises: UnknownRatePlan, NoDraft; Invalid when it is not sound, or says nothing.
    """
    draft = _lock_draft(get_rate_plan(livemode=livemode, code=code))
    spec = version_spec.of(draft)
    if not spec.charges and not spec.grants:
        raise Invalid([FieldError("/charges", "empty", "The plan has no charge and no grant.")])
    version_spec.read(draft.plan, spec)
    _check_mode(draft)
    draft.status = VersionStatus.PUBLISHED
    draft.published_at = now
    draft.save(update_fields=["status", "published_at"])
    return draft


def _check_mode(draft: RatePlanVersion) -> None:
    """Check that live prices count live metrics only, whatever shares their code elsewhere."""
    feeding = Metric.objects.filter(feeds__charge__version=draft)
    granted = Metric.objects.filter(pk__in=draft.grants.values("metric"))
    for pointer, metrics in (("/charges", feeding), ("/grants", granted)):
        stranger = metrics.exclude(livemode=draft.plan.livemode).first()
        if stranger is not None:
            detail = f"The metric {stranger.code} is of the other mode."
            raise Invalid([FieldError(pointer, "unknown_metric", detail)])


@transaction.atomic
def retire(*, livemode: bool, code: str, number: int) -> RatePlanVersion:
    """Retire a published version; subscriptions that pin it keep it.

    Raises: UnknownRatePlan, NotPublished; OnSale when an active offering would have none left.
    """
    version = get_version(livemode=livemode, code=code, number=number)
    published = RatePlanVersion.objects.filter(plan=version.plan, status=VersionStatus.PUBLISHED)
    if not published.filter(pk=version.pk).update(status=VersionStatus.RETIRED):
        raise NotPublished(f"Version {number} of {code} is not published.")
    on_sale = version.plan.offerings.filter(status=OfferingStatus.ACTIVE).first()
    if on_sale is not None and not published.exists():
        raise OnSale(f"The offering {on_sale.code} sells it: archive that, or publish another.")
    version.refresh_from_db()
    return version
