"""Receipts: what the accounting system called what it took, written back to a batch.

A receipt is written once. The same one again changes nothing; another one for the same journal, or
the same id of theirs for another journal, is a contradiction that somebody has to look into: it is
refused, with everything that came along.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from aforo.errors import Conflict, FieldError, Invalid
from aforo.periods import month_of
from ledger import locks
from ledger.exports.batches import UnknownBatch
from ledger.models import Entry, ExportBatch, ExportFormat, ExportRange, ExportReceipt

HEADER = ["journal_id", "target_id"]
LONGEST = 200


class ReceiptDiffers(Conflict):
    """A journal already has another id of the general ledger.

    Compare both; a receipt that was recorded stays.
    """

    default_code = "receipt_differs"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Their id of a journal of a batch or, where none is named, of the whole import."""

    journal: str
    target_id: str


def find_batch(*, livemode: bool, form: str, number: int) -> ExportBatch:
    """Find a batch by the number that its mode and format know it by.

    Raises: UnknownBatch.
    """
    batch = ExportBatch.objects.filter(livemode=livemode, format=form, number=number).first()
    if batch is None:
        raise UnknownBatch(f"There is no batch {number} of this format.")
    return batch


def read(text: str) -> list[Receipt]:
    """Read CSV lines of a journal's id and theirs, with or without a header; a line of one cell is
    their id of the whole import.

    Raises: Invalid, with the number of the line.
    """
    receipts = []
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells == HEADER:
            continue
        if len(cells) > len(HEADER):
            raise _bad(number, "too_many_cells", "A journal's id and theirs make two cells.")
        journal, target_id = ["", *cells][-2:]
        receipts.append(_receipt(journal, target_id, line=number))
    if not receipts:
        raise _bad(1, "required", "There is no receipt in it.")
    return receipts


def of_import(target_id: str) -> Receipt:
    """Create the receipt of a whole import.

    Raises: Invalid.
    """
    return _receipt("", target_id.strip(), line=1)


def _receipt(journal: str, target_id: str, *, line: int) -> Receipt:
    if not target_id or len(target_id) > LONGEST or not target_id.isprintable():
        raise _bad(line, "invalid", f"Their id has 1 to {LONGEST} printable characters.")
    return Receipt(journal, target_id)


def _bad(line: int, code: str, detail: str) -> Invalid:
    return Invalid([FieldError(f"/lines/{line}", code, f"Line {line}: {detail}")])


@transaction.atomic
def record(batch: ExportBatch, receipts: Sequence[Receipt], *, now: datetime, by: str) -> int:
    """Write the receipts that are new, all of them or nothing; return how many.

    Raises: Invalid (`unknown_journal`) for what is not in the batch; ReceiptDiffers.
    """
    locks.lock_exports()
    _check_known(batch, {receipt.journal for receipt in receipts} - {""})
    kept = dict(batch.receipts.values_list("journal", "target_id"))
    fresh: dict[str, str] = {}
    for receipt in receipts:
        before = {**kept, **fresh}.get(receipt.journal)
        if before is None:
            fresh[receipt.journal] = receipt.target_id
        elif before != receipt.target_id:
            what = receipt.journal or str(batch)
            raise ReceiptDiffers(f"{what} is {before} there already, not {receipt.target_id}.")
    _check_free(batch, fresh)
    ExportReceipt.objects.bulk_create(
        ExportReceipt(
            batch=batch,
            journal=journal,
            target_id=target_id,
            livemode=batch.livemode,
            format=batch.format,
            recorded_at=now,
            recorded_by=by,
        )
        for journal, target_id in fresh.items()
    )
    return len(fresh)


def _check_known(batch: ExportBatch, journals: Collection[str]) -> None:
    """Check that every journal is in the batch."""
    generic = batch.format == ExportFormat.GENERIC
    known = _entries(batch, journals) if generic else set(batch.journal_ids)
    unknown = sorted(set(journals) - known)
    if unknown:
        detail = f"{batch} holds no journal {unknown[0]}."
        raise Invalid([FieldError("/journal_id", "unknown_journal", detail)])


def _entries(batch: ExportBatch, journals: Collection[str]) -> set[str]:
    """Return which of these are entries of a generic batch."""
    ids = []
    for journal in journals:
        try:
            ids.append(UUID(journal))
        except ValueError:
            continue
    taken = ExportRange.objects.filter(
        batch=batch,
        book=OuterRef("book"),
        after__lt=OuterRef("sequence"),
        through__gte=OuterRef("sequence"),
    )
    starts_on, ends_on = month_of(batch.starts_on)
    held = Entry.objects.filter(
        Exists(taken), pk__in=ids, accounting_date__gte=starts_on, accounting_date__lt=ends_on
    )
    return {str(entry) for entry in held.values_list("pk", flat=True)}


def _check_free(batch: ExportBatch, fresh: dict[str, str]) -> None:
    """Check that no id of theirs stands for two journals."""
    named = {journal: target_id for journal, target_id in fresh.items() if journal}
    owners = dict(
        ExportReceipt.objects.filter(
            livemode=batch.livemode, format=batch.format, target_id__in=named.values()
        )
        .exclude(journal="")
        .values_list("target_id", "journal")
    )
    for journal, target_id in named.items():
        owner = owners.setdefault(target_id, journal)
        if owner != journal:
            raise ReceiptDiffers(f"{target_id} is {owner} already, it cannot be {journal} too.")
