"""What one person proposes or asks for and another approves, on the page of the row itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from aforo.adminui.admins import Sent, acting_user
from aforo.adminui.forms import Form
from aforo.adminui.pages import found, page_action
from aforo.errors import DomainError
from ledger.controls import policies

DECISION = ["proposed_by", "proposed_at", "approved_by", "approved_at"]
# The part of the decision that fits on a list.
DECIDED = ["proposed_by", "approved_by", "approved_at"]

Decide = Callable[[Any, AbstractBaseUser, datetime], object]


class DecisionForm(Form):
    """Sent by the button of the question, and by nothing else."""

    confirmed = forms.BooleanField(widget=forms.HiddenInput, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["confirmed"].widget = forms.HiddenInput()


class ProposalAdmin:
    """Rows that one person proposes here and another approves on their page. What was wrong stays,
    and is followed by another proposal.
    """

    model: Any
    opts: Any
    admin_site: Any
    message_user: Any
    actions_detail = ["approve"]
    approved = "approved"
    when_empty = "One person proposes it here; it counts once another one has approved it."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return who decided and when, which services alone write."""
        return [] if obj is None else DECISION

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return the fields of the decision while there is nothing to decide yet."""
        return DECISION if obj is None else []

    def add_row(self, sent: Sent) -> Any:
        """Propose, in the name of the user."""
        return policies.propose(sent.row, by=sent.by, now=timezone.now())

    def waiting(self) -> QuerySet[Any]:
        """Return the rows that nobody has decided, the oldest first."""
        undecided: QuerySet[Any] = self.model._default_manager.filter(approved_at=None)
        return undecided.select_related("proposed_by").order_by("proposed_at", "pk")

    def says(self, row: Any) -> str:
        """Return what is to be decided, with its amount."""
        return f"{self.opts.verbose_name.capitalize()}: {row}"

    def asked(self, row: Any) -> tuple[str, datetime, str]:
        """Return who asked, when, and why."""
        return str(row.proposed_by), row.proposed_at, row.evidence

    def approve_row(self, row: Any, by: AbstractBaseUser, now: datetime) -> object:
        """Approve by the service."""
        return policies.approve(row, by=by, now=now)

    @page_action(description="Approve", url_path="approve", permission="act")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once more, with the amount; then approve, as the second person."""
        return self.decide(request, object_id, "Approve", self.approve_row, self.approved)

    def decide(
        self, request: HttpRequest, object_id: str, label: str, do: Decide, done: str
    ) -> HttpResponse:
        """Return the question; sent, call the service, and return to the row's page with its
        success or its refusal.
        """
        row = found(self.model._default_manager.all(), object_id)
        what = f"{self.says(row)}, {mode_of(row)}"
        form = DecisionForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                do(row, acting_user(request), timezone.now())
            except DomainError as error:
                self.message_user(request, f"{what}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{what}: {done}.", messages.SUCCESS)
            return HttpResponseRedirect(page_of(row))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{label}? {what}",
            "opts": self.opts,
            "form": DecisionForm(),
            "label": label,
        }
        return render(request, "adminui/ask.html", context)


def mode_of(row: Any) -> str:
    """Return the mode that a decision is about; where it names none, it is the live one."""
    return "live" if getattr(row, "livemode", True) else "sandbox"


def page_of(row: Any) -> str:
    """Return the address of a row's page."""
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return reverse(name, args=[row.pk])
