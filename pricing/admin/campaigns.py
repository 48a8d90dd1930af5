"""Campaigns: one form that product staff fill in; what runs is read, and changed by actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.forms import Textarea, add_faults
from aforo.adminui.pages import plain_column
from aforo.errors import Invalid
from aforo.money import plain
from pricing.admin.forms import SOUND_CODE, currency_of
from pricing.campaigns import campaign_terms, campaigns
from pricing.models import Campaign, CampaignStatus, CampaignTrigger, Metric

HELP = {
    "livemode": "Off: for customers of the sandbox only.",
    "code": "Its name in the API and in the journal, such as WELCOME_10K. It cannot be changed.",
    "name": "What customers and colleagues read, such as: 10,000 free tokens.",
    "trigger": "What has to happen. The fields below belong to one answer each.",
    "redemption_code": "Redeemed by code: what customers type, in any case. Empty: the code above.",
    "match_percent": "Top-up: 20 adds 20.00 to a top-up of 100.00.",
    "max_per_top_up": "Top-up: the most that one top-up gets. Empty: no limit.",
    "milestone_metric": "Milestone: the usage that is counted, a calendar month at a time.",
    "milestone_quantity": "Milestone: how much of it in a month. The grant comes once a month.",
    "audience": "Who can get it.",
    "audience_list": "One a line: codes of offerings, tags, or customer ids. Empty for everybody.",
    "kind": "Promo: given. Bonus: came with a purchase. Empty: bonus for top-ups, else promo.",
    "quantity": "Units: how many, such as 10000 ...",
    "metric": "... of what, such as tokens.",
    "amount": "Or money: how much, such as 5 ...",
    "currency": "... in which currency. A top-up campaign has only this one.",
    "expires_after_days": "Days from the grant until what is left of it lapses, such as 14.",
    "expires_at": "Or one moment for all. Empty: it never lapses.",
    "priority": "Lower is burned first among credits of its kind.",
    "starts_at": "Empty: from its activation.",
    "ends_at": "At this moment it is over. Empty: until it is ended by hand.",
    "budget": "All grants together, in the money or units above. Empty: no limit.",
    "max_grants": "How many grants in all. Empty: no limit.",
    "max_per_customer": "How many grants one customer can get. Empty: one for each cause.",
}


def _with_mode(metric: object) -> str:
    """Return a metric's name with its mode, because each mode has its own."""
    assert isinstance(metric, Metric), "the field offers metrics"
    return f"{metric.code} ({'live' if metric.livemode else 'sandbox'})"


class CampaignForm(forms.ModelForm[Campaign]):
    """Refuses what the API refuses, with the same sentences beside the same fields."""

    audience_list = forms.CharField(required=False, widget=Textarea(attrs={"rows": 4}))

    class Meta:
        model = Campaign
        fields = list(HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["audience_list"] = "\n".join(self.instance.audience_list)
        for name in self.fields.keys() & HELP.keys():
            self.fields[name].help_text = HELP[name]
        for name in self.fields.keys() & {"metric", "milestone_metric"}:
            choice = self.fields[name]
            assert isinstance(choice, forms.ModelChoiceField), "it refers to metrics"
            choice.queryset = Metric.objects.order_by("code", "livemode")
            choice.label_from_instance = _with_mode  # type: ignore[method-assign, assignment]
        if "priority" in self.fields:
            self.fields["priority"].required = False

    def clean_code(self) -> str:
        """Check that the code fits into an address."""
        code = str(self.cleaned_data["code"])
        SOUND_CODE(code)
        return code

    def clean_currency(self) -> str:
        """Check that the currency can be sold in."""
        return currency_of(self.cleaned_data["currency"])

    def clean_audience_list(self) -> list[str]:
        """Read one entry a line, or several with commas."""
        text = self.cleaned_data["audience_list"].replace(",", "\n")
        return [entry.strip() for entry in text.splitlines() if entry.strip()]

    def clean_priority(self) -> int:
        """Return the priority; 100, the usual one, where none is entered."""
        priority: int | None = self.cleaned_data["priority"]
        return 100 if priority is None else priority

    def clean(self) -> dict[str, Any]:
        """Check the terms by the service that the API calls."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            columns = campaigns.check_campaign(
                livemode=cleaned.get("livemode", self.instance.livemode),
                code=cleaned.get("code", self.instance.code),
                terms=campaign_terms.CampaignTerms(**terms_in(cleaned)),
                campaign_id=self.instance.pk,
            )
        except Invalid as error:
            add_faults(self, error)
            return cleaned
        return cleaned | columns

    def _post_clean(self) -> None:
        """Skip the model's validation once the service has found faults: its sentences name a
        field.
        """
        if not self.errors:
            super()._post_clean()  # type: ignore[misc]


def terms_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms among the fields of the form, as the API takes them."""
    terms = {name: fields[name] for name in HELP if name not in {"code", "livemode"}}
    for name in ("metric", "milestone_metric"):
        terms[name] = "" if terms[name] is None else terms[name].code
    return terms


class CampaignPages(ModelAdmin):  # type: ignore[misc]
    """A draft is a form; from its activation on a campaign is read, and changed by actions."""

    form = CampaignForm
    list_display = ["code", "name", "trigger", "status", "gives", "budget_used", "grants_given"]
    list_filter = ["livemode", "status", "trigger"]
    list_select_related = ["metric"]
    search_fields = ["code", "name", "redemption_code"]
    ordering = ["-pk"]
    readonly_fields = ["status", "budget_used", "grants_given"]
    fieldsets = [
        ("Campaign", {"fields": [("code", "livemode"), "name"]}),
        (
            "What does a customer get?",
            {
                "description": "Units of a metric, or money. A top-up campaign gives a part of "
                "what was paid, so it has a currency only.",
                "fields": [
                    ("quantity", "metric"),
                    ("amount", "currency"),
                    "expires_after_days",
                    "expires_at",
                    ("kind", "priority"),
                ],
            },
        ),
        (
            "What for?",
            {
                "fields": [
                    "trigger",
                    "redemption_code",
                    ("match_percent", "max_per_top_up"),
                    ("milestone_metric", "milestone_quantity"),
                ]
            },
        ),
        ("Who can get it?", {"fields": ["audience", "audience_list"]}),
        ("From when to when?", {"fields": ["starts_at", "ends_at"]}),
        ("How much at most?", {"fields": ["budget", ("max_grants", "max_per_customer")]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Campaign | None = None) -> list[Any]:
        """Return the fieldsets; of a campaign that is only read, without empty fields."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return list(fieldsets)
        said = [
            (title, [plain_column(Campaign, name) for name in _names(group) if _says(obj, name)])
            for title, group in fieldsets
        ]
        return [(title, {"fields": names}) for title, names in said if names]

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> list[str]:
        """Return code and mode, which never change."""
        fixed = [] if obj is None else ["code", "livemode"]
        return [*self.readonly_fields, *fixed]

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """Return whether the campaign is a draft."""
        is_draft = obj is None or obj.status == CampaignStatus.DRAFT
        return is_draft and super().has_change_permission(request, obj)

    def add_row(self, sent: Sent) -> Campaign:
        """Create the draft."""
        return campaigns.create_campaign(
            livemode=sent.fields["livemode"],
            code=sent.fields["code"],
            terms=campaign_terms.CampaignTerms(**terms_in(sent.fields)),
        )

    def change_row(self, sent: Sent) -> None:
        """Replace what the draft promises."""
        campaigns.update_campaign(
            livemode=sent.row.livemode, code=sent.row.code, changes=terms_in(sent.fields)
        )

    def gives(self, campaign: Campaign) -> str:
        """Return what one grant is."""
        if campaign.trigger == CampaignTrigger.TOP_UP:
            assert campaign.match_percent is not None, "a top-up campaign has one"
            return f"{plain(campaign.match_percent)} % in {campaign.currency}"
        return f"{plain(campaign.each)} {campaign.unit}"

    def budget_used(self, campaign: Campaign) -> SafeString | str:
        """Return how much of the budget is used, as a bar."""
        given = f"{plain(campaign.spent)} {campaign.unit}"
        if campaign.budget is None:
            return f"{given}, no limit"
        return bar(campaign.spent, campaign.budget, f"{given} of {plain(campaign.budget)}")

    def grants_given(self, campaign: Campaign) -> SafeString | str:
        """Return how many of the grants were made, as a bar."""
        if campaign.max_grants is None:
            return f"{campaign.grants}, no limit"
        text = f"{campaign.grants} of {campaign.max_grants}"
        return bar(campaign.grants, campaign.max_grants, text)


def _names(group: Mapping[str, Any]) -> Iterator[str]:
    for row in group["fields"]:
        yield from [row] if isinstance(row, str) else row


def _says(campaign: Campaign, name: str) -> bool:
    return getattr(campaign, name) not in (None, "", [])


def bar(done: object, whole: object, text: str) -> SafeString:
    """Return a part of a whole as a bar with its figures beside it."""
    return format_html(
        '<progress value="{}" max="{}" aria-label="{}"></progress> {}', done, whole, text, text
    )
