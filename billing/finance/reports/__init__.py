"""The catalogue of reports, and the parameters of one; billing is the app that sees all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from aforo import money
from aforo.errors import FieldError, Invalid, NotFound
from aforo.periods import REACH, in_reach, month_of
from billing.finance.reports import claims, receivables
from ledger.entries import books
from ledger.reports.details import adjustments, audit_trail, journal, journal_tests, late_items
from ledger.reports.report_table import Report, ReportScope
from ledger.reports.totals import debit_credit_matrix, revenue, tax, trial_balance, unbilled
from wallets.reports import (
    ageing,
    breakage,
    contract_liability,
    lots,
    promo,
    reconciliation,
    uncovered,
)


class UnknownReport(NotFound):
    """There is no report of this name.

    Take the name from GET /v1/ledger/reports.
    """

    default_code = "unknown_report"


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """A report in the catalogue."""

    name: str
    title: str
    says: str
    make: Callable[[ReportScope], Report]


def _detail(scope: ReportScope) -> Report:
    return journal.detail(scope, lots_of=lots.facts_of)


CATALOGUE = (
    ReportEntry(
        "trial-balance", "Trial balance", "Every account's opening, debits, credits and closing.",
        trial_balance.report,
    ),
    ReportEntry(
        "contract-liability", "Contract liability, roll-forward",
        "What is owed in credits and service, from opening to closing, tied to the lots.",
        contract_liability.report,
    ),
    ReportEntry(
        "revenue", "Recognised revenue", "Gross, reductions and net, by type and customer.",
        revenue.report,
    ),
    ReportEntry(
        "breakage", "Breakage by month of sale",
        "Of what was sold in a month, how much was used, refunded, lapsed.", breakage.report,
    ),
    ReportEntry(
        "wallet-ageing", "Wallet liability by age and expiry",
        "Every lot with credits left, by age and by days to expiry.", ageing.report,
    ),
    ReportEntry(
        "receivables-ageing", "Receivables by age", "Every open invoice by its days overdue.",
        receivables.report,
    ),
    ReportEntry(
        "receivables", "Receivables, arrears and claims by age",
        "Everything that customers owe, with what is set aside; unbilled apart.", claims.report,
    ),
    ReportEntry(
        "unbilled", "Unbilled receivable, roll-forward", "What was earned and not yet invoiced.",
        unbilled.report,
    ),
    ReportEntry(
        "journal-summary", "Journal, by month and account", "The sums of the journal's lines.",
        journal.summary,
    ),
    ReportEntry(
        "journal-detail", "Journal, every line", "The line-level source of all other reports.",
        _detail,
    ),
    ReportEntry(
        "debit-credit-matrix", "Debits by credits", "Which pairs of accounts moved how much.",
        debit_credit_matrix.report,
    ),
    ReportEntry(
        "promo-cost", "Promotions by campaign", "Credits given for nothing: used, lapsed, left.",
        promo.report,
    ),
    ReportEntry(
        "manual-adjustments",
        "Manual adjustments, register",
        "Corrections by hand: who asked, who approved, why, what moved.",
        adjustments.report,
    ),
    ReportEntry(
        "audit-trail", "Audit trail of configuration",
        "Prices, rates, mappings, limits, keys and roles: who changed what, from what to what.",
        audit_trail.report,
    ),
    ReportEntry(
        "reconciliation",
        "Reconciliation, three ways",
        "Movements and lots, lots and accounts, books and exports.",
        reconciliation.report,
    ),
    ReportEntry(
        "late-items", "Late and prior-period items",
        "What happened in another month than it was posted in.", late_items.report,
    ),
    ReportEntry(
        "uncovered", "Served and not paid",
        "Captures that went beyond the credits: what nobody pays, and what is owed.",
        uncovered.report,
    ),
    ReportEntry(
        "tax", "Tax by jurisdiction", "What was taxed at which rate, and what is owed for it.",
        tax.report,
    ),
    ReportEntry(
        "journal-tests", "Journal-entry tests",
        "By hand, recorded late, round, seldom: what auditors look at first.", journal_tests.report,
    ),
)  # fmt: skip
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
NAMES = tuple(offered.name for offered in CATALOGUE)


def find(name: str) -> ReportEntry:
    """Return a report.

    Raises: UnknownReport.
    """
    for offered in CATALOGUE:
        if offered.name == name:
            return offered
    raise UnknownReport(f"There is no report {name}. There are: {', '.join(NAMES)}.")


def scope_of(
    *,
    livemode: bool,
    now: datetime,
    period: str | None = None,
    as_of: date | None = None,
    recorded_until: datetime | None = None,
    currency: str | None = None,
    customer_id: str | None = None,
) -> ReportScope:
    """Return the scope of a month, or of a month up to a day; without either, of this month to
    date.

    Raises: Invalid, naming the parameter; UnknownCustomer.
    """
    if period is not None and as_of is not None:
        raise Invalid([FieldError("/as_of", "conflict", "Give a period or a day, not both.")])
    today = now.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()
    if period is not None:
        starts_on, ends_on = read_month(period)
    else:
        last = today if as_of is None else as_of
        if not in_reach(last):
            raise Invalid([FieldError("/as_of", "out_of_range", f"Give a day in {REACH}.")])
        starts_on, ends_on = last.replace(day=1), last + timedelta(days=1)
    if currency is not None and currency.upper() not in money.EXPONENTS:
        detail = "This currency is not supported."
        raise Invalid([FieldError("/currency", "unknown_currency", detail)])
    if customer_id is not None:
        books.get_book(livemode=livemode, key=customer_id)
    return ReportScope(
        livemode=livemode,
        starts_on=starts_on,
        ends_on=ends_on,
        recorded_until=recorded_until,
        currency=None if currency is None else currency.upper(),
        customer_id=customer_id,
    )


def read_month(text: str) -> tuple[date, date]:
    """Parse YYYY-MM; return the month's bounds, half open.

    Raises: Invalid.
    """
    try:
        # Only this form: fromisoformat also reads 202601-01 and weeks.
        first = date.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else "")
    except ValueError:
        first = date.min
    if not in_reach(first):
        raise Invalid([FieldError("/period", "invalid_period", "Write a month as YYYY-MM.")])
    return month_of(first)
