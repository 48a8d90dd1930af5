"""Exports in the back office: make the next batch of a month, and download any batch's files
again.
"""

from __future__ import annotations

import json

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from aforo.adminui.forms import Form, MonthField
from aforo.errors import DomainError, Invalid
from billing.finance import reports
from ledger.exports import batches, receipts
from ledger.models import ExportBatch, ExportFormat
from wallets.reports import lots

MODES = [("live", "Live"), ("sandbox", "Sandbox")]
SHOWN = 100


class ExportForm(Form):
    """What is to be exported."""

    mode = forms.ChoiceField(choices=MODES)
    format = forms.ChoiceField(choices=ExportFormat.choices)
    period = MonthField(label="Month")
    clearing = forms.CharField(
        required=False,
        label="Clearing account",
        help_text="Receivables and cash are left out, and their net goes to this GL account.",
    )


def export_list(request: HttpRequest) -> HttpResponse:
    """Render the batches and the form of the next one; make it when the form is sent."""
    if not request.user.has_perm("ledger.view_exportbatch"):
        raise PermissionDenied
    form = ExportForm(request.POST or None, initial={"mode": "live"})
    if request.method == "POST":
        if not request.user.has_perm("ledger.add_exportbatch"):
            raise PermissionDenied
        if form.is_valid() and _export(request, form):
            return redirect("exports")
    counted = ExportBatch.objects.annotate(received=Count("receipts"))
    made = counted.order_by("-created_at", "-pk")[:SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": "Exports",
        "form": form,
        "batches": [
            (batch, [*(name for name, _ in batches.files(batch)), _sidecar_name(batch)])
            for batch in made
        ],
    }
    return render(request, "reports/exports.html", context)


def _export(request: HttpRequest, form: ExportForm) -> bool:
    """Create the batch and report the result; return whether it was made."""
    given = form.cleaned_data
    try:
        starts_on, ends_on = reports.read_month(given["period"])
        wanted = batches.ExportRequest(
            livemode=given["mode"] == "live",
            format=given["format"],
            starts_on=starts_on,
            ends_on=ends_on,
            clearing=given["clearing"],
        )
        batch = batches.export(
            wanted, now=timezone.now(), by=request.user.get_username(), lots_of=lots.facts_of
        )
    except DomainError as error:
        messages.error(request, error.detail)
        return False
    messages.success(request, f"{batch}: {batch.entries} entries, {batch.rows} lines.")
    return True


class ReceiptForm(Form):
    """The ids that the accounting system has for a batch, or its journals."""

    lines = forms.CharField(
        label="Their ids",
        help_text="A journal's id, a comma, its id there: one a line. Or their id of the import.",
        widget=forms.Textarea,
    )


def export_receipts(request: HttpRequest, batch_id: int) -> HttpResponse:
    """Render the ids that the accounting system has for a batch's journals, and record more."""
    if not request.user.has_perm("ledger.view_exportbatch"):
        raise PermissionDenied
    batch = get_object_or_404(ExportBatch, pk=batch_id)
    form = ReceiptForm(request.POST or None)
    if request.method == "POST":
        if not request.user.has_perm("ledger.add_exportreceipt"):
            raise PermissionDenied
        if form.is_valid() and _receive(request, batch, form.cleaned_data["lines"]):
            return redirect("export_receipts", batch_id)
    kept = dict(batch.receipts.order_by("journal").values_list("journal", "target_id"))
    journals = batch.journal_ids or [journal for journal in kept if journal][:SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": str(batch),
        "form": form,
        "batch": batch,
        "whole": kept.get(""),
        "journals": [(journal, kept.get(journal)) for journal in journals],
    }
    return render(request, "reports/receipts.html", context)


def _receive(request: HttpRequest, batch: ExportBatch, lines: str) -> bool:
    """Record receipts and report the result; return whether they were accepted."""
    try:
        new = receipts.record(
            batch, receipts.read(lines), now=timezone.now(), by=request.user.get_username()
        )
    except Invalid as error:
        messages.error(request, error.errors[0].detail)
        return False
    except DomainError as error:
        messages.error(request, error.detail)
        return False
    messages.success(request, f"{new} new.")
    return True


def _sidecar_name(batch: ExportBatch) -> str:
    return f"{batches.file_name(batch)}.json"


def export_file(request: HttpRequest, batch_id: int, name: str) -> StreamingHttpResponse:
    """Return a file of a batch as it was made, or the JSON beside it."""
    if not request.user.has_perm("ledger.view_exportbatch"):
        raise PermissionDenied
    batch = get_object_or_404(ExportBatch, pk=batch_id)
    found = dict(batches.files(batch))
    facts = json.dumps(batches.sidecar(batch), indent=2, ensure_ascii=False)
    found[_sidecar_name(batch)] = iter([facts.encode()])
    if name not in found:
        raise Http404
    return StreamingHttpResponse(
        found[name],
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
