"""Journals in the words of the company's accounting system: accounts, ids, rates, its own facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.conf import settings

from aforo.errors import FieldError, Invalid
from ledger import account_mapping, exchange_rates
from ledger.chart import VARIANTS
from ledger.exports.formats import Company, ExportTarget, MappedJournal
from ledger.exports.formats.target import MappedLine
from ledger.exports.journals import CLEARING, SummaryJournal
from ledger.models import ExportBatch, ExportFormat


class NeedsClearing(Invalid):
    """The importer takes no lines on these accounts."""


def company() -> Company:
    """Return what the settings say of the company."""
    return Company(
        currency=settings.ENTITY_CURRENCY,
        subsidiary=settings.EXPORT_SUBSIDIARY,
        location=settings.EXPORT_LOCATION,
        tax_rate=settings.EXPORT_TAX_RATE,
        rate_type=settings.EXPORT_RATE_TYPE,
        titles=settings.EXPORT_TITLES,
    )


class AccountNames:
    """The accounts of the general ledger, the ids and the rates of a batch's journals."""

    def __init__(
        self, batch: ExportBatch, rules: account_mapping.Mapping, rates: exchange_rates.Rates
    ) -> None:
        self._batch, self._rules, self._rates = batch, rules, rates
        self._source = "AF" if batch.livemode else "AFT"

    def check(self, made: Sequence[SummaryJournal], target: ExportTarget) -> None:
        """Check that the importer takes each account, that each has a place in the general ledger
        (the French chart has one for all), and each foreign currency its rate.

        Raises: NeedsClearing, UnmappedAccounts, MissingRates.
        """
        moved = {line.account for journal in made for line in journal.lines}
        if refused := sorted(moved & target.refused):
            detail = (
                f"Its importer takes no lines on {', '.join(refused)}: name a clearing account, "
                "which stands for receivables and cash."
            )
            raise NeedsClearing([FieldError("/clearing", "required", detail)], detail=detail)
        if self._batch.format != ExportFormat.FEC:
            self._rules.check(
                (line.account, journal.currency, journal.day)
                for journal in made
                for line in journal.lines
                if line.account != CLEARING
            )
        if target.needs_rates:
            self._rates.check([(journal.currency, journal.day) for journal in made])

    def named(self, journal: SummaryJournal, number: int, *, made_on: date) -> MappedJournal:
        """Return the journal with its accounts in the general ledger, its rate, and its id, at most
        21 characters up to batch 999; the French file of a year has no batches in its ids.
        """
        rate = self._rates.find(currency=journal.currency, day=journal.day)
        piece = f"{self._source}-{journal.day:%Y%m%d}-{journal.currency}"
        is_fec = self._batch.format == ExportFormat.FEC
        return MappedJournal(
            id=piece if is_fec else f"{piece}-{self._batch.number}",
            number=number,
            day=journal.day,
            currency=journal.currency,
            made_on=made_on,
            rate=Decimal(1) if rate is None else rate,
            lines=tuple(
                MappedLine(
                    line.account,
                    *self.account(line.account, currency=journal.currency, day=journal.day),
                    line.debit,
                    line.credit,
                    line.customer,
                )
                for line in journal.lines
            ),
        )

    def account(self, account: str, *, currency: str, day: date) -> tuple[str, str, str]:
        """Return code and name in the general ledger, and the name in the books."""
        if account == CLEARING:
            return self._batch.clearing, self._batch.clearing, "Receivables and cash, net"
        own = self._rules.own(account)
        gl = self._rules.find(account=account, currency=currency, day=day)
        if gl is not None:
            return gl.code, gl.name, own.name
        code, name = VARIANTS["FRENCH_PCG"].get(account, (own.code, own.name))
        return code, name, own.name
