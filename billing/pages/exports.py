"""Exports in the back office: make the next batch of a month, and take any batch's files again."""

from __future__ import annotations

import json

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from aforo.errors import DomainError
from billing import reports
from ledger.exports import batches
from ledger.models import ExportBatch, ExportFormat
from wallets.reports import lots

MODES = [("live", "Live"), ("sandbox", "Sandbox")]
SHOWN = 100


class ExportForm(forms.Form):
    """What is to be exported."""

    mode = forms.ChoiceField(choices=MODES)
    format = forms.ChoiceField(choices=ExportFormat.choices)
    period = forms.CharField(label="Month")
    clearing = forms.CharField(
        required=False, label="Leave receivables and cash out, net on the GL account"
    )


def export_list(request: HttpRequest) -> HttpResponse:
    """Show the batches and the form of the next one; make it when the form is sent."""
    if not request.user.has_perm("ledger.view_exportbatch"):
        raise PermissionDenied
    form = ExportForm(request.POST or None, initial={"mode": "live"})
    if request.method == "POST":
        if not request.user.has_perm("ledger.add_exportbatch"):
            raise PermissionDenied
        if form.is_valid() and _export(request, form):
            return redirect("exports")
    made = ExportBatch.objects.order_by("-created_at", "-pk")[:SHOWN]
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
    """Make the batch; say what came of it."""
    given = form.cleaned_data
    try:
        starts_on, ends_on = reports.read_month(given["period"])
        wanted = batches.Wanted(
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


def _sidecar_name(batch: ExportBatch) -> str:
    return f"{batches.file_name(batch)}.json"


def export_file(request: HttpRequest, batch_id: int, name: str) -> StreamingHttpResponse:
    """Give a file of a batch as it was made, or the JSON beside it."""
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
