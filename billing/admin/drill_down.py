"""Drill-down in the back office: from an entry to its document, and back.

The pages of entries and lots are registered anew here, where every document is known.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from aforo.adminui.pages import link
from ledger.admin.books import EntryAdmin
from ledger.models import Entry
from wallets.admin.records import CreditLotAdmin, MovementInline
from wallets.models import CreditLot

# The objects that an entry's document may name, with their pages in the back office.
_PAGES = {
    "settlement": ("the settlement", "billing_settlement"),
    "subscription": ("the subscription", "billing_subscription"),
    "top_up": ("the top-up", "wallets_topup"),
    "reservation": ("the reservation", "wallets_reservation"),
    "usage_reservation": ("the usage reservation", "billing_usagereservation"),
    "usage_event": ("the usage event", "billing_usageevent"),
    "payment": ("the payment", "billing_invoicepayment"),
    "lot": ("the lot", "wallets_creditlot"),
}


def postings_url(*, livemode: bool, **asked: str) -> str:
    """Return the address of the postings that a filter selects (see `entry_filters`)."""
    figure = urlencode({"mode": "live" if livemode else "sandbox", **asked})
    return f"{reverse('admin:ledger_posting_changelist')}?{urlencode({'figure': figure})}"


def found_url(model: str, text: str) -> str:
    """Return the address of a list with a search."""
    return f"{reverse(f'admin:{model}_changelist')}?{urlencode({'q': text})}"


def led_to(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the pages that an entry's document refers to: addresses with their titles."""
    found = [
        (reverse(f"admin:{model}_change", args=[document[name]]), title)
        for name, (title, model) in _PAGES.items()
        if isinstance(document.get(name), str)
    ]
    if "invoice" in document:
        number = document["invoice"]
        found.append((found_url("billing_invoice", number), f"the invoice {number}"))
    if "key" in document:
        found.append((found_url("wallets_operation", document["key"]), "the request"))
    return found


class MovedInline(MovementInline):
    """The credits that an entry moved."""

    verbose_name_plural = "movements of credits"
    fields = [
        "lot", "kind", "quantity", "carrying", "balance_after", "held_after",
        "wallet_balance_after",
    ]  # fmt: skip
    ordering = ["position"]
    joined = ["lot"]


admin.site.unregister(Entry)


@admin.register(Entry)
class DrillDownEntryAdmin(EntryAdmin):
    """The entry of the books, with the credits it moved and the documents it belongs to."""

    inlines = [*EntryAdmin.inlines, MovedInline]
    readonly_fields = [*EntryAdmin.readonly_fields, "leads_to"]

    @admin.display(description="was for")
    def leads_to(self, entry: Entry) -> SafeString | str:
        """Return links to what the entry's document names."""
        return format_html_join(
            ", ", "{}", ((link(url, title),) for url, title in led_to(entry.document))
        )


admin.site.unregister(CreditLot)


@admin.register(CreditLot)
class DrillDownLotAdmin(CreditLotAdmin):
    """The lot, with links to its postings and to the cycles that it paid for."""

    readonly_fields = ["leads_to"]

    @admin.display(description="leads to")
    def leads_to(self, lot: CreditLot) -> SafeString:
        """Return links to the lot's postings, and to the cycles that burned it."""
        ways = [
            (postings_url(livemode=lot.book.livemode, lot=str(lot.pk)), "its postings"),
            (found_url("billing_cycleburn", str(lot.pk)), "the cycles it paid for"),
        ]
        return format_html_join(", ", "{}", ((link(url, title),) for url, title in ways))
