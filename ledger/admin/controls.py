"""What two people decide, and what seals and closes froze."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from aforo.adminui.admins import (
    ModelAdmin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    Sent,
    TabularInline,
)
from aforo.adminui.pages import page_action
from aforo.errors import DomainError
from ledger.admin.proposals import DECIDED, DECISION, ProposalAdmin
from ledger.controls import adjustments
from ledger.models import (
    AccountingPeriod,
    AdjustmentLine,
    BreakageRate,
    CloseFile,
    ClosePack,
    ManualAdjustment,
    PeriodStatus,
    Policy,
    ProvisionMatrix,
    Reopening,
    Seal,
    SealCopy,
)
from ledger.periods import periods


@admin.register(Policy)
class PolicyAdmin(ProposalAdmin, ModelAdmin):  # type: ignore[misc]
    when_empty = (
        "Until one is approved, breakage is taken at expiry and bonuses carry their share by "
        "stand-alone price."
    )
    list_display = [
        "starts_on", "livemode", "breakage_method", "bonus_allocation",
        *DECIDED,
    ]  # fmt: skip
    list_filter = ["livemode"]
    list_select_related = ["proposed_by", "approved_by"]
    ordering = ["-starts_on"]


@admin.register(BreakageRate)
class BreakageRateAdmin(ProposalAdmin, ModelAdmin):  # type: ignore[misc]
    when_empty = (
        "Expected breakage is accrued at each close once a rate is proposed here and approved"
        " by another person."
    )
    list_display = [
        "kind", "currency", "percent", "starts_on", "sold_from", "sold_until", "livemode",
        *DECIDED,
    ]  # fmt: skip
    list_filter = ["livemode", "kind", "currency"]
    list_select_related = ["proposed_by", "approved_by"]
    ordering = ["-starts_on", "kind", "currency"]


@admin.register(ProvisionMatrix)
class ProvisionMatrixAdmin(ProposalAdmin, ModelAdmin):  # type: ignore[misc]
    when_empty = (
        "What is set aside for losses is posted at each close once the percentages by age are"
        " proposed here and approved by another person."
    )
    list_display = [
        "starts_on", "book", "currency", "current", "overdue_30", "overdue_60", "overdue_90",
        "overdue_later", "livemode", *DECIDED,
    ]  # fmt: skip
    list_filter = ["livemode", "currency"]
    list_select_related = ["book", "proposed_by", "approved_by"]
    autocomplete_fields = ["book"]
    ordering = ["-starts_on", "book", "currency"]


class LineFormSet(BaseInlineFormSet[AdjustmentLine, ManualAdjustment, Any]):
    """The lines of a proposal, checked against what its reason may move."""

    def clean(self) -> None:
        """Check the lines by the service that will check them again."""
        super().clean()
        if any(self.errors) or not self.instance.reason:
            return
        try:
            adjustments.check_lines(
                reason=self.instance.reason,
                lines=self.amounts(),
                of_customer=self.instance.book_id is not None,
            )
        except DomainError as error:
            raise ValidationError([fault.detail for fault in error.errors]) from error

    def amounts(self) -> list[adjustments.Amount]:
        """Return what was typed in."""
        filled = [form.cleaned_data for form in self.forms if form.cleaned_data]
        return [
            adjustments.Amount(
                line["debit"].code, line["credit"].code, line["amount"], line["currency"]
            )
            for line in filled
        ]


class LineInline(TabularInline):  # type: ignore[misc]
    model = AdjustmentLine
    formset = LineFormSet
    fields = ["debit", "credit", "amount", "currency"]
    ordering = ["position"]
    extra = 2
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AdjustmentLine]:
        """Read the accounts with the lines."""
        lines: QuerySet[AdjustmentLine] = super().get_queryset(request)
        return lines.select_related("debit", "credit")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the proposal itself is being added."""
        return obj is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: lines never change."""
        return False


@admin.register(ManualAdjustment)
class ManualAdjustmentAdmin(ProposalAdmin, ModelAdmin):  # type: ignore[misc]
    """The register: who asked, who approved, why, on what evidence, and the entry."""

    when_empty = (
        "Propose a correction here; another person approves it, and only then is it posted."
    )
    list_display = ["occurred_at", "reason", "book", "status", *DECISION, "entry"]
    list_filter = ["livemode", "reason"]
    list_select_related = ["book", "proposed_by", "approved_by", "entry"]
    search_fields = ["evidence", "book__key"]
    autocomplete_fields = ["book"]
    ordering = ["-proposed_at"]
    inlines = [LineInline]
    actions_detail = ["approve", "reject"]
    approved = "posted"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return the fields, with what became of the proposal once there is one."""
        asked = ["livemode", "book", "reason", "occurred_at", "evidence"]
        return asked if obj is None else [*asked, *self.get_readonly_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return the fields of the decision, which services alone write."""
        return ["status", *DECISION, "rejected_by", "rejected_at", "entry"]

    def add_row(self, sent: Sent) -> ManualAdjustment:
        """Propose the correction with its lines, in the name of the user."""
        asked: ManualAdjustment = sent.row
        return adjustments.propose_adjustment(
            livemode=asked.livemode,
            reason=asked.reason,
            occurred_at=asked.occurred_at,
            evidence=asked.evidence,
            lines=sent.parts[0].amounts(),
            by=sent.by,
            now=timezone.now(),
            customer_id=None if asked.book is None else asked.book.key,
        )

    def waiting(self) -> QuerySet[ManualAdjustment]:
        """Return the corrections that nobody has posted or rejected."""
        undecided: QuerySet[ManualAdjustment] = super().waiting().filter(rejected_at=None)
        return undecided.prefetch_related("lines")

    def says(self, row: ManualAdjustment) -> str:
        """Return the reason and the lines, with their accounts."""
        lines = sorted(row.lines.all(), key=lambda line: line.position)
        return f"{row}: {', '.join(map(str, lines))}"

    def approve_row(self, row: Any, by: AbstractBaseUser, now: datetime) -> object:
        """Post the correction."""
        return adjustments.approve_adjustment(adjustment_id=row.pk, by=by, now=now)

    @page_action(description="Reject", url_path="reject", permission="act")
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once more; then reject, or withdraw one's own."""
        return self.decide(request, object_id, "Reject", _reject, "rejected")


def _reject(row: ManualAdjustment, by: AbstractBaseUser, now: datetime) -> object:
    return adjustments.reject_adjustment(adjustment_id=row.pk, by=by, now=now)


@admin.register(Reopening)
class ReopeningAdmin(ProposalAdmin, ModelAdmin):  # type: ignore[misc]
    """Why closed months were opened again; the evidence is the reason."""

    when_empty = (
        "A closed month is opened again by a proposal with its reason, which another person "
        "approves."
    )
    list_display = ["period", "evidence", *DECISION]
    approved = "open again"
    list_select_related = ["period", "proposed_by", "approved_by"]
    ordering = ["-proposed_at"]

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Return the field, with the closed months to choose from."""
        if db_field.name == "period":
            kwargs["queryset"] = AccountingPeriod.objects.filter(status=PeriodStatus.CLOSED)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def add_row(self, sent: Sent) -> Reopening:
        """Propose it, if the month still is closed."""
        return periods.propose_reopening(
            period=sent.row.period, reason=sent.row.evidence, by=sent.by, now=timezone.now()
        )

    def approve_row(self, row: Any, by: AbstractBaseUser, now: datetime) -> object:
        """Open the month."""
        return periods.approve_reopening(reopening=row, by=by, now=now)


class CloseFileInline(ReadOnlyInline):
    model = CloseFile
    fields = ["name", "sha256"]


@admin.register(CloseFile)
class CloseFileAdmin(ReadOnlyAdmin):
    list_display = ["name", "pack", "sha256"]
    list_select_related = ["pack__period"]
    search_fields = ["name", "=sha256"]
    ordering = ["-pack", "name"]


@admin.register(ClosePack)
class ClosePackAdmin(ReadOnlyAdmin):
    when_empty = "Closing a month on the page of periods freezes its reports here."
    list_display = ["period", "number", "closed_at", "closed_by"]
    list_select_related = ["period"]
    ordering = ["-closed_at"]
    inlines = [CloseFileInline]


@admin.register(SealCopy)
class SealCopyAdmin(ReadOnlyAdmin):
    when_empty = "A seal's copy is kept outside the database right after it is made."
    list_display = ["number", "livemode", "kept_at"]
    list_filter = ["livemode"]
    search_fields = ["=number"]
    ordering = ["-kept_at"]


@admin.register(Seal)
class SealAdmin(ReadOnlyAdmin):
    when_empty = "The sweep seals the books once a day, and so does each close."
    list_display = ["number", "livemode", "sealed_at", "books", "entries", "hash"]
    list_filter = ["livemode"]
    search_fields = ["=hash"]
    ordering = ["-sealed_at"]
