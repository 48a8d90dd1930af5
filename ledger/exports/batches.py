"""Make numbered batches of the entries that no batch of their format has yet, and read their files.

Which entries those are is decided in one statement: of each book, everything of the month after
the last batch's end. Sequences have no gaps and are committed in order, so nothing slips between
two batches, however much is being posted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum

from aforo import money
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.money import ZERO
from ledger import account_mapping, locks
from ledger.chart import VARIANTS
from ledger.exports import generic, journals, storage
from ledger.exports.formats import TARGETS, ExportTarget, MappedJournal
from ledger.exports.formats.target import MappedLine
from ledger.exports.journals import CLEARING, SummaryJournal, Sums
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
# Narrows a statement about postings to the entries of a batch.
OF_BATCH = """
    JOIN ledger_exportrange taken ON taken.batch_id = %(batch)s AND taken.book_id = e.book_id
        AND e.sequence > taken.after AND e.sequence <= taken.through
"""
_SUMS = """
    SELECT e.accounting_date, p.currency, p.debit_id, p.credit_id, sum(p.amount)
    FROM {postings} {batch}
    WHERE {scope} AND e.accounting_date >= %(starts_on)s
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_COUNT = """
    SELECT count(*) FROM ledger_entry e {batch}
    WHERE e.accounting_date >= %(starts_on)s AND e.accounting_date < %(ends_on)s
"""


@transaction.atomic
def export(wanted: ExportRequest, *, now: datetime, by: str, lots_of: LotsOf) -> ExportBatch:
    """Create the next batch; one at a time.

    Raises: NothingToExport; UnmappedAccounts, when an account has no place in the general ledger.
    """
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
    batch.entries = _take(batch, wanted)
    found = _sums(batch, wanted)
    if not found:
        raise NothingToExport(f"There is nothing new to export of {wanted.starts_on:%Y-%m}.")
    batch.booked = _booked(found)
    if wanted.format == ExportFormat.GENERIC:
        generic.write(batch, scope=_scope(wanted), of_batch=OF_BATCH, lots_of=lots_of)
    else:
        earlier = before.exclude(pk=batch.pk).aggregate(total=Sum("journals"))["total"] or 0
        _write_journals(batch, found, rules, first_number=earlier + 1)
    batch.save()
    return batch


def _check_clearing(wanted: ExportRequest) -> None:
    if wanted.clearing and wanted.format == ExportFormat.GENERIC:
        detail = "The generic file holds every line; leave lines out of an import file."
        raise Invalid([FieldError("/clearing", "not_for_generic", detail)])


def _take(batch: ExportBatch, wanted: ExportRequest) -> int:
    """Choose the entries of the batch; return how many."""
    asked = _asked(batch, wanted)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, asked)
        cursor.execute(_COUNT.replace("{batch}", OF_BATCH), asked)
        count: int = cursor.fetchall()[0][0]
    return count


def _asked(batch: ExportBatch, wanted: ExportRequest) -> dict[str, Any]:
    return posted.parameters(_scope(wanted), {"batch": batch.pk, "format": wanted.format})


def _scope(wanted: ExportRequest) -> ReportScope:
    return ReportScope(livemode=wanted.livemode, starts_on=wanted.starts_on, ends_on=wanted.ends_on)


def _sums(batch: ExportBatch, wanted: ExportRequest) -> list[Sums]:
    template = _SUMS.replace("{batch}", OF_BATCH)
    return [Sums(*row) for row in posted.fetch(template, _scope(wanted), {"batch": batch.pk})]


def _booked(found: list[Sums]) -> dict[str, str]:
    booked: dict[str, Decimal] = {}
    for each in found:
        for side, account in (("debit", each.debit), ("credit", each.credit)):
            key = f"{account}|{each.currency}|{side}"
            booked[key] = booked.get(key, ZERO) + each.amount
    return {key: money.plain(amount) for key, amount in sorted(booked.items())}


def _write_journals(
    batch: ExportBatch, found: list[Sums], rules: account_mapping.Mapping, *, first_number: int
) -> None:
    """Write the summarised journals of a batch in its target's format."""
    target = TARGETS[batch.format]
    if batch.clearing:
        found = journals.without_receivables_and_cash(found)
    carried = {key: Decimal(text) for key, text in batch.residues.items()}
    made, residues = journals.summarise(found, carried)
    names = _AccountNames(batch, rules)
    names.check(made)
    named = [
        names.named(journal, number) for number, journal in enumerate(made, start=first_number)
    ]
    file = storage.File(batch)
    lines = 0
    for number, journal in enumerate(named):
        journals.check(made[number])
        written = target.write(journal)
        if number == 0 or (target.lines_per_file and lines + len(written) > target.lines_per_file):
            file.cut()
            file.write(storage.line(target.columns, separator=target.separator))
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


class _AccountNames:
    """The accounts of the general ledger, and the ids, of a batch's journals."""

    def __init__(self, batch: ExportBatch, rules: account_mapping.Mapping) -> None:
        self._batch, self._rules = batch, rules
        self._source = "AF" if batch.livemode else "AFT"

    def check(self, made: list[SummaryJournal]) -> None:
        """Check that each account has a place in the general ledger; the French chart has one."""
        if self._batch.format == ExportFormat.FEC:
            return
        self._rules.check(
            (line.account, journal.currency, journal.day)
            for journal in made
            for line in journal.lines
            if line.account != CLEARING
        )

    def named(self, journal: SummaryJournal, number: int) -> MappedJournal:
        """Return the journal with its accounts in the general ledger and its id, at most 21
        characters up to batch 999.
        """
        made_on = self._batch.created_at.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()
        return MappedJournal(
            id=f"{self._source}-{journal.day:%Y%m%d}-{journal.currency}-{self._batch.number}",
            number=number,
            day=journal.day,
            currency=journal.currency,
            made_on=made_on,
            lines=tuple(
                MappedLine(
                    line.account, *self._account(journal, line.account), line.debit, line.credit
                )
                for line in journal.lines
            ),
        )

    def _account(self, journal: SummaryJournal, account: str) -> tuple[str, str, str]:
        """Return code and name in the general ledger, and the name in the books."""
        if account == CLEARING:
            return self._batch.clearing, self._batch.clearing, "Receivables and cash, net"
        own = self._rules.own(account)
        gl = self._rules.find(account=account, currency=journal.currency, day=journal.day)
        if gl is not None:
            return gl.code, gl.name, own.name
        code, name = VARIANTS["FRENCH_PCG"].get(account, (own.code, own.name))
        return code, name, own.name


def latest_batch(wanted: ExportRequest) -> ExportBatch | None:
    """Return the last batch of a month in a format."""
    made = ExportBatch.objects.filter(
        livemode=wanted.livemode, format=wanted.format, starts_on=wanted.starts_on
    )
    return made.order_by("-number").first()


def get_batch(wanted: ExportRequest, *, number: int) -> ExportBatch:
    """Return a batch by its number.

    Raises: UnknownBatch.
    """
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
        "clearing_account": batch.clearing,
        "chart_version": batch.chart_version,
        "mapping_version": batch.mapping_version,
        "sha256": batch.sha256,
        "sequences": [
            {"customer_id": each.book.key, "from": each.after + 1, "to": each.through}
            for each in ranges
        ],
    }


def file_name(batch: ExportBatch) -> str:
    """Return the name of a batch's file; the French one as the law says."""
    suffix = target_of(batch).suffix
    if batch.format == ExportFormat.FEC and settings.ENTITY_REGISTRATION:
        return f"{settings.ENTITY_REGISTRATION}FEC{batch.starts_on:%Y%m%d}.{suffix}"
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
