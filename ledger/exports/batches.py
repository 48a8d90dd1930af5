"""Make numbered batches of the entries that no batch of their format has yet, and read their files.

Which entries those are is decided in one statement: of each book, everything of the month after
the last batch's end. Sequences have no gaps and are committed in order, so nothing slips between
two batches, however much is being posted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from aforo import money
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.money import ZERO
from ledger import account_mapping, exchange_rates, locks
from ledger.exports import day_sums, financial_year, generic, journals, naming, storage
from ledger.exports.formats import TARGETS, ExportTarget
from ledger.exports.journals import Side, SummaryJournal, Sums
from ledger.exports.naming import AccountNames
from ledger.models import ExportBatch, ExportFormat, ExportRange
from ledger.reports.details.journal import LotsOf
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import sums as posted


class NothingToExport(Conflict):
    """Nothing was posted that has not been exported yet.

    There is nothing to do.
    """

    default_code = "nothing_to_export"


class UnknownBatch(NotFound):
    """No export batch has this id.

    Take the id from the list of batches.
    """

    default_code = "unknown_batch"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be exported: a month of a mode in a format.

    With `clearing`, an account of the general ledger, lines on receivables and cash are left out,
    because the accounting system gets invoices and payments elsewhere, and stand net on that one.
    """

    livemode: bool
    format: str
    starts_on: date
    ends_on: date
    clearing: str = ""


_TAKE = """
    INSERT INTO ledger_exportrange (batch_id, book_id, format, starts_on, after, through)
    SELECT %(batch)s, found.book_id, %(format)s, %(starts_on)s, found.after, found.through
    FROM (
        SELECT e.book_id, coalesce(taken.through, 0) AS after, max(e.sequence) AS through
        FROM ledger_entry e
        JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
        LEFT JOIN (
            SELECT book_id, max(through) AS through FROM ledger_exportrange
            WHERE format = %(format)s AND starts_on = %(starts_on)s GROUP BY book_id
        ) taken ON taken.book_id = e.book_id
        WHERE e.accounting_date >= %(starts_on)s AND e.accounting_date < %(ends_on)s
            AND e.sequence > coalesce(taken.through, 0)
        GROUP BY e.book_id, taken.through
    ) found
"""
_COUNT = """
    SELECT count(*) FROM ledger_entry e {batch}
    WHERE e.accounting_date >= %(starts_on)s AND e.accounting_date < %(ends_on)s
"""


@transaction.atomic
def export(wanted: ExportRequest, *, now: datetime, by: str, lots_of: LotsOf) -> ExportBatch:
    """Create the next batch; one at a time. The French file has all of its financial year.

    Raises: NothingToExport; UnmappedAccounts, when an account has no place in the general ledger;
    MissingRates, when a file that translates has no rate for a day; Invalid.
    """
    wanted = _spanned(wanted)
    _check_clearing(wanted)
    locks.lock_exports()
    before = ExportBatch.objects.filter(livemode=wanted.livemode, format=wanted.format)
    last = before.order_by("-number").first()
    rules = account_mapping.read()
    batch = ExportBatch.objects.create(
        livemode=wanted.livemode,
        format=wanted.format,
        number=1 if last is None else last.number + 1,
        starts_on=wanted.starts_on,
        created_at=now,
        created_by=by,
        entries=0,
        rows=0,
        journals=0,
        clearing=wanted.clearing,
        mapping_version=rules.version,
        chart_version=rules.chart_version,
        residues={} if last is None else last.residues,
    )
    if wanted.format == ExportFormat.FEC:
        financial_year.write(batch, scope=_scope(wanted), names=_names(batch, rules, wanted))
        _check_new(batch, before)
        batch.save()
        return batch
    batch.entries = _take(batch, wanted)
    found = day_sums.read(_scope(wanted), batch=batch)
    if not found:
        raise NothingToExport(f"There is nothing new to export of {wanted.starts_on:%Y-%m}.")
    batch.booked = _booked(found)
    if wanted.format == ExportFormat.GENERIC:
        batch.written = batch.booked
        generic.write(batch, scope=_scope(wanted), of_batch=day_sums.OF_BATCH, lots_of=lots_of)
    else:
        earlier = before.exclude(pk=batch.pk).aggregate(total=Sum("journals"))["total"] or 0
        names = _names(batch, rules, wanted)
        _write_journals(batch, found, names, first_number=earlier + 1)
    batch.save()
    return batch


def _spanned(wanted: ExportRequest) -> ExportRequest:
    """Return what the format takes: the French file the financial year that has the month."""
    if wanted.format != ExportFormat.FEC:
        return wanted
    starts_on, ends_on = financial_year.of(wanted.starts_on)
    return replace(wanted, starts_on=starts_on, ends_on=ends_on)


def _names(
    batch: ExportBatch, rules: account_mapping.Mapping, wanted: ExportRequest
) -> AccountNames:
    return AccountNames(batch, rules, exchange_rates.read(until=wanted.ends_on))


def _check_new(batch: ExportBatch, before: QuerySet[ExportBatch]) -> None:
    """Check that a file of a whole year says more than the last one of that year.

    Raises: NothingToExport.
    """
    last = before.filter(starts_on=batch.starts_on).exclude(pk=batch.pk).order_by("-number").first()
    if batch.entries == 0 or (last is not None and last.sha256 == batch.sha256):
        raise NothingToExport(f"There is nothing new to export of {batch.starts_on:%Y-%m}.")


def _check_clearing(wanted: ExportRequest) -> None:
    if wanted.clearing and wanted.format in {ExportFormat.GENERIC, ExportFormat.FEC}:
        detail = "This file holds every line; leave lines out of an import file."
        raise Invalid([FieldError("/clearing", "not_for_generic", detail)])


def _take(batch: ExportBatch, wanted: ExportRequest) -> int:
    """Choose the entries of the batch; return how many."""
    asked = _asked(batch, wanted)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, asked)
        cursor.execute(_COUNT.replace("{batch}", day_sums.OF_BATCH), asked)
        count: int = cursor.fetchall()[0][0]
    return count


def _asked(batch: ExportBatch, wanted: ExportRequest) -> dict[str, Any]:
    return posted.parameters(_scope(wanted), {"batch": batch.pk, "format": wanted.format})


def _scope(wanted: ExportRequest) -> ReportScope:
    return ReportScope(livemode=wanted.livemode, starts_on=wanted.starts_on, ends_on=wanted.ends_on)


def _booked(found: list[Sums]) -> dict[str, str]:
    booked: dict[Side, Decimal] = {}
    for each in found:
        for side, account in (("debit", each.debit), ("credit", each.credit)):
            key = (account, each.currency, side)
            booked[key] = booked.get(key, ZERO) + each.amount
    return _plain(booked)


def _plain(sums: Mapping[Side, Decimal]) -> dict[str, str]:
    return {"|".join(key): money.plain(amount) for key, amount in sorted(sums.items())}


def _write_journals(
    batch: ExportBatch, found: list[Sums], names: AccountNames, *, first_number: int
) -> None:
    """Write the summarised journals of a batch in its target's format."""
    target, company = TARGETS[batch.format], naming.company()
    if batch.clearing:
        found = journals.without_receivables_and_cash(found)
    carried = {key: Decimal(text) for key, text in batch.residues.items()}
    made, residues = journals.summarise(found, carried)
    names.check(made, target)
    made_on = batch.created_at.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()
    named = [
        names.named(journal, number, made_on=made_on)
        for number, journal in enumerate(made, start=first_number)
    ]
    file = storage.File(batch)
    lines = 0
    for number, journal in enumerate(named):
        journals.check(made[number])
        written = target.write(journal, company)
        if number == 0 or (target.lines_per_file and lines + len(written) > target.lines_per_file):
            file.cut()
            file.write(storage.line(target.header(company), separator=target.separator))
            lines = 0
        lines += len(written)
        batch.rows += len(written)
        for cells in written:
            file.write(storage.line(cells, separator=target.separator))
    file.close()
    batch.journals = len(made)
    batch.journal_ids = [journal.id for journal in named]
    batch.residues = {key: money.plain(residue) for key, residue in sorted(residues.items())}
    batch.totals = _totals(made)
    batch.written = _plain(journals.by_side(made))


def _totals(made: list[SummaryJournal]) -> dict[str, dict[str, str]]:
    totals: dict[str, dict[str, Decimal]] = {}
    for journal in made:
        sides = totals.setdefault(journal.currency, {"debit": ZERO, "credit": ZERO})
        for line in journal.lines:
            sides["debit"] += line.debit
            sides["credit"] += line.credit
    return {
        currency: {side: money.amount_text(amount, currency) for side, amount in sides.items()}
        for currency, sides in sorted(totals.items())
    }


def latest_batch(wanted: ExportRequest) -> ExportBatch | None:
    """Return the last batch of a month in a format, of the financial year in the French one."""
    wanted = _spanned(wanted)
    made = ExportBatch.objects.filter(
        livemode=wanted.livemode, format=wanted.format, starts_on=wanted.starts_on
    )
    return made.order_by("-number").first()


def get_batch(wanted: ExportRequest, *, number: int) -> ExportBatch:
    """Return a batch by its number.

    Raises: UnknownBatch.
    """
    wanted = _spanned(wanted)
    made = ExportBatch.objects.filter(
        livemode=wanted.livemode, format=wanted.format, starts_on=wanted.starts_on, number=number
    )
    batch = made.first()
    if batch is None:
        raise UnknownBatch(f"{wanted.starts_on:%Y-%m} has no batch {number} of this format.")
    return batch


def sidecar(batch: ExportBatch) -> dict[str, Any]:
    """Return the facts that a batch's file is checked against: counts, totals, ranges, versions,
    hash.
    """
    ranges = ExportRange.objects.filter(batch=batch).select_related("book").order_by("book__key")
    return {
        "entity": settings.ENTITY_NAME,
        "mode": "live" if batch.livemode else "sandbox",
        "format": batch.format.lower(),
        "batch": batch.number,
        "period": f"{batch.starts_on:%Y-%m}",
        "created_at": batch.created_at.isoformat(),
        "created_by": batch.created_by,
        "entries": batch.entries,
        "journals": batch.journals,
        "rows": batch.rows,
        "totals": batch.totals,
        "unexported_residues": batch.residues,
        # By account: what the books have beyond all files of the format so far, debits above zero.
        "books_less_files": _by_account(batch),
        "clearing_account": batch.clearing,
        "chart_version": batch.chart_version,
        "mapping_version": batch.mapping_version,
        "sha256": batch.sha256,
        "sequences": [
            {"customer_id": each.book.key, "from": each.after + 1, "to": each.through}
            for each in ranges
        ],
    }


def _by_account(batch: ExportBatch) -> dict[str, str]:
    """Return what rounding has left unexported, by account and currency."""
    found = journals.residues_by_account(batch.residues)
    return {"|".join(key): money.plain(amount) for key, amount in sorted(found.items()) if amount}


def file_name(batch: ExportBatch) -> str:
    """Return the name of a batch's file; the French one as the law says, by the day on which the
    financial year ends.
    """
    suffix = target_of(batch).suffix
    if batch.format == ExportFormat.FEC:
        closes = financial_year.of(batch.starts_on)[1] - timedelta(days=1)
        if settings.ENTITY_REGISTRATION:
            return f"{settings.ENTITY_REGISTRATION}FEC{closes:%Y%m%d}.{suffix}"
    mode = "" if batch.livemode else "-sandbox"
    return f"{batch.format.lower()}{mode}-{batch.starts_on:%Y-%m}-{batch.number}.{suffix}"


def target_of(batch: ExportBatch) -> ExportTarget:
    """Return a batch's format."""
    return generic.TARGET if batch.format == ExportFormat.GENERIC else TARGETS[batch.format]


def files(batch: ExportBatch) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Read a batch's files, byte by byte as they were made, with their names."""
    name = file_name(batch)
    count = storage.files_of(batch)
    stem, _, suffix = name.rpartition(".")
    for number in range(1, count + 1):
        shown = name if count == 1 else f"{stem}-{number}.{suffix}"
        yield shown, storage.content(batch, file=number)
