"""Issued documents in the back office: what they say, as it was issued."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.pages import action, link
from aforo.errors import DomainError
from aforo.ids import new_id
from billing.invoicing import document_files, document_sending
from billing.models import DocumentFile, FileFormat, IssuedDocument


class FileInline(ReadOnlyInline):
    model = DocumentFile
    fields = ["format", "sha256"]
    ordering = ["format"]
    show_change_link = False


@admin.register(IssuedDocument)
class IssuedDocumentAdmin(ReadOnlyAdmin):
    when_empty = "A document is kept when an invoice or a statement gets its number."
    list_display = ["number", "document", "book", "issued_at", "files_of", "sha256"]
    list_filter = ["document", "livemode", "issued_at"]
    list_select_related = ["book"]
    search_fields = ["number", "book__key", "=subject", "sha256"]
    ordering = ["-issued_at", "-pk"]
    readonly_fields = ["files_of"]
    actions = ["send"]
    inlines = [FileInline]
    show_full_result_count = False

    @admin.display(description="show")
    def files_of(self, kept: IssuedDocument) -> SafeString:
        """Return links to the document as a page and as a PDF."""
        return links(kept.subject)

    @action(description="Send by e-mail")
    def send(self, request: HttpRequest, documents: QuerySet[IssuedDocument]) -> None:
        """Mail each chosen document to its customer again."""
        for kept in documents:
            try:
                document_sending.send(kept=kept, key=str(new_id()))
            except DomainError as error:
                self.message_user(request, f"{kept}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{kept}: queued.", messages.SUCCESS)


def links(subject: UUID) -> SafeString:
    """Return links to the document of an invoice, statement or credit note."""
    page, pdf = (
        link(reverse("document_file", args=[subject, form]), form.upper())
        for form in ("html", "pdf")
    )
    return format_html("{} {}", page, pdf)


def document_file(request: HttpRequest, subject: UUID, form: str) -> HttpResponse:
    """Return the document of an invoice, statement or credit note."""
    if not request.user.has_perm("billing.view_issueddocument"):
        raise PermissionDenied
    kept = get_object_or_404(IssuedDocument, subject=subject)
    try:
        file = document_files.file_of(kept, FileFormat(form.upper()))
    except DomainError as error:
        messages.error(request, error.detail)
        return HttpResponseRedirect(reverse("admin:billing_issueddocument_change", args=[kept.pk]))
    return HttpResponse(
        bytes(file.content), content_type=document_files.CONTENT_TYPES[FileFormat(file.format)]
    )
