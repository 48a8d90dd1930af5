"""The books in the back office: all of it to read, none of it to edit."""

from __future__ import annotations

from urllib.parse import parse_qsl

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.access.actor_names import name_actor
from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.pages import link
from ledger.entries.entry_filters import postings_behind
from ledger.models import Account, Book, Entry, Posting


@admin.display(description="lot")
def lot_link(posting: Posting) -> str:
    """Return a link to the lot whose consideration moved, named by the end of its id."""
    if posting.lot is None:
        return "-"
    return link(
        reverse("admin:wallets_creditlot_change", args=[posting.lot]), str(posting.lot)[-8:]
    )


class PostingInline(ReadOnlyInline):
    model = Posting
    fields = ["debit", "credit", "amount", "currency", lot_link]
    ordering = ["position"]
    joined = ["debit", "credit"]
    show_change_link = False


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["sequence", "book", "event", "occurred_at", "recorded_at", "accounting_date"]
    list_filter = ["event", "book__livemode", "accounting_date"]
    list_select_related = ["book"]
    search_fields = ["book__key", "=id"]
    ordering = ["-recorded_at"]
    inlines = [PostingInline]
    readonly_fields = ["who", "reason", "attributes"]
    show_full_result_count = False

    @admin.display(description="done by")
    def who(self, entry: Entry) -> str:
        """Return who did it, by the name of today."""
        return name_actor(entry.actor_kind, entry.actor_id)


@admin.register(Book)
class BookAdmin(ReadOnlyAdmin):
    list_display = ["key", "livemode", "sequence", "last_recorded_at", "test_clock"]
    list_filter = ["livemode"]
    list_select_related = ["test_clock"]
    search_fields = ["key"]
    ordering = ["key"]


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["code", "name", "normal", "statement"]
    list_filter = ["statement"]
    search_fields = ["code", "name"]
    ordering = ["code"]


class FigureFilter(admin.SimpleListFilter):
    """The postings that a report's figure is the sum of; reports link to it."""

    title = "figure of a report"
    parameter_name = "figure"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Posting]
    ) -> list[tuple[str, str]]:
        """Return the figure that is looked at as the only choice."""
        figure = request.GET.get(self.parameter_name, "")
        return [(figure, ", ".join(f"{k} {v}" for k, v in parse_qsl(figure)))] if figure else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Posting]) -> QuerySet[Posting]:
        """Narrow the postings to those that the figure is made of."""
        asked = dict(parse_qsl(str(self.value())))
        livemode = asked.pop("mode", "live") == "live"
        return queryset.filter(pk__in=postings_behind(livemode=livemode, asked=asked))


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    list_display = [
        "posted_on", "customer", "event", "debit", "credit", "amount", "currency", lot_link,
        "entry_link",
    ]  # fmt: skip
    list_display_links = None
    list_filter = [FigureFilter, "currency", "debit", "credit"]
    list_select_related = ["entry__book", "debit", "credit"]
    search_fields = ["entry__book__key"]
    ordering = ["-id"]
    show_full_result_count = False

    @admin.display(description="posted on", ordering="entry__accounting_date")
    def posted_on(self, posting: Posting) -> SafeString:
        """Return the accounting date, on one line."""
        day = posting.entry.accounting_date
        return format_html('<span class="whitespace-nowrap">{}</span>', day.isoformat())

    @admin.display(description="customer", ordering="entry__book__key")
    def customer(self, posting: Posting) -> str:
        """Return the customer whose book it is in."""
        return posting.entry.book.key

    @admin.display(description="event", ordering="entry__event")
    def event(self, posting: Posting) -> str:
        """Return what happened."""
        return str(posting.entry.get_event_display())

    @admin.display(description="entry")
    def entry_link(self, posting: Posting) -> str:
        """Return a link to the entry with all its postings."""
        url = reverse("admin:ledger_entry_change", args=[posting.entry_id])
        return link(url, f"#{posting.entry.sequence}")
