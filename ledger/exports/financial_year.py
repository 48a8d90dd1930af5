"""The French file of a financial year: what its accounts opened at, then every day of it.

It is one file a year, not a batch of what is new: each one is made from all that was ever posted,
summarised and rounded from the first day on, so that the opening balances are what the files of the
years before add up to, and the same books make the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from django.conf import settings

from aforo import money
from aforo.money import ZERO
from ledger.exports import day_sums, journals, naming, storage
from ledger.exports.formats import fec
from ledger.exports.formats.fec import Balance
from ledger.exports.formats.target import MappedJournal, translated
from ledger.exports.journals import SummaryJournal
from ledger.exports.naming import AccountNames
from ledger.models import Account, ExportBatch, Statement
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import sums as posted

# Where the results of earlier years stand in the French chart (PCG, account 11).
RETAINED = ("110000", "Report à nouveau", "Results of earlier years")
_DAYS = """
    SELECT e.accounting_date, max(e.recorded_at), count(*)
    FROM ledger_entry e JOIN ledger_book b ON b.id = e.book_id
    WHERE {scope} AND e.accounting_date >= %(starts_on)s
    GROUP BY 1
"""


def of(day: date) -> tuple[date, date]:
    """Return the first day of the financial year that has a day, and the day after its last."""
    starts_on = day.replace(month=settings.FINANCIAL_YEAR_STARTS, day=1)
    if starts_on > day:
        starts_on -= relativedelta(years=1)
    return starts_on, starts_on + relativedelta(years=1)


def write(batch: ExportBatch, *, scope: ReportScope, names: AccountNames) -> None:
    """Write the file of a year, and what it adds up to. Raises: MissingRates."""
    made, residues = journals.summarise(day_sums.read(scope), {})
    names.check(made, fec.TARGET)
    days = {day: (last, count) for day, last, count in posted.fetch(_DAYS, scope, {})}
    company = naming.company()
    before = [_named(names, each) for each in made if each.day < scope.starts_on]
    opening = _opening(before)
    rows = fec.write_opening(opening, day=scope.starts_on, company=company)
    inside = [each for each in made if each.day >= scope.starts_on]
    for number, journal in enumerate(inside, start=2 if opening else 1):
        journals.check(journal)
        made_on = _local(days[journal.day][0])
        rows += fec.write(names.named(journal, number, made_on=made_on), company)
    file = storage.File(batch)
    file.cut()
    for cells in [list(fec.COLUMNS), *rows]:
        file.write(storage.line(cells, separator=fec.TARGET.separator))
    file.close()
    batch.entries = sum(count for _, count in days.values())
    batch.rows, batch.journals = len(rows), len(inside)
    batch.residues = {key: money.plain(residue) for key, residue in sorted(residues.items())}
    batch.totals = _totals(rows, company.currency)


def _named(names: AccountNames, journal: SummaryJournal) -> MappedJournal:
    return names.named(journal, 0, made_on=journal.day)


def _local(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()


def _opening(before: Sequence[MappedJournal]) -> list[Balance]:
    """Return what the accounts of the balance sheet stood at; results of earlier years stand
    together, as retained.
    """
    results = set(
        Account.objects.filter(statement__in=[Statement.INCOME, Statement.EXPENSE]).values_list(
            "code", flat=True
        )
    )
    own: dict[tuple[str, str, str, str, str], Decimal] = {}
    moved: dict[tuple[str, str, str, str, str], Decimal] = {}
    for journal in before:
        in_own = translated(journal, settings.ENTITY_CURRENCY)
        for line, foreign in zip(in_own.lines, journal.lines, strict=True):
            is_result = line.account in results
            place = RETAINED if is_result else (line.gl_code, line.gl_name, line.memo)
            currency = settings.ENTITY_CURRENCY if is_result else journal.currency
            key = (*place, line.customer, currency)
            own[key] = own.get(key, ZERO) + line.debit - line.credit
            moved[key] = moved.get(key, ZERO) + foreign.debit - foreign.credit
    return [
        Balance(code, name, memo, customer, own[key], moved[key], currency)
        for key in sorted(own)
        for code, name, memo, customer, currency in [key]
        if own[key]
    ]


def _totals(rows: Sequence[Sequence[str]], currency: str) -> dict[str, dict[str, str]]:
    """Return the sums of the debits and credits in the file."""
    sides = {}
    for name, place in (("debit", 11), ("credit", 12)):
        total = sum((Decimal(row[place].replace(",", ".")) for row in rows), ZERO)
        sides[name] = money.amount_text(total, currency)
    return {currency: sides}
