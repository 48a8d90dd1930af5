"""The catalogue in the back office: drafts are edited, published versions are read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui import ModelAdmin, TabularInline, action
from aforo.errors import DomainError, Invalid
from pricing import services
from pricing.models import (
    Charge,
    ChargeMetric,
    Coupon,
    GrantTemplate,
    Metric,
    Offering,
    OfferingStatus,
    RatePlan,
    RatePlanVersion,
    VersionStatus,
)
from pricing.terms import parse, parse_rollover, rollover_to_json, to_json


class ChargeForm(forms.ModelForm[Charge]):
    """Terms are validated as in the API, with the same messages."""

    class Meta:
        model = Charge
        fields = ["code", "description", "model", "terms", "timing", "position"]

    def clean(self) -> dict[str, Any]:
        """Read the terms by their model."""
        cleaned = super().clean() or {}
        if cleaned.get("model") and cleaned.get("terms") is not None:
            try:
                cleaned["terms"] = dict(to_json(parse(cleaned["model"], cleaned["terms"])))
            except Invalid as error:
                self.add_error(
                    "terms", [f"{e.pointer or 'terms'}: {e.detail}" for e in error.errors]
                )
        return cleaned


class GrantForm(forms.ModelForm[GrantTemplate]):
    class Meta:
        model = GrantTemplate
        fields = [
            "code", "kind", "metric", "quantity", "recurrence", "expires_after_days",
            "expires_at_cycle_end", "priority", "rollover", "position",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Read the rollover rule, and hold that there is one expiry."""
        cleaned = super().clean() or {}
        if cleaned.get("rollover"):
            try:
                cleaned["rollover"] = dict(rollover_to_json(parse_rollover(cleaned["rollover"])))
            except Invalid as error:
                self.add_error("rollover", [e.detail for e in error.errors])
        if cleaned.get("expires_after_days") and cleaned.get("expires_at_cycle_end"):
            self.add_error("expires_after_days", "After days or at the cycle's end, not both.")
        return cleaned


def _is_draft(version: RatePlanVersion | None) -> bool:
    return version is None or version.status == VersionStatus.DRAFT


class DraftOnly:
    """Editable while the version is a draft."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow on drafts."""
        return _is_draft(_version(obj))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow on drafts."""
        return _is_draft(_version(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow on drafts."""
        return _is_draft(_version(obj))


def _version(obj: object) -> RatePlanVersion | None:
    if isinstance(obj, Charge):
        return obj.version
    return obj if isinstance(obj, RatePlanVersion) else None


class ChargeInline(DraftOnly, TabularInline):  # type: ignore[misc]
    model = Charge
    form = ChargeForm
    extra = 0
    show_change_link = True


class GrantInline(DraftOnly, TabularInline):  # type: ignore[misc]
    model = GrantTemplate
    form = GrantForm
    extra = 0


class FeedInline(DraftOnly, TabularInline):  # type: ignore[misc]
    model = ChargeMetric
    extra = 1


class VersionInline(TabularInline):  # type: ignore[misc]
    model = RatePlanVersion
    fields = ["number", "status", "published_at"]
    readonly_fields = ["number", "status", "published_at"]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Versions begin by the action of the plan."""
        return False


@admin.register(Metric)
class MetricAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["code", "name", "aggregation", "property", "livemode"]
    list_filter = ["livemode", "aggregation"]
    search_fields = ["code", "name"]
    ordering = ["code"]

    def get_readonly_fields(self, request: HttpRequest, obj: Metric | None = None) -> list[str]:
        """Keep what a priced metric measures."""
        if obj is not None and obj.charges.exists():
            return ["livemode", "code", "aggregation", "property", "filters"]
        return []


@admin.register(RatePlan)
class RatePlanAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["code", "name", "currency", "livemode", "created_at"]
    list_filter = ["livemode", "currency"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    inlines = [VersionInline]
    actions = ["begin_draft", "publish_draft"]

    def save_related(
        self,
        request: HttpRequest,
        form: Any,
        formsets: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        """Begin the first draft of a new plan, so that there is something to fill in."""
        super().save_related(request, form, formsets, change)
        if not form.instance.versions.exists():
            services.begin_draft(plan=form.instance)

    @action(description="Begin the next draft")
    def begin_draft(self, request: HttpRequest, plans: QuerySet[RatePlan]) -> None:
        """Copy the latest version of each chosen plan into a draft."""
        for plan in plans:
            self._report(request, plan, lambda plan=plan: services.begin_draft(plan=plan))

    @action(description="Publish the draft, for ever")
    def publish_draft(self, request: HttpRequest, plans: QuerySet[RatePlan]) -> None:
        """Publish the draft of each chosen plan."""
        now = timezone.now()
        for plan in plans:
            self._report(
                request,
                plan,
                lambda plan=plan: services.publish(livemode=plan.livemode, code=plan.code, now=now),
            )

    def _report(self, request: HttpRequest, plan: RatePlan, do: Any) -> None:
        try:
            version = do()
        except DomainError as error:
            self.message_user(request, f"{plan.code}: {error.detail}", messages.ERROR)
        else:
            text = f"{plan.code}: version {version.number} is {version.status.lower()}."
            self.message_user(request, text, messages.SUCCESS)


@admin.register(RatePlanVersion)
class RatePlanVersionAdmin(DraftOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ["plan", "number", "status", "published_at"]
    list_filter = ["status", "plan__livemode"]
    list_select_related = ["plan"]
    search_fields = ["plan__code"]
    ordering = ["plan__code", "-number"]
    readonly_fields = ["plan", "number", "status", "published_at"]
    inlines = [ChargeInline, GrantInline]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Versions begin by the action of the plan."""
        return False


@admin.register(Charge)
class ChargeAdmin(DraftOnly, ModelAdmin):  # type: ignore[misc]
    form = ChargeForm
    list_display = ["code", "version", "model", "timing"]
    list_filter = ["model", "version__status"]
    list_select_related = ["version__plan"]
    search_fields = ["code", "version__plan__code"]
    ordering = ["version", "position"]
    inlines = [FeedInline]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Charges are added on their version's page."""
        return False


@admin.register(Offering)
class OfferingAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["code", "name", "plan", "billing_mode", "interval", "status", "livemode"]
    list_filter = ["livemode", "status", "billing_mode"]
    list_select_related = ["plan"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    actions = ["archive"]

    def get_readonly_fields(self, request: HttpRequest, obj: Offering | None = None) -> list[str]:
        """Keep what subscriptions were sold."""
        if obj is None:
            return []
        return ["livemode", "code", "plan", "billing_mode", "interval", "interval_count", "status"]

    @action(description="Archive: no new subscriptions")
    def archive(self, request: HttpRequest, offerings: QuerySet[Offering]) -> None:
        """Archive each chosen offering."""
        for offering in offerings:
            services.update_offering(
                livemode=offering.livemode,
                code=offering.code,
                changes={"status": OfferingStatus.ARCHIVED},
            )
        self.message_user(request, f"{len(offerings)} archived.", messages.SUCCESS)


@admin.register(Coupon)
class CouponAdmin(ModelAdmin):  # type: ignore[misc]
    """Coupons are made here or through the API; what was promised is not edited."""

    list_display = ["code", "type", "value", "currency", "duration", "redemptions", "livemode"]
    list_filter = ["livemode", "type", "duration"]
    search_fields = ["code"]
    ordering = ["code"]
    readonly_fields = ["redemptions"]

    def has_change_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        """Refuse: subscriptions carry it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        """Refuse: subscriptions carry it."""
        return False
