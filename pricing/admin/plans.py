"""Rate plans: a draft is edited part by part, then published for ever by an action."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui import ModelAdmin, ReadOnlyInline, TabularInline, action
from aforo.errors import DomainError
from pricing.admin.forms import ChargeForm, GrantForm, RatePlanForm, VersionForm
from pricing.models import (
    Charge,
    ChargeMetric,
    GrantTemplate,
    Metric,
    RatePlan,
    RatePlanVersion,
    VersionStatus,
)
from pricing.plans import plans
from pricing.plans import plans as pricing_plans


def _version_of(obj: object) -> RatePlanVersion | None:
    if isinstance(obj, Charge):
        return obj.version
    return obj if isinstance(obj, RatePlanVersion) else None


class DraftOnly:
    """Editable while the version is a draft, by those who have the permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the version is a draft that the user may change."""
        allowed: bool = super().has_add_permission(request, obj)  # type: ignore[misc]
        return allowed and self._is_draft(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the version is a draft that the user may change."""
        allowed: bool = super().has_change_permission(request, obj)  # type: ignore[misc]
        return allowed and self._is_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the version is a draft that the user may change."""
        allowed: bool = super().has_delete_permission(request, obj)  # type: ignore[misc]
        return allowed and self._is_draft(obj)

    def _is_draft(self, obj: object) -> bool:
        version = _version_of(obj)
        return version is None or version.status == VersionStatus.DRAFT


class OwnModeInline(DraftOnly, TabularInline):  # type: ignore[misc]
    """Parts of a version that name a metric: those of the plan's own mode."""

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Return the formset, with the metrics of the plan's mode to choose from."""
        formset = super().get_formset(request, obj, **kwargs)
        version = _version_of(obj)
        choice = formset.form.base_fields.get("metric")
        if version is not None and choice is not None:
            choice.queryset = Metric.objects.filter(livemode=version.plan.livemode).order_by("code")
        return formset


class ChargeInline(DraftOnly, TabularInline):  # type: ignore[misc]
    model = Charge
    form = ChargeForm
    extra = 0
    show_change_link = True


class GrantInline(OwnModeInline):
    model = GrantTemplate
    form = GrantForm
    extra = 0


class FeedInline(OwnModeInline):
    model = ChargeMetric
    extra = 1


class VersionInline(ReadOnlyInline):
    """The versions of a plan, the newest first; they begin by an action of the plan."""

    model = RatePlanVersion
    fields = ["number", "status", "published_at"]
    ordering = ["-number"]
    joined = ["plan"]


class Reporting:
    """Actions that call one service a row and say what came of it."""

    def report(self, request: HttpRequest, name: str, do: Callable[[], RatePlanVersion]) -> None:
        """Call a service, and show its answer or its refusal."""
        try:
            version = do()
        except DomainError as error:
            self.message_user(request, f"{name}: {error.detail}", messages.ERROR)  # type: ignore[attr-defined]
        else:
            text = f"{name}: version {version.number} is {version.status.lower()}."
            self.message_user(request, text, messages.SUCCESS)  # type: ignore[attr-defined]


@admin.register(RatePlan)
class RatePlanAdmin(Reporting, ModelAdmin):  # type: ignore[misc]
    form = RatePlanForm
    list_display = ["code", "name", "currency", "livemode", "created_at"]
    list_filter = ["livemode", "currency"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    inlines = [VersionInline]
    actions = ["begin_draft", "publish_draft"]

    def get_readonly_fields(self, request: HttpRequest, obj: RatePlan | None = None) -> list[str]:
        """Return mode, code and currency of the plan, on which its prices rest."""
        return [] if obj is None else ["livemode", "code", "currency"]

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
            plans.begin_draft(plan=form.instance)

    @action(description="Begin the next draft")
    def begin_draft(self, request: HttpRequest, plans: QuerySet[RatePlan]) -> None:
        """Copy the latest version of each chosen plan into a draft."""
        for plan in plans:
            self.report(request, plan.code, partial(pricing_plans.begin_draft, plan=plan))

    @action(description="Publish the draft, for ever")
    def publish_draft(self, request: HttpRequest, plans: QuerySet[RatePlan]) -> None:
        """Publish the draft of each chosen plan."""
        now = timezone.now()
        for plan in plans:
            self.report(
                request,
                plan.code,
                partial(pricing_plans.publish, livemode=plan.livemode, code=plan.code, now=now),
            )


@admin.register(RatePlanVersion)
class RatePlanVersionAdmin(DraftOnly, Reporting, ModelAdmin):  # type: ignore[misc]
    form = VersionForm
    list_display = ["plan", "number", "status", "published_at"]
    list_filter = ["status", "plan__livemode"]
    list_select_related = ["plan"]
    search_fields = ["plan__code"]
    ordering = ["plan__code", "-number"]
    readonly_fields = ["plan", "number", "status", "published_at"]
    inlines = [ChargeInline, GrantInline]
    actions = ["retire"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: versions begin by the action of the plan."""
        return False

    @action(description="Retire: off the list, subscriptions keep it")
    def retire(self, request: HttpRequest, versions: QuerySet[RatePlanVersion]) -> None:
        """Retire each chosen version that is published."""
        for version in versions:
            plan = version.plan
            self.report(
                request,
                plan.code,
                partial(
                    plans.retire,
                    livemode=plan.livemode,
                    code=plan.code,
                    number=version.number,
                ),
            )


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
        """Return False: charges are added on their version's page."""
        return False
