"""Subscriptions in the back office: what they are, their moves, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.forms import Form, Textarea
from aforo.adminui.pages import found, page_action
from aforo.errors import DomainError
from billing.admin import plan_change_page
from billing.admin.subscription_coupons import SubscriptionCouponInline
from billing.lifecycle import changes, subscription_coupons
from billing.models import PlanChange, Subscription, SubscriptionMove

Preview = Callable[[Subscription, Mapping[str, Any]], SafeString]


class MoveInline(ReadOnlyInline):
    model = SubscriptionMove
    fields = [
        "occurred_at", "kind", "from_status", "to_status", "reason", "actor_kind", "actor_id",
    ]  # fmt: skip
    ordering = ["-pk"]
    show_change_link = False


class ReasonForm(Form):
    reason = forms.CharField(
        required=False, max_length=300, widget=Textarea(attrs={"rows": 3}),
        help_text="Kept with the move, and told to other systems.",
    )  # fmt: skip


class CancelForm(ReasonForm):
    at = forms.ChoiceField(
        choices=[
            (changes.When.PERIOD_END.value, "With its open cycle"),
            (changes.When.NOW.value, "Now"),
        ],
        help_text="Now: the open cycle is settled by the time served, and nothing is paid back.",
    )


class PlanForm(ReasonForm):
    offering = forms.CharField(
        required=False, max_length=64, help_text="The offering's code; empty: its own."
    )
    version = forms.IntegerField(
        required=False, min_value=1, help_text="Empty: the one that is sold now."
    )
    at = forms.ChoiceField(
        choices=[
            (changes.When.NOW.value, "Now, both parts by time"),
            (changes.When.PERIOD_END.value, "With its next renewal"),
        ],
    )
    carry_out = forms.BooleanField(
        required=False, help_text="Without it, what the change would do is shown."
    )


class CouponForm(ReasonForm):
    field_order = ["code", "reason"]
    code = forms.CharField(
        max_length=64,
        label="Coupon",
        help_text="Its code. Coupons are taken off in the order of their positions.",
    )


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["customer", "offering", "status", "current_starts_at", "current_ends_at"]
    list_filter = ["status", "billing_mode", "customer__book__livemode", "offering"]
    list_select_related = ["customer", "offering"]
    search_fields = ["customer__book__key", "=id"]
    ordering = ["-created_at"]
    inlines = [MoveInline, SubscriptionCouponInline]
    actions_detail = [
        "change_plan", "pause", "resume", "cancel", "uncancel", "add_coupon", "remove_coupon",
    ]  # fmt: skip

    @page_action(description="Change plan", url_path="change-plan", permission="act")
    def change_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer what a change of plan would do, or do it."""
        return self._ask(
            request,
            object_id,
            "Change the plan of",
            PlanForm,
            plan_change_page.carry_out,
            preview=plan_change_page.preview,
        )

    @page_action(description="Pause", url_path="pause", permission="act")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause it from now on."""
        return self._ask(request, object_id, "Pause", ReasonForm, changes.pause)

    @page_action(description="Resume", url_path="resume", permission="act")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resume it from now on."""
        return self._ask(request, object_id, "Resume", ReasonForm, changes.resume)

    @page_action(description="Cancel", url_path="cancel", permission="act")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End it now, or with its open cycle."""
        return self._ask(request, object_id, "Cancel", CancelForm, changes.cancel)

    @page_action(description="Withdraw cancellation", url_path="uncancel", permission="act")
    def uncancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Withdraw a cancellation that is ahead."""
        return self._ask(
            request, object_id, "Withdraw the cancellation of", ReasonForm, changes.uncancel
        )

    @page_action(description="Add coupon", url_path="add-coupon", permission="act")
    def add_coupon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Add a coupon, after those that it has."""
        return self._ask(
            request, object_id, "Add a coupon to", CouponForm, subscription_coupons.add
        )

    @page_action(description="Remove coupon", url_path="remove-coupon", permission="act")
    def remove_coupon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Remove a coupon, which counts no more from the next document on."""
        return self._ask(
            request, object_id, "Remove a coupon of", CouponForm, subscription_coupons.remove
        )

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        what: str,
        form_class: type[ReasonForm],
        act: Callable[..., Subscription],
        preview: Preview | None = None,
    ) -> HttpResponse:
        """Ask for what a change needs, and do it in the name of the user; where there is a preview,
        once that is confirmed.
        """
        if not self.has_act_permission(request):
            raise PermissionDenied
        row = found(Subscription.objects.select_related("customer__book", "offering"), object_id)
        form = form_class(request.POST if request.method == "POST" else None)
        is_sent = request.method == "POST" and form.is_valid()
        shown = _shown(row, form, preview) if is_sent and preview is not None else None
        if is_sent and shown is None and self._done(request, row, form, act):
            return HttpResponseRedirect(reverse("admin:billing_subscription_change", args=[row.pk]))
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"{what} {row.customer.book.key}, {row}",
            "opts": self.opts,
            "form": form,
            "shown": shown,
            "label": what.split(maxsplit=1)[0],
        }
        return render(request, "adminui/ask.html", context)

    def _done(
        self,
        request: HttpRequest,
        row: Subscription,
        form: ReasonForm,
        act: Callable[..., Subscription],
    ) -> bool:
        """Call the service; return whether it accepted, else add the reason to the form."""
        livemode = row.customer.book.livemode
        try:
            changes.prepare(livemode=livemode, subscription_id=row.pk)
            changed = act(livemode=livemode, subscription_id=row.pk, **form.cleaned_data)
        except DomainError as error:
            form.add_error(None, error.detail)
            return False
        text = f"{row}: {changed.get_status_display().lower()}."
        self.message_user(request, text, messages.SUCCESS)
        return True


def _shown(row: Subscription, form: ReasonForm, preview: Preview) -> SafeString | None:
    """Return what a change would do, unless it is confirmed; a refusal is added to the form."""
    if form.cleaned_data.pop("carry_out"):
        return None
    try:
        return preview(row, form.cleaned_data)
    except DomainError as error:
        form.add_error(None, error.detail)
        return SafeString("")


@admin.register(SubscriptionMove)
class SubscriptionMoveAdmin(ReadOnlyAdmin):
    list_display = [
        "subscription", "kind", "from_status", "to_status", "occurred_at", "reason", "actor_kind",
    ]  # fmt: skip
    list_filter = ["kind", "occurred_at", "subscription__customer__book__livemode"]
    list_select_related = ["subscription__offering"]
    search_fields = ["=subscription__id", "subscription__customer__book__key", "reason"]
    ordering = ["-pk"]


@admin.register(PlanChange)
class PlanChangeAdmin(ReadOnlyAdmin):
    when_empty = "A plan changes now or with a renewal: Change plan of a subscription."
    list_display = ["subscription", "cycle", "from_version", "to_version", "occurred_at"]
    list_select_related = [
        "subscription__offering", "from_version__plan", "to_version__plan",
    ]  # fmt: skip
    search_fields = ["=subscription__id", "subscription__customer__book__key"]
    ordering = ["-pk"]
