"""What the files of a span say and what was posted in it, account by account, and how much of the
difference is rounding (docs/decisions.md#d602).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import ZERO
from ledger.exports.journals import BOOKED_ELSEWHERE, CLEARING, residues_by_account
from ledger.models import ExportBatch, ExportFormat
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import sums

# Of an account in a currency, debits above zero.
Nets = dict[tuple[str, str], Decimal]


@dataclass(frozen=True, slots=True)
class Compared:
    """An account in the files of a format and in the books, debit less credit.

    `rounding` is by how much the files may differ, because they have cents; `taken` is what the
    entries behind the files posted, exact.
    """

    form: str
    account: str
    currency: str
    files: Decimal
    books: Decimal
    rounding: Decimal
    taken: Decimal

    @property
    def status(self) -> str:
        """Return in a word why both differ, or that they agree."""
        if self.taken != self.books:
            return "not exported yet"
        if self.files == self.books:
            return "agrees"
        return "rounded" if self.files - self.books == self.rounding else "differs"


@dataclass(slots=True)
class _Format:
    """What the batches of a format add up to; with a clearing account, receivables and cash stand
    net on that.
    """

    files: Nets
    taken: Nets
    rounding: Nets
    is_cleared: bool = False


def compare(scope: ReportScope) -> Iterator[Compared]:
    """Compare the files of the span's months, by format, with what was posted in the span; the
    French file, of a financial year, is left out.
    """
    formats = _formats(scope)
    posted = _posted(scope) if formats else {}
    for form, of in formats.items():
        sides = (of.files, posted, of.rounding, of.taken)
        files, books, rounding, taken = (
            (_cleared(side) for side in sides) if of.is_cleared else sides
        )
        for account, currency in sorted({*files, *books}):
            if scope.currency in (None, currency):
                key = (account, currency)
                found = (side.get(key, ZERO) for side in (files, books, rounding, taken))
                yield Compared(form, account, currency, *found)


def _formats(scope: ReportScope) -> dict[str, _Format]:
    """Add up the batches of the span's months, by format."""
    made = ExportBatch.objects.filter(livemode=scope.livemode).exclude(format=ExportFormat.FEC)
    if scope.recorded_until is not None:
        made = made.filter(created_at__lte=scope.recorded_until)
    found: dict[str, _Format] = {}
    carried: dict[str, Nets] = {}
    for batch in made.order_by("format", "number"):
        left = residues_by_account(batch.residues)
        if scope.starts_on <= batch.starts_on < scope.ends_on:
            of = found.setdefault(
                batch.format, _Format(defaultdict(Decimal), defaultdict(Decimal), {})
            )
            _add(of.files, batch.booked if batch.written is None else batch.written)
            _add(of.taken, batch.booked)
            of.is_cleared |= bool(batch.clearing)
            if batch.written is not None:
                before = carried.get(batch.format, {})
                for key in {*left, *before}:
                    grown = left.get(key, ZERO) - before.get(key, ZERO)
                    of.rounding[key] = of.rounding.get(key, ZERO) - grown
        carried[batch.format] = left
    return found


def _add(nets: Nets, sides: Mapping[str, str]) -> None:
    for key, amount in sides.items():
        account, currency, side = key.split("|")
        nets[account, currency] += Decimal(amount) * (1 if side == "debit" else -1)


def _cleared(nets: Nets) -> Nets:
    found: Nets = defaultdict(Decimal)
    for (account, currency), amount in nets.items():
        found[CLEARING if account in BOOKED_ELSEWHERE else account, currency] += amount
    return found


def _posted(scope: ReportScope) -> Nets:
    posted: Nets = defaultdict(Decimal)
    for move in sums.moved(scope):
        if move.postings:
            posted[move.debit, move.currency] += move.inside
            posted[move.credit, move.currency] -= move.inside
    return posted
