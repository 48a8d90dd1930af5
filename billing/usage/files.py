"""Files of metered events, NDJSON or CSV, of any size, in bounded memory.

A file is ingested in batches. After each one a checkpoint records the position, so a killed run
continues there; what it had stored beyond that counts as duplicates.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from django.db import reset_queries

from aforo.errors import Conflict, Rejected
from aforo.protocol.exact_json import read_json
from billing.usage.events import COLUMNS, BadEvent, MeteredEvent, read_cloud_event, read_event
from billing.usage.ingest import ingest

Format = Literal["ndjson", "csv"]

BATCH = 1_000
MAX_LINE = 1_000_000
# How many of the bytes read before are compared, to recognise the file.
_REMEMBERED = 4_096
_NEEDED = COLUMNS - {"quantity"}


class UnreadableFile(Rejected):
    """The file of events cannot be read as NDJSON or CSV.

    Mend what the message names, and give the file again.
    """

    default_code = "unreadable_file"


class FileInUse(Conflict):
    """Another process reads the same file of events.

    Wait for it.
    """

    default_code = "file_in_use"


@dataclass(slots=True)
class Checkpoint:
    """The position in a file: the next byte, the counts, and the length of its rejects."""

    offset: int = 0
    line: int = 0
    digest: str = ""
    rejects: int = 0
    accepted: int = 0
    duplicates: int = 0
    failed: int = 0


class Record(NamedTuple):
    """One record of a file, the line it ends on and the byte after it."""

    line: int
    offset: int
    content: object


def rejects_path(path: Path, *, livemode: bool) -> Path:
    """Return the path of a file's rejects, one JSON object with line and reason for each refused
    line.
    """
    return path.with_name(f"{path.name}.{'live' if livemode else 'sandbox'}.rejects")


def checkpoint_path(path: Path, *, livemode: bool) -> Path:
    """Return the path of a file's checkpoint."""
    return path.with_name(f"{path.name}.{'live' if livemode else 'sandbox'}.progress")


def ingest_file(
    *,
    path: Path,
    file_format: Format,
    livemode: bool,
    clock: Callable[[], datetime],
    restart: bool = False,
    progress: Callable[[Checkpoint], None] = lambda _: None,
) -> Checkpoint:
    """Ingest a file from its checkpoint, or with `restart` from its beginning.

    Safe to kill and to repeat: keys deduplicate what a lost checkpoint would count twice.
    Raises: UnreadableFile, FileInUse, OSError; Busy after lock_timeout.
    """
    kept_at = checkpoint_path(path, livemode=livemode)
    with path.open("rb") as file, _rejects(rejects_path(path, livemode=livemode)) as rejects:
        at = Checkpoint() if restart else _resume(file, kept_at)
        rejects.truncate(at.rejects)
        rejects.seek(at.rejects)
        records = _csv(file, at) if file_format == "csv" else _ndjson(file, at)
        progress(at)
        while batch := list(islice(records, BATCH)):
            outcome = ingest(
                livemode=livemode,
                events=[record.content for record in batch],
                received_at=clock(),
                read=_read,
            )
            for error in outcome.errors:
                line = batch[int(str(error.pop("index")))].line
                rejects.write(json.dumps({"line": line, **error}).encode() + b"\n")
            rejects.flush()
            at = Checkpoint(
                offset=batch[-1].offset,
                line=batch[-1].line,
                rejects=rejects.tell(),
                accepted=at.accepted + outcome.accepted,
                duplicates=at.duplicates + outcome.duplicates,
                failed=at.failed + outcome.failed,
            )
            _keep(at, path, kept_at)
            progress(at)
            # With DEBUG on, Django would keep every statement.
            reset_queries()
    return at


def _read(number: int, content: object) -> MeteredEvent:
    """Read the content of a record.

    Raises: BadEvent.
    """
    if isinstance(content, BadEvent):
        raise content
    if isinstance(content, bytes):
        try:
            content = read_json(content)
        except (ValueError, RecursionError) as error:
            raise BadEvent("unreadable", f"The line is not valid JSON: {error}") from error
    is_cloud_event = isinstance(content, Mapping) and "specversion" in content
    return read_cloud_event(number, content) if is_cloud_event else read_event(number, content)


@contextmanager
def _rejects(path: Path) -> Iterator[BinaryIO]:
    """Open and lock the list of rejects, which also guards the file beside it.

    Raises: FileInUse.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileInUse(f"Another process is taking this file (it holds {path}).") from error
        yield file


def _digest(file: BinaryIO, offset: int) -> str:
    """Return the hash of the bytes before `offset`, which identifies the file even when it has
    grown.
    """
    start = max(0, offset - _REMEMBERED)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()


def _resume(file: BinaryIO, kept_at: Path) -> Checkpoint:
    """Return the checkpoint; a file that has been replaced starts at its beginning."""
    try:
        at = Checkpoint(**json.loads(kept_at.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Checkpoint()
    return at if at.digest == _digest(file, at.offset) else Checkpoint()


def _keep(at: Checkpoint, path: Path, kept_at: Path) -> None:
    """Write the checkpoint, whole or not at all."""
    with path.open("rb") as file:
        at.digest = _digest(file, at.offset)
    unfinished = kept_at.with_name(f"{kept_at.name}.new")
    unfinished.write_text(json.dumps(asdict(at)))
    unfinished.replace(kept_at)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Return the lines from the current position; of one that is too long only the beginning."""
    while line := file.readline(MAX_LINE + 1):
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE + 1)
        yield line


def _ndjson(file: BinaryIO, at: Checkpoint) -> Iterator[Record]:
    file.seek(at.offset)
    for number, line in enumerate(_lines(file), at.line + 1):
        if len(line) > MAX_LINE:
            content: object = BadEvent("too_long", f"A line has at most {MAX_LINE} bytes.")
        elif line.strip():
            content = line
        else:
            continue
        yield Record(number, file.tell(), content)


def _text(file: BinaryIO) -> Iterator[str]:
    # Bytes that are not UTF-8 pass here, and are refused with their row.
    for line in _lines(file):
        yield line[:MAX_LINE].decode("utf-8", "surrogateescape")


def _csv(file: BinaryIO, at: Checkpoint) -> Iterator[Record]:
    """Return the rows under the header; a quoted cell may hold line ends.

    Raises: UnreadableFile for a header that lacks a column.
    """
    file.seek(0)
    header = _header(next(csv.reader(_text(file)), []))
    before = at.line or 1
    if at.offset:
        file.seek(at.offset)
    rows = csv.reader(_text(file), strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            content: object = BadEvent("unreadable", f"The row is not valid CSV: {error}.")
        else:
            if not row:
                continue
            content = _cells(header, row)
        yield Record(before + rows.line_num, file.tell(), content)


def _header(names: Sequence[str]) -> list[str]:
    """Return the columns' names; customer_id and the like are read as customerId."""
    header = []
    for name in (given.removeprefix("\ufeff").strip() for given in names):
        camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
        header.append(camel if camel in COLUMNS else name)
    missing = sorted(_NEEDED - {*header})
    if missing or len({*header}) != len(header):
        wrong = f"lacks {', '.join(missing)}" if missing else "names a column twice"
        raise UnreadableFile(f"The first line has to name the columns, and {wrong}.")
    return header


def _in_utc(written: str) -> str:
    """Return a time without a zone as UTC, because spreadsheets write none."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written
    return written if moment.tzinfo else f"{moment.isoformat()}Z"


def _cells(header: Sequence[str], row: Sequence[str]) -> object:
    """Return the event of a row: empty cells are absent, without the column quantity is 1."""
    if len(row) != len(header):
        return BadEvent("unreadable", f"The row has {len(row)} cells, the header {len(header)}.")
    cells: dict[str, object] = {
        name: cell for name, cell in zip(header, row, strict=True) if cell.strip()
    }
    try:
        "".join(row).encode()
        if str(cells.get("metadata", "")).lstrip().startswith("{"):
            cells["metadata"] = read_json(str(cells["metadata"]).encode())
    except (ValueError, RecursionError):
        return BadEvent("unreadable", "The row is not UTF-8, or its metadata not JSON.")
    occurred_at = str(cells.get("occurredAt", "")).strip()
    if occurred_at.isdecimal() and len(occurred_at) > 8:
        cells["occurredAt"] = int(occurred_at) if len(occurred_at) < 20 else occurred_at
    elif occurred_at:
        cells["occurredAt"] = _in_utc(occurred_at)
    if "quantity" not in header:
        cells["quantity"] = 1
    return cells
