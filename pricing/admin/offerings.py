"""What is sold: offerings and coupons; what was promised is not edited."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.pages import action
from aforo.errors import DomainError
from pricing.admin.forms import CouponForm, OfferingForm
from pricing.models import Coupon, Offering, OfferingStatus
from pricing.offerings import coupons
from pricing.offerings import offerings as pricing_offerings


@admin.register(Offering)
class OfferingAdmin(ModelAdmin):  # type: ignore[misc]
    form = OfferingForm
    list_display = ["code", "name", "plan", "billing_mode", "interval", "status", "livemode"]
    list_filter = ["livemode", "status", "billing_mode"]
    list_select_related = ["plan"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    actions = ["activate", "archive"]

    def get_readonly_fields(self, request: HttpRequest, obj: Offering | None = None) -> list[str]:
        """Return what subscriptions were sold, which never changes."""
        if obj is None:
            return []
        return ["livemode", "code", "plan", "billing_mode", "interval", "interval_count", "status"]

    def add_row(self, sent: Sent) -> Offering:
        """Sell the plan."""
        plan = sent.fields.pop("plan")
        return pricing_offerings.create_offering(rate_plan=plan.code, **sent.fields)

    def change_row(self, sent: Sent) -> None:
        """Change what subscriptions were not sold."""
        pricing_offerings.update_offering(
            livemode=sent.row.livemode, code=sent.row.code, changes=sent.changes
        )

    @action(description="Activate: take subscriptions")
    def activate(self, request: HttpRequest, offerings: QuerySet[Offering]) -> None:
        """Activate each chosen offering whose plan is published."""
        self._move(request, offerings, OfferingStatus.ACTIVE)

    @action(description="Archive: no new subscriptions")
    def archive(self, request: HttpRequest, offerings: QuerySet[Offering]) -> None:
        """Archive each chosen offering."""
        self._move(request, offerings, OfferingStatus.ARCHIVED)

    def _move(
        self, request: HttpRequest, offerings: QuerySet[Offering], status: OfferingStatus
    ) -> None:
        for offering in offerings:
            try:
                pricing_offerings.update_offering(
                    livemode=offering.livemode, code=offering.code, changes={"status": status}
                )
            except DomainError as error:
                self.message_user(request, f"{offering.code}: {error.detail}", messages.ERROR)
            else:
                text = f"{offering.code} is {status.lower()}."
                self.message_user(request, text, messages.SUCCESS)


CHANGEABLE = {"ends_at", "max_redemptions"}


@admin.register(Coupon)
class CouponAdmin(ModelAdmin):  # type: ignore[misc]
    """Coupons are created here or through the API; what was promised is not edited, but when they
    end, and how often they may be redeemed.
    """

    form = CouponForm
    list_display = [
        "code", "type", "value", "currency", "duration", "redemptions", "ends_at", "livemode",
    ]  # fmt: skip
    list_filter = ["livemode", "type", "duration"]
    search_fields = ["code"]
    ordering = ["code"]

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> list[str]:
        """Return what was promised, which never changes."""
        fixed = [name for name in CouponForm.Meta.fields if name not in CHANGEABLE]
        return ["redemptions", *(fixed if obj else [])]

    def add_row(self, sent: Sent) -> Coupon:
        """Create the coupon."""
        return coupons.create_coupon(**sent.fields)

    def change_row(self, sent: Sent) -> None:
        """Change when it ends, and how often it may be redeemed."""
        coupons.update_coupon(livemode=sent.row.livemode, code=sent.row.code, changes=sent.changes)
