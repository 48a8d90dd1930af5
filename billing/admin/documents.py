"""Issued documents in the back office: what they say, as it was issued."""

from __future__ import annotations

from uuid import UUID

from dateutil.relativedelta import relativedelta
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.pages import action, link
from aforo.errors import DomainError
from aforo.ids import new_id
from aforo.sandbox.services import now_for
from billing.invoicing import document_files, document_sending, month_pages
from billing.models import Customer, DocumentFile, FileFormat, IssuedDocument

SHOWN_MONTHS = 6


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


def month_links(customer: Customer) -> SafeString:
    """Return links to the newest months of a customer's credits, each as a page and as a PDF."""
    this = now_for(customer.book).date().replace(day=1)
    months = [this - relativedelta(months=back) for back in range(SHOWN_MONTHS)]
    return format_html_join(
        ", ",
        "{} {} {}",
        (
            (
                f"{month:%Y-%m}",
                *(
                    link(
                        reverse("month_file", args=[customer.pk, f"{month:%Y-%m}", form]),
                        form.upper(),
                    )
                    for form in ("html", "pdf")
                ),
            )
            for month in months
        ),
    )


def month_file(request: HttpRequest, customer_id: str, period: str, form: str) -> HttpResponse:
    """Return a customer's month of credits."""
    if not request.user.has_perms(["billing.view_customer", "wallets.view_movement"]):
        raise PermissionDenied
    customer = get_object_or_404(Customer.objects.select_related("book"), pk=customer_id)
    asked = FileFormat(form.upper())
    try:
        content = month_pages.file_of(
            livemode=customer.book.livemode,
            customer_id=customer.book.key,
            period=period,
            form=asked,
        )
    except DomainError as error:
        messages.error(request, error.detail)
        return HttpResponseRedirect(reverse("admin:billing_customer_change", args=[customer.pk]))
    return HttpResponse(content, content_type=document_files.CONTENT_TYPES[asked])


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
