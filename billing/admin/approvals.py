"""Limits, which two people set; what waits above them; and all that waits for a second person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.timesince import timesince

from aforo.access.actor_names import name_actor
from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin
from aforo.adminui.pages import page_action
from billing import approvals
from ledger.admin.proposals import DECIDED, ProposalAdmin, mode_of, page_of
from ledger.models import ApprovalLimit, ApprovalRequest

# Of each kind, the oldest.
SHOWN = 50


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
    actions_detail = ["approve", "reject"]
    approved = "done"

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> list[str]:
        """Return none: nothing here is typed."""
        return []

    def get_exclude(self, request: HttpRequest, obj: object = None) -> list[str]:
        """Return none: all of it is shown."""
        return []

    def waiting(self) -> QuerySet[ApprovalRequest]:
        """Return the requests that nobody has decided, the oldest first."""
        undecided = ApprovalRequest.objects.filter(approved_at=None, rejected_at=None)
        return undecided.select_related("book").order_by("requested_at", "pk")

    def says(self, row: ApprovalRequest) -> str:
        """Return what was asked for, its amount and its customer."""
        return str(row) if row.book is None else f"{row}, {row.book.key}"

    def asked(self, row: ApprovalRequest) -> tuple[str, datetime, str]:
        """Return who asked, when, and why."""
        who = name_actor(row.actor_kind, row.actor_id)
        return who, row.requested_at, row.content.get("reason", "")

    def approve_row(self, row: ApprovalRequest, by: AbstractBaseUser, now: datetime) -> object:
        """Do what was asked for."""
        return approvals.approve(request_id=row.pk, by=by, now=now)

    @page_action(description="Reject", url_path="reject", permission="act")
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once more; then reject, or withdraw one's own."""
        return self.decide(request, object_id, "Reject", _reject, "rejected")


def _reject(row: ApprovalRequest, by: AbstractBaseUser, now: datetime) -> object:
    return approvals.reject(request_id=row.pk, by=by, now=now)


def inbox(request: HttpRequest) -> HttpResponse:
    """Render all that waits for a second person, of whatever the user may see."""
    if not request.user.has_perm("ledger.view_approvalrequest"):
        raise PermissionDenied
    now = timezone.now()
    cards = sorted(_cards(request), key=lambda card: card["since"])
    for card in cards:
        card["age"] = timesince(card["since"], now)
    context = {**admin.site.each_context(request), "title": "Approvals", "cards": cards}
    return render(request, "approvals/inbox.html", context)


def _cards(request: HttpRequest) -> Iterator[dict[str, Any]]:
    for page in admin.site._registry.values():
        if not isinstance(page, ProposalAdmin) or not page.has_view_permission(request):
            continue
        for row in page.waiting()[:SHOWN]:
            who, since, why = page.asked(row)
            yield {
                "url": page_of(row),
                "what": page.says(row),
                "mode": mode_of(row),
                "who": who,
                "since": since,
                "why": why,
                "expires_at": getattr(row, "expires_at", None),
            }
