"""Wallets, lots and operations in the back office: to read; credits move by services only."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.pages import action
from wallets.models import (
    AutoRefill,
    CampaignGrant,
    CreditLot,
    Debit,
    GatewayRefund,
    Hold,
    Movement,
    Operation,
    Reservation,
    TopUp,
    UnitWallet,
    Wallet,
)
from wallets.top_ups import gateway_refunds, gateway_work, refill


class LotInline(ReadOnlyInline):
    model = CreditLot
    fields = ["kind", "source", "face", "remaining", "held", "carrying_remaining", "expires_at"]
    ordering = ["-granted_at"]


class MovementInline(ReadOnlyInline):
    model = Movement
    fields = [
        "kind", "quantity", "carrying", "balance_after", "held_after", "wallet_balance_after",
        "entry",
    ]  # fmt: skip
    ordering = ["-entry__sequence", "-position"]
    joined = ["entry"]
    show_change_link = False


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ["book", "currency", "billing_mode", "spend_state", "overage_limit"]
    list_filter = ["currency", "billing_mode", "spend_state", "book__livemode"]
    list_select_related = ["book"]
    search_fields = ["book__key"]
    ordering = ["book__key", "currency"]
    inlines = [LotInline]


@admin.register(UnitWallet)
class UnitWalletAdmin(ReadOnlyAdmin):
    list_display = ["book", "metric", "billing_mode", "spend_state"]
    list_filter = ["billing_mode", "spend_state", "book__livemode"]
    list_select_related = ["book", "metric"]
    search_fields = ["book__key", "metric__code"]
    ordering = ["book__key", "metric__code"]
    inlines = [LotInline]


@admin.register(CreditLot)
class CreditLotAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "kind", "source", "face", "remaining", "held", "credit_unit", "carrying_remaining",
        "currency", "expires_at",
    ]  # fmt: skip
    list_filter = ["kind", "source", "currency", "book__livemode", "expires_at"]
    list_select_related = ["book"]
    search_fields = ["book__key", "=id", "cause", "reason"]
    ordering = ["-granted_at"]
    inlines = [MovementInline]
    show_full_result_count = False


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "kind", "quantity", "carrying", "balance_after", "held_after",
        "wallet_balance_after", "lot",
    ]  # fmt: skip
    list_filter = ["kind", "book__livemode"]
    list_select_related = ["book", "lot"]
    search_fields = ["book__key", "=lot__id"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(Debit)
class DebitAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "quantity", "strategy", "overage", "overage_billed", "debt", "uncovered",
        "occurred_at",
    ]  # fmt: skip
    list_filter = ["strategy", "book__livemode", "occurred_at"]
    list_select_related = ["book"]
    search_fields = ["book__key", "=id", "operation__key"]
    ordering = ["-id"]
    show_full_result_count = False


class HoldInline(ReadOnlyInline):
    model = Hold
    fields = ["position", "lot", "quantity", "captured", "released"]
    ordering = ["position"]
    joined = ["lot"]
    show_change_link = False


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "status", "quantity", "held", "captured", "over_capture", "grace_seconds",
        "uncovered", "debt", "strategy", "created_at", "expires_at",
    ]  # fmt: skip
    list_filter = ["status", "over_capture", "strategy", "book__livemode", "created_at"]
    list_select_related = ["book"]
    search_fields = ["book__key", "=id", "operation__key"]
    ordering = ["-id"]
    inlines = [HoldInline]
    show_full_result_count = False


class BoughtLotInline(LotInline):
    fk_name = "top_up"


@admin.register(TopUp)
class TopUpAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "amount", "currency", "credits", "credit_unit", "channel", "method", "paid_by",
        "status", "dispute", "created_at", "paid_at",
    ]  # fmt: skip
    list_filter = [
        "status",
        "channel",
        "method",
        "paid_by",
        "dispute",
        "book__livemode",
        "created_at",
    ]
    list_select_related = ["book"]
    search_fields = ["book__key", "=id", "key"]
    ordering = ["-created_at"]
    inlines = [BoughtLotInline]
    actions = ["ask_the_gateway"]

    @action(description="Ask the gateway about open payments")
    def ask_the_gateway(self, request: HttpRequest, top_ups: QuerySet[TopUp]) -> None:
        """Ask the gateway about every waiting top-up of the chosen customers."""
        books = set(top_ups.values_list("book", flat=True))
        answered = gateway_work.ask(book_ids=books)
        self.message_user(request, f"{answered} payments answered.", messages.SUCCESS)


@admin.register(GatewayRefund)
class GatewayRefundAdmin(ReadOnlyAdmin):
    when_empty = "One is made when credits that a gateway took the payment of are refunded."
    list_display = ["top_up", "amount", "currency", "status", "created_at", "concluded_at"]
    list_filter = ["status", "currency", "top_up__book__livemode", "created_at"]
    list_select_related = ["top_up__book"]
    search_fields = ["top_up__book__key", "=id", "=refund_id", "=top_up__id"]
    ordering = ["-created_at"]
    actions = ["ask_the_gateway"]

    @action(description="Ask the gateway about money to be paid back")
    def ask_the_gateway(self, request: HttpRequest, refunds: QuerySet[GatewayRefund]) -> None:
        """Ask the gateway about everything that waits of the chosen customers."""
        books = set(refunds.values_list("top_up__book", flat=True))
        answered = gateway_refunds.resolve_pending(book_ids=books)
        self.message_user(request, f"{answered} answered.", messages.SUCCESS)


@admin.register(AutoRefill)
class AutoRefillAdmin(ReadOnlyAdmin):
    list_display = [
        "wallet", "threshold", "amount", "max_per_day", "max_per_month", "max_amount_per_day",
        "max_amount_per_month", "min_interval", "method", "failures", "next_attempt_at",
        "switched_off_at",
    ]  # fmt: skip
    list_filter = ["book__livemode", "wallet__currency", "switched_off_at"]
    list_select_related = ["wallet__book"]
    search_fields = ["book__key"]
    ordering = ["book__key", "wallet__currency"]
    actions = ["switch_off"]

    @action(description="Switch off")
    def switch_off(self, request: HttpRequest, rules: QuerySet[AutoRefill]) -> None:
        """Stop each chosen wallet from filling itself."""
        for rule in rules:
            refill.switch_off(rule_id=rule.pk)
        self.message_user(request, f"{len(rules)} switched off.", messages.SUCCESS)


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["book", "operation", "key", "status", "actor_kind", "actor_id", "created_at"]
    list_filter = ["operation", "book__livemode"]
    list_select_related = ["book"]
    search_fields = ["book__key", "key"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(CampaignGrant)
class CampaignGrantAdmin(ReadOnlyAdmin):
    list_display = ["book", "campaign", "cause", "quantity", "lot", "granted_at"]
    list_filter = ["campaign", "campaign__livemode", "granted_at"]
    list_select_related = ["book", "campaign", "lot"]
    search_fields = ["book__key", "campaign__code", "cause"]
    ordering = ["-pk"]
    show_full_result_count = False
