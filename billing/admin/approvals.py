"""Limits, which two people set, and what waits above them."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin, acting_user
from aforo.adminui.pages import action
from billing import approvals
from ledger.admin.controls import DECIDED, ProposalAdmin
from ledger.models import ApprovalLimit, ApprovalRequest


@admin.register(ApprovalLimit)
class ApprovalLimitAdmin(ProposalAdmin, ModelAdmin):  # type: ignore[misc]
    when_empty = (
        "Without one nobody has to approve. Propose one here; it is in force once another person "
        "approves it."
    )
    list_display = [
        "action", "amount", "currency", "key", "role", "starts_at", "livemode", *DECIDED,
    ]  # fmt: skip
    list_filter = ["livemode", "action", "currency"]
    list_select_related = ["key", "role", "proposed_by", "approved_by"]
    ordering = ["-starts_at"]


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ProposalAdmin, ReadOnlyAdmin):
    when_empty = "What is asked for above a limit waits here."
    list_display = [
        "requested_at", "action", "amount", "currency", "livemode", "book", "actor_kind",
        "actor_id", "status", "expires_at", "approved_by", "rejected_by",
    ]  # fmt: skip
    list_filter = ["livemode", "action", "currency"]
    list_select_related = ["book", "approved_by", "rejected_by"]
    search_fields = ["=id", "book__key"]
    ordering = ["-requested_at"]
    add_row: Any = None
    actions = ["approve", "reject"]

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> list[str]:
        """Return none: nothing here is typed."""
        return []

    def get_exclude(self, request: HttpRequest, obj: object = None) -> list[str]:
        """Return none: all of it is shown."""
        return []

    @action(description="Approve, as the second person")
    def approve(self, request: HttpRequest, proposals: QuerySet[ApprovalRequest]) -> None:
        """Do what each chosen request asks for."""
        now, by = timezone.now(), acting_user(request)
        for each in proposals:
            do = partial(approvals.approve, request_id=each.pk, by=by, now=now)
            self.tell(request, str(each), "done", do)

    @action(description="Reject")
    def reject(self, request: HttpRequest, proposals: QuerySet[ApprovalRequest]) -> None:
        """Reject each chosen request."""
        now, by = timezone.now(), acting_user(request)
        for each in proposals:
            do = partial(approvals.reject, request_id=each.pk, by=by, now=now)
            self.tell(request, str(each), "rejected", do)
