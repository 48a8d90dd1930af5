"""Write a batch's files in compressed pieces, hash them on the way, and read them again."""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence

from django.db.models import Max

from ledger.models import ExportBatch, ExportPart

PIECE = 1024 * 1024


def line(cells: Sequence[str], *, separator: str = ",") -> bytes:
    """Write one line; fields with separators in them are quoted."""
    written = io.StringIO()
    csv.writer(written, delimiter=separator).writerow(cells)
    return written.getvalue().encode()


class File:
    """The files of one batch as they are made; a cut begins the next one."""

    def __init__(self, batch: ExportBatch) -> None:
        self._batch = batch
        self._hash = hashlib.sha256()
        self._buffer = io.BytesIO()
        self._file, self._position = 0, 0

    def cut(self) -> None:
        """Begin the next file."""
        self._flush()
        self._file += 1

    def write(self, content: bytes) -> None:
        """Add to the file."""
        self._hash.update(content)
        self._buffer.write(content)
        if self._buffer.tell() >= PIECE:
            self._flush()

    def close(self) -> None:
        """Write what is left, and set the batch's hash."""
        self._flush()
        self._batch.sha256 = self._hash.hexdigest()

    def _flush(self) -> None:
        if not self._buffer.tell():
            return
        ExportPart.objects.create(
            batch=self._batch,
            file=self._file,
            position=self._position,
            content=zlib.compress(self._buffer.getvalue(), 6),
        )
        self._position += 1
        self._buffer = io.BytesIO()


def files_of(batch: ExportBatch) -> int:
    """Count the files of a batch."""
    return batch.parts.aggregate(last=Max("file"))["last"] or 0


def content(batch: ExportBatch, *, file: int) -> Iterator[bytes]:
    """Read one file, piece by piece, as it was made."""
    parts = batch.parts.filter(file=file).order_by("position")
    for content in parts.values_list("content", flat=True).iterator(chunk_size=1):
        yield zlib.decompress(bytes(content))
