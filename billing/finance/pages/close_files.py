"""The files of a close pack, each by itself and all in one archive, as they were frozen."""

from __future__ import annotations

import io
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from ledger.models import CloseFile, ClosePack

# The archive of a pack stands among its files under this name.
ARCHIVE = "pack.zip"


def close_file(request: HttpRequest, pack_id: int, name: str) -> HttpResponse:
    """Return a file of a pack, or the archive of all of them."""
    if not request.user.has_perm("ledger.view_closefile"):
        raise PermissionDenied
    pack = get_object_or_404(ClosePack.objects.select_related("period"), pk=pack_id)
    if name == ARCHIVE:
        return _sent(archive(pack), f"close-{pack.period}-{pack.number}.zip")
    return _sent(get_object_or_404(CloseFile, pack=pack, name=name).content.encode(), name)


def archive(pack: ClosePack) -> bytes:
    """Return all files of a pack in one archive: the same bytes whenever it is made."""
    written = io.BytesIO()
    with ZipFile(written, "w", ZIP_DEFLATED) as file:
        for each in pack.files.order_by("name"):
            # An archive has whole years from 1980 on, and no zone.
            facts = ZipInfo(each.name, pack.closed_at.timetuple()[:6])
            facts.compress_type = ZIP_DEFLATED
            file.writestr(facts, each.content)
    return written.getvalue()


def _sent(content: bytes, name: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
