"""Campaigns: drafted, activated, paused, ended; and what they may still give.

DRAFT -> SCHEDULED or ACTIVE -> PAUSED -> ACTIVE ... -> ENDED. What a campaign promises is edited
while it is a DRAFT only. Its window decides by itself, to the instant: SCHEDULED, ACTIVE and ENDED
follow it when the sweep comes by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from aforo import money
from aforo.database import joined
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing.campaigns import campaign_terms
from pricing.campaigns.campaign_terms import CampaignTerms
from pricing.models import Campaign, CampaignStatus, CampaignTrigger
from pricing.plans.codes import CodeTaken, can_exist

RUNNING = [CampaignStatus.SCHEDULED, CampaignStatus.ACTIVE]


class UnknownCampaign(NotFound):
    """No campaign of the key's mode has this code.

    Take the code from GET /v1/campaigns.
    """

    default_code = "unknown_campaign"


class CampaignNotDraft(Conflict):
    """Terms of a campaign that was activated do not change.

    End it and draft another one.
    """

    default_code = "campaign_not_draft"


class CampaignNotActive(Conflict):
    """The campaign is a draft, paused, or has not begun.

    Activate it, or wait until its window opens.
    """

    default_code = "campaign_not_active"


class CampaignOver(Conflict):
    """The campaign has ended, or its window has closed.

    Draft another one.
    """

    default_code = "campaign_over"


class BudgetSpent(Conflict):
    """The campaign's budget does not pay for another grant.

    Nothing was granted; draft another campaign to go on.
    """

    default_code = "budget_spent"


class LimitReached(Conflict):
    """The campaign has given all its grants, or this customer has had as many as one may.

    Nothing was granted; do not repeat it.
    """

    default_code = "limit_reached"


def create_campaign(*, livemode: bool, code: str, terms: CampaignTerms) -> Campaign:
    """Create a campaign as a draft.

    Raises: CodeTaken; Invalid with a pointer for every fault of the terms.
    """
    columns = campaign_terms.read(livemode=livemode, code=code, terms=terms)
    try:
        with transaction.atomic():
            return Campaign.objects.create(livemode=livemode, code=code, **columns)
    except IntegrityError as error:
        raise CodeTaken(f"There is a campaign {code} already.") from error


@transaction.atomic
def update_campaign(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Campaign:
    """Replace members of what a draft promises (see CampaignTerms); the others stay.

    A new trigger brings its own kind and redemption code, where these are not given with it.

    Raises: UnknownCampaign, CampaignNotDraft, Invalid.
    """
    campaign = _lock(get_campaign(livemode=livemode, code=code))
    if campaign.status != CampaignStatus.DRAFT:
        raise CampaignNotDraft(f"The campaign {code} has been activated: draft another one.")
    terms = campaign_terms.terms_of(campaign)
    if "trigger" in changes:
        terms = replace(terms, kind="", redemption_code="")
    terms = replace(terms, **changes)
    columns = campaign_terms.read(
        livemode=livemode, code=code, terms=terms, campaign_id=campaign.pk
    )
    for name, value in columns.items():
        setattr(campaign, name, value)
    try:
        with transaction.atomic():
            campaign.save(update_fields=list(columns))
    except IntegrityError as error:
        raise CodeTaken(f"Another campaign is redeemed by {campaign.redemption_code}.") from error
    return campaign


def check_campaign(
    *, livemode: bool, code: str, terms: CampaignTerms, campaign_id: int | None = None
) -> dict[str, Any]:
    """Validate terms, and return the columns of a campaign that promises them.

    Raises: Invalid, naming every fault.
    """
    return campaign_terms.read(livemode=livemode, code=code, terms=terms, campaign_id=campaign_id)


def get_campaign(*, livemode: bool, code: str) -> Campaign:
    """Find a campaign.

    Raises: UnknownCampaign.
    """
    found = _with_metrics().filter(livemode=livemode, code=code)
    campaign = found.first() if can_exist(code) else None
    if campaign is None:
        raise UnknownCampaign(f"There is no campaign {code}.")
    return campaign


def find_redeemable(*, livemode: bool, code: str) -> Campaign:
    """Find the campaign that a redemption code belongs to, in whatever case it was typed.

    Raises: Invalid (`unknown_code`).
    """
    found = _with_metrics().filter(livemode=livemode, trigger=CampaignTrigger.CODE)
    campaign = found.filter(redemption_code__iexact=code).first() if can_exist(code) else None
    if campaign is None:
        raise Invalid([FieldError("/code", "unknown_code", f"There is no code {code}.")])
    return campaign


def running_campaigns(*, livemode: bool, trigger: str) -> list[Campaign]:
    """Return the campaigns that may give for a trigger, in the order in which they are locked."""
    return joined.select(
        Campaign,
        ["metric", "milestone_metric"],
        "WHERE t.livemode = %s AND t.trigger = %s AND t.status = ANY(%s) ORDER BY t.id",
        [livemode, trigger, [*map(str, RUNNING)]],
    )


def lock_in_order(campaigns: Sequence[Campaign]) -> None:
    """Lock the rows of several campaigns, by primary key, before anything is claimed of the first;
    a single one is locked by its claim. They stay locked until the end of the transaction.
    """
    if len(campaigns) > 1:
        for campaign in sorted(campaigns, key=lambda each: each.pk):
            Campaign.objects.filter(pk=campaign.pk).update(grants=F("grants"))


def _with_metrics() -> QuerySet[Campaign]:
    return Campaign.objects.select_related("metric", "milestone_metric")


def _lock(campaign: Campaign) -> Campaign:
    """Lock the campaign's row until the end of the transaction, by an update that changes nothing.

    Whoever comes second waits, and reads what the first has left.
    """
    Campaign.objects.filter(pk=campaign.pk).update(grants=F("grants"))
    return _with_metrics().get(pk=campaign.pk)


@transaction.atomic
def activate_campaign(*, livemode: bool, code: str, now: datetime) -> Campaign:
    """Activate a draft or paused campaign: at once, or SCHEDULED until its window opens.

    Its terms are validated once more. Activating it again changes nothing.
    Raises: UnknownCampaign, CampaignOver, Invalid.
    """
    campaign = _lock(get_campaign(livemode=livemode, code=code))
    if campaign.status == CampaignStatus.ENDED:
        raise CampaignOver(f"The campaign {code} has ended: draft another one.")
    if campaign.status in RUNNING:
        return campaign
    campaign_terms.read(
        livemode=livemode,
        code=code,
        terms=campaign_terms.terms_of(campaign),
        campaign_id=campaign.pk,
    )
    late = [
        FieldError(f"/{name}", "in_the_past", "It is over already.")
        for name in ("ends_at", "expires_at")
        if (moment := getattr(campaign, name)) is not None and moment <= now
    ]
    if late:
        raise Invalid(late)
    waits = campaign.starts_at is not None and now < campaign.starts_at
    return _set_status(campaign, CampaignStatus.SCHEDULED if waits else CampaignStatus.ACTIVE)


@transaction.atomic
def pause_campaign(*, livemode: bool, code: str) -> Campaign:
    """Pause a campaign: it gives nothing until it is activated again.

    Raises: UnknownCampaign; CampaignNotActive for a draft, CampaignOver for an ended one.
    """
    campaign = _lock(get_campaign(livemode=livemode, code=code))
    if campaign.status == CampaignStatus.ENDED:
        raise CampaignOver(f"The campaign {code} has ended.")
    if campaign.status == CampaignStatus.DRAFT:
        raise CampaignNotActive(f"The campaign {code} is a draft.")
    return _set_status(campaign, CampaignStatus.PAUSED)


@transaction.atomic
def end_campaign(*, livemode: bool, code: str) -> Campaign:
    """End a campaign for good; what it gave stays with the customers.

    Raises: UnknownCampaign.
    """
    campaign = _lock(get_campaign(livemode=livemode, code=code))
    return _set_status(campaign, CampaignStatus.ENDED)


def _set_status(campaign: Campaign, status: CampaignStatus) -> Campaign:
    campaign.status = status
    campaign.save(update_fields=["status"])
    return campaign


def follow_windows(*, now: datetime) -> int:
    """End the campaigns whose window is over and start those whose window has opened.

    Returns how many changed. Safe to repeat.
    """
    over = Q(ends_at__lte=now) | Q(expires_at__lte=now)
    live = Campaign.objects.exclude(status__in=[CampaignStatus.DRAFT, CampaignStatus.ENDED])
    ended = live.filter(over).update(status=CampaignStatus.ENDED)
    waiting = Campaign.objects.filter(status=CampaignStatus.SCHEDULED, starts_at__lte=now)
    return ended + waiting.update(status=CampaignStatus.ACTIVE)


def refusal_of(campaign: Campaign, moment: datetime) -> Conflict | None:
    """Return why a campaign gives nothing at a moment, if state or window forbid it."""
    if campaign.status == CampaignStatus.ENDED or campaign.is_over_at(moment):
        return CampaignOver(f"The campaign {campaign.code} is over.")
    if campaign.status not in RUNNING:
        return CampaignNotActive(f"The campaign {campaign.code} is not active.")
    if not campaign.has_begun_at(moment):
        return CampaignNotActive(f"The campaign {campaign.code} has not begun.")
    return None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was claimed of a campaign: so many grants, so much in all; `short` says why not all."""

    grants: int
    quantity: Decimal
    short: Conflict | None = None


@money.exact
def claim(*, campaign: Campaign, each: Decimal, grants: int = 1, clip: bool = False) -> Claimed:
    """Reserve grants of `each` from what a campaign may still give, in the caller's transaction.

    Claims as many whole grants as are left, or with `clip` one grant cut to what is left. The books
    must be locked before (docs/decisions.md#d1); the campaign's row stays locked until the commit,
    so that concurrent claims never pass budget or number.

    Raises: CampaignNotActive, CampaignOver, BudgetSpent, LimitReached when nothing is left.
    """
    mine, wanted = Campaign.objects.filter(pk=campaign.pk), Claimed(grants, each * grants)
    fitting = mine.filter(
        Q(budget=None) | Q(spent__lte=F("budget") - wanted.quantity),
        Q(max_grants=None) | Q(grants__lte=F("max_grants") - grants),
        status__in=RUNNING,
    )
    if not _take(fitting, wanted):
        wanted = _what_is_left(_lock(campaign), each, grants, clip=clip)
        _take(mine, wanted)
    return wanted


def return_to_budget(*, campaign_id: int, quantity: Decimal) -> None:
    """Return to a campaign's budget what was taken back unspent; its grant still counts as one."""
    Campaign.objects.filter(pk=campaign_id).update(spent=F("spent") - quantity)


def _take(rows: QuerySet[Campaign], claimed: Claimed) -> bool:
    taken = rows.update(spent=F("spent") + claimed.quantity, grants=F("grants") + claimed.grants)
    return taken == 1


def _what_is_left(campaign: Campaign, each: Decimal, grants: int, *, clip: bool) -> Claimed:
    """Reduce a claim to what a campaign, whose row is locked, may still give."""
    if campaign.status == CampaignStatus.ENDED:
        raise CampaignOver(f"The campaign {campaign.code} is over.")
    if campaign.status not in RUNNING:
        raise CampaignNotActive(f"The campaign {campaign.code} is not active.")
    short: Conflict = LimitReached(f"The campaign {campaign.code} has given all its grants.")
    if campaign.max_grants is not None:
        grants = min(grants, campaign.max_grants - campaign.grants)
    if grants > 0 and campaign.budget is not None:
        rest = campaign.budget - campaign.spent
        if rest < each * grants:
            short = BudgetSpent(f"The budget of the campaign {campaign.code} is spent.")
            if clip and rest > 0:
                return Claimed(1, rest, short)
            grants = int(rest // each)
    if grants <= 0:
        raise short
    return Claimed(grants, each * grants, short)
