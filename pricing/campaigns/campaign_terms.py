"""What a campaign promises: validated as a whole, every inconsistent field named by its pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from aforo.errors import FieldError, Invalid
from pricing import catalogue
from pricing.models import Campaign, CampaignAudience, CampaignTrigger, CreditKind, Metric, Offering

LIST_MAX = 10_000
ENTRY_MAX = 64
DAYS_MAX = 36_500
PERCENT_MAX = 1_000
# Addresses of the API under /v1/campaigns.
RESERVED = {"redeem"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignTerms:
    """What a campaign promises, in the form of the API; metrics are named by their codes.

    `kind` left empty is BONUS for a top-up match and PROMO otherwise; `redemption_code` left empty
    is the campaign's own code.
    """

    name: str
    trigger: str
    audience: str = CampaignAudience.ALL
    audience_list: Sequence[str] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    kind: str = ""
    amount: Decimal | None = None
    currency: str = ""
    metric: str = ""
    quantity: Decimal | None = None
    expires_after_days: int | None = None
    expires_at: datetime | None = None
    priority: int = 100
    match_percent: Decimal | None = None
    max_per_top_up: Decimal | None = None
    milestone_metric: str = ""
    milestone_quantity: Decimal | None = None
    redemption_code: str = ""
    budget: Decimal | None = None
    max_grants: int | None = None
    max_per_customer: int | None = None


PLAIN = [
    "name", "trigger", "audience", "starts_at", "ends_at", "amount", "currency", "quantity",
    "expires_after_days", "expires_at", "priority", "match_percent", "max_per_top_up",
    "milestone_quantity", "redemption_code", "budget", "max_grants", "max_per_customer",
]  # fmt: skip

# A rule: whether it is broken, the field, the code, the sentence.
Rule = tuple[bool, str, str, str]


def terms_of(campaign: Campaign) -> CampaignTerms:
    """Return what a campaign promises, in the form in which it would be sent."""
    return CampaignTerms(
        **{name: getattr(campaign, name) for name in PLAIN},
        kind=campaign.kind,
        audience_list=campaign.audience_list,
        metric="" if campaign.metric is None else campaign.metric.code,
        milestone_metric=""
        if campaign.milestone_metric is None
        else campaign.milestone_metric.code,
    )


def read(
    *, livemode: bool, code: str, terms: CampaignTerms, campaign_id: int | None = None
) -> dict[str, Any]:
    """Validate terms, and return the columns of a campaign that promises them.

    `campaign_id` is the campaign that is changed. Raises: Invalid, naming every fault.
    """
    named = {name for name in (terms.metric, terms.milestone_metric) if name}
    metrics = catalogue.known_metrics(livemode=livemode, codes=named)
    kind = terms.kind or (
        CreditKind.BONUS if terms.trigger == CampaignTrigger.TOP_UP else CreditKind.PROMO
    )
    redemption_code = terms.redemption_code
    if terms.trigger == CampaignTrigger.CODE:
        redemption_code = redemption_code or code
    rules = [
        *_reward(terms, kind),
        *_numbers(terms),
        *_trigger(terms),
        *_window(terms),
        *_metrics_exist(terms, metrics),
        (code in RESERVED, "code", "reserved", f"The code {code} is an address of its own."),
        (
            _is_taken(livemode, redemption_code, campaign_id),
            "redemption_code",
            "code_taken",
            f"The code {redemption_code} belongs to another campaign.",
        ),
    ]
    faults = [FieldError(f"/{name}", code, text) for broken, name, code, text in rules if broken]
    faults += _audience(livemode, terms)
    if faults:
        raise Invalid(faults)
    return {name: getattr(terms, name) for name in PLAIN} | {
        "kind": kind,
        "redemption_code": redemption_code,
        "audience_list": list(terms.audience_list),
        "metric": metrics.get(terms.metric),
        "milestone_metric": metrics.get(terms.milestone_metric),
    }


def _given(terms: CampaignTerms, *names: str) -> list[str]:
    return [name for name in names if getattr(terms, name) not in (None, "")]


def _reward(terms: CampaignTerms, kind: str) -> list[Rule]:
    """Return what is wrong with what one grant is."""
    if terms.trigger == CampaignTrigger.TOP_UP:
        empty = "A top-up campaign gives a percentage of what was paid: leave this empty."
        return [
            (
                kind != CreditKind.BONUS,
                "kind",
                "bonus_only",
                "What comes with a purchase is BONUS.",
            ),
            (terms.match_percent is None, "match_percent", "required", "Give the percentage."),
            (not terms.currency, "currency", "currency_required", "Name the currency."),
            *(
                (True, name, "not_combinable", empty)
                for name in _given(terms, "amount", "quantity", "metric")
            ),
        ]
    return [
        *(
            (True, name, "not_combinable", "Only a top-up campaign has it.")
            for name in _given(terms, "match_percent", "max_per_top_up")
        ),
        *(_money(terms) if terms.amount is not None else _units(terms)),
    ]


def _money(terms: CampaignTerms) -> list[Rule]:
    return [
        (not terms.currency, "currency", "currency_required", "Name the currency."),
        *(
            (True, name, "not_combinable", "An amount of money has none.")
            for name in _given(terms, "metric", "quantity")
        ),
    ]


def _units(terms: CampaignTerms) -> list[Rule]:
    if terms.quantity is None:
        what = "Give an amount and its currency, or a metric and a quantity."
        return [(True, "quantity" if terms.metric else "amount", "required", what)]
    return [
        (not terms.metric, "metric", "required", "Name the metric of the units."),
        (bool(terms.currency), "currency", "not_combinable", "Units have none."),
    ]


def _numbers(terms: CampaignTerms) -> list[Rule]:
    """Return what is wrong with bounds and numbers."""
    one = terms.quantity if terms.amount is None else terms.amount
    above_zero = (
        "amount", "quantity", "match_percent", "max_per_top_up", "milestone_quantity", "budget",
        "max_grants", "max_per_customer", "expires_after_days",
    )  # fmt: skip
    return [
        *(
            (True, name, "not_positive", "It must be above zero; leave it empty for none.")
            for name in _given(terms, *above_zero)
            if getattr(terms, name) <= 0
        ),
        (
            terms.budget is not None and one is not None and 0 < terms.budget < one,
            "budget",
            "below_one_grant",
            "The budget does not cover one grant.",
        ),
        (
            (terms.match_percent or 0) > PERCENT_MAX,
            "match_percent",
            "too_large",
            f"At most {PERCENT_MAX} percent.",
        ),
        (
            (terms.expires_after_days or 0) > DAYS_MAX,
            "expires_after_days",
            "too_large",
            f"At most {DAYS_MAX} days.",
        ),
    ]


def _trigger(terms: CampaignTerms) -> list[Rule]:
    """Return which fields of a trigger are missing, or belong to another one."""
    milestone = ("milestone_metric", "milestone_quantity")
    if terms.trigger == CampaignTrigger.MILESTONE:
        missing = [name for name in milestone if name not in _given(terms, *milestone)]
        rules = [(True, name, "required", "A milestone has it.") for name in missing]
    else:
        rules = [
            (True, name, "not_combinable", "Only a milestone has it.")
            for name in _given(terms, *milestone)
        ]
    stray_code = terms.trigger != CampaignTrigger.CODE and bool(terms.redemption_code)
    text = "Only a campaign that is redeemed by code has one."
    return [*rules, (stray_code, "redemption_code", "not_combinable", text)]


def _window(terms: CampaignTerms) -> list[Rule]:
    """Return what is wrong with times: the window, and the end of what is given in it."""
    starts, ends, lapses = terms.starts_at, terms.ends_at, terms.expires_at
    return [
        (
            starts is not None and ends is not None and ends <= starts,
            "ends_at",
            "before_start",
            "It must lie after starts_at.",
        ),
        (
            lapses is not None and terms.expires_after_days is not None,
            "expires_at",
            "two_expiries",
            "It expires after days or at a moment, not both.",
        ),
        (
            lapses is not None and starts is not None and lapses <= starts,
            "expires_at",
            "before_start",
            "It must lie after starts_at.",
        ),
        (
            lapses is not None and ends is not None and lapses < ends,
            "expires_at",
            "before_end",
            "Credits may not lapse before the campaign has ended.",
        ),
    ]


def _metrics_exist(terms: CampaignTerms, metrics: Mapping[str, Metric]) -> list[Rule]:
    return [
        (
            bool(getattr(terms, name)) and getattr(terms, name) not in metrics,
            name,
            "unknown_metric",
            f"There is no metric {getattr(terms, name)}.",
        )
        for name in ("metric", "milestone_metric")
    ]


def _is_taken(livemode: bool, redemption_code: str, campaign_id: int | None) -> bool:  # noqa: FBT001
    if not redemption_code:
        return False
    if "\x00" in redemption_code:
        return False
    found = Campaign.objects.filter(livemode=livemode, redemption_code__iexact=redemption_code)
    others = found if campaign_id is None else found.exclude(pk=campaign_id)
    return others.exists()


def _audience(livemode: bool, terms: CampaignTerms) -> list[FieldError]:  # noqa: FBT001
    """Return what is wrong with the list of whom it is for."""
    here, entries = "/audience_list", list(terms.audience_list)
    if terms.audience == CampaignAudience.ALL:
        detail = "A campaign for all customers has no list."
        return [FieldError(here, "not_combinable", detail)] if entries else []
    if not entries:
        return [FieldError(here, "required", "List whom it is for.")]
    if len(entries) > LIST_MAX:
        return [FieldError(here, "too_many", f"At most {LIST_MAX} entries; use a tag.")]
    known = set(entries)
    if terms.audience == CampaignAudience.OFFERINGS:
        storable = [code for code in entries if "\x00" not in code]
        found = Offering.objects.filter(livemode=livemode, code__in=storable)
        known = set(found.values_list("code", flat=True))
    first = {entry: n for n, entry in reversed(list(enumerate(entries)))}
    faults: list[FieldError] = []
    for n, entry in enumerate(entries):
        fault = _entry_fault(entry, is_known=entry in known, is_first=first[entry] == n)
        faults += [FieldError(f"{here}/{n}", *fault)] if fault else []
    return faults


def _entry_fault(entry: str, *, is_known: bool, is_first: bool) -> tuple[str, str] | None:
    if not 0 < len(entry) <= ENTRY_MAX or "\x00" in entry:
        return "invalid", f"Give 1 to {ENTRY_MAX} characters."
    if not is_known:
        return "unknown_offering", f"There is no offering {entry}."
    return None if is_first else ("repeated", f"{entry} is listed twice.")
