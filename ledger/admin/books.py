"""The books in the back office: all of it to read, none of it to edit."""

from __future__ import annotations

from django.contrib import admin

from aforo.adminui import ReadOnlyAdmin, ReadOnlyInline
from ledger.models import Account, Book, Entry, Period, Posting


class PostingInline(ReadOnlyInline):
    model = Posting
    fields = ["debit", "credit", "amount", "currency", "lot"]
    ordering = ["position"]
    show_change_link = False


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["sequence", "book", "event", "occurred_at", "recorded_at", "accounting_date"]
    list_filter = ["event", "book__livemode", "accounting_date"]
    list_select_related = ["book"]
    search_fields = ["book__key", "=id"]
    ordering = ["-recorded_at"]
    inlines = [PostingInline]
    show_full_result_count = False


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


@admin.register(Period)
class PeriodAdmin(ReadOnlyAdmin):
    list_display = ["starts_on", "ends_on", "status", "closed_at"]
    ordering = ["-starts_on"]


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    list_display = ["entry", "debit", "credit", "amount", "currency"]
    list_filter = ["currency", "debit", "credit"]
    list_select_related = ["entry", "debit", "credit"]
    search_fields = ["entry__book__key"]
    ordering = ["-id"]
    show_full_result_count = False
