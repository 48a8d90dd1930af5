"""Issued documents in the back office: what they say, as it was issued."""

from __future__ import annotations

from django.contrib import admin

from aforo.adminui.admins import ReadOnlyAdmin
from billing.models import IssuedDocument


@admin.register(IssuedDocument)
class IssuedDocumentAdmin(ReadOnlyAdmin):
    when_empty = "A document is kept when an invoice or a statement gets its number."
    list_display = ["number", "document", "book", "issued_at", "sha256"]
    list_filter = ["document", "livemode", "issued_at"]
    list_select_related = ["book"]
    search_fields = ["number", "book__key", "=subject", "sha256"]
    ordering = ["-issued_at", "-pk"]
    show_full_result_count = False
