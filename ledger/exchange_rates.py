"""The rates at which files translate amounts into the company's own currency.

A rate holds until the next one, at most for a week: weekends and holidays have none of their own.
The books themselves keep every currency by itself and translate nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from aforo import money
from aforo.errors import FieldError, Invalid
from ledger import approvals
from ledger.approvals import Asked
from ledger.models import ApprovalAction, ApprovalRequest, ExchangeRate

RECORD = "ledger.exchange_rates.record"
LONGEST = timedelta(days=7)
ONE = Decimal(1)


class MissingRates(Invalid):
    """A file translates amounts for which there is no rate of their day."""


@dataclass(frozen=True, slots=True)
class DayRate:
    """A rate to be recorded: units of the company's currency for one of another."""

    currency: str
    day: date
    rate: Decimal


def check(found: DayRate) -> list[FieldError]:
    """Return what is wrong with a rate."""
    faults = []
    if found.currency not in money.EXPONENTS:
        faults.append(FieldError("/currency", "unknown_currency", "This currency is unknown."))
    if found.currency == settings.ENTITY_CURRENCY:
        faults.append(FieldError("/currency", "own_currency", "The company's own is worth one."))
    if not 0 < found.rate < 10**12 or found.rate != money.to_books(found.rate):
        detail = "Above zero, with at most 12 integer and 12 decimal digits."
        faults.append(FieldError("/rate", "invalid_number", detail))
    return faults


@transaction.atomic
def ask_to_record(rates: Sequence[DayRate], *, source: str, now: datetime) -> int | ApprovalRequest:
    """Record rates as `record` does, or let them wait for a second person where the company has
    decided so.

    Raises: Invalid.
    """
    said = {
        "source": source,
        "rates": [
            {"currency": each.currency, "day": each.day, "rate": each.rate} for each in rates
        ],
    }
    waits = approvals.ask(Asked(ApprovalAction.EXCHANGE_RATE, RECORD, said, livemode=True, now=now))
    return waits or record(rates, source=source)


def record(rates: Sequence[DayRate], *, source: str) -> int:
    """Record rates, all or none; return how many are new. The same rate again changes nothing.

    Raises: Invalid, naming what is wrong by its position, also where the day has another rate.
    """
    known = {
        (each.currency, each.day): each.rate
        for each in ExchangeRate.objects.filter(day__in={each.day for each in rates})
    }
    faults: list[FieldError] = []
    new: dict[tuple[str, date], Decimal] = {}
    for position, each in enumerate(rates):
        wrong = check(each)
        key = (each.currency, each.day)
        stands = new.get(key, known.get(key))
        if not wrong and stands is not None and stands != each.rate:
            detail = f"{each.currency} has {money.plain(stands)} on {each.day}, which is kept."
            wrong = [FieldError("/rate", "rate_stands", detail)]
        faults += [
            FieldError(f"/{position}{fault.pointer}", fault.code, fault.detail) for fault in wrong
        ]
        if key not in known:
            new[key] = each.rate
    if faults:
        raise Invalid(faults)
    ExchangeRate.objects.bulk_create(
        ExchangeRate(currency=currency, day=day, rate=rate, source=source)
        for (currency, day), rate in new.items()
    )
    return len(new)


class Rates:
    """The rates of a span of days, read once."""

    def __init__(self, rates: Sequence[ExchangeRate]) -> None:
        self._rates: dict[str, list[ExchangeRate]] = {}
        for rate in sorted(rates, key=lambda each: each.day, reverse=True):
            self._rates.setdefault(rate.currency, []).append(rate)

    def find(self, *, currency: str, day: date) -> Decimal | None:
        """Return the rate of a day, or the last one before it within a week."""
        if currency == settings.ENTITY_CURRENCY:
            return ONE
        for rate in self._rates.get(currency, ()):
            if rate.day <= day:
                return rate.rate if day - rate.day < LONGEST else None
        return None

    def check(self, wanted: Sequence[tuple[str, date]]) -> None:
        """Check that every currency has a rate on its day.

        Raises: MissingRates, naming the currency and its first day without one.
        """
        first: dict[str, date] = {}
        for currency, day in wanted:
            if self.find(currency=currency, day=day) is None:
                first[currency] = min(day, first.get(currency, day))
        if first:
            names = ", ".join(f"{currency} on {day}" for currency, day in sorted(first.items()))
            detail = f"Record what these are worth in {settings.ENTITY_CURRENCY} first: {names}."
            raise MissingRates(
                [
                    FieldError(f"/rates/{currency}/{day}", "missing_rate", detail)
                    for currency, day in sorted(first.items())
                ],
                detail=detail,
            )


def read(*, until: date) -> Rates:
    """Read the rates up to a day, exclusive."""
    return Rates(list(ExchangeRate.objects.filter(day__lt=until)))
