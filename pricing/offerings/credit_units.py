"""Credit units: registered once, sold at rates that may change, and how many credits money buys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import IntegrityError, transaction

from aforo import money
from aforo.errors import FieldError, Invalid, NotFound
from pricing.models import CreditUnit
from pricing.models.credit_units import MOST_DECIMALS, UNIT_CODE
from pricing.plans.codes import CodeTaken, can_exist

_CHANGING = ("name", "active", "rates", "tax_at_sale", "tax_class")


class UnknownUnit(NotFound):
    """No credit unit of the key's mode has this code.

    Register it by POST /v1/credit-units.
    """

    default_code = "unknown_unit"


def create_credit_unit(
    *,
    livemode: bool,
    code: str,
    name: str,
    decimals: int = 2,
    rates: Mapping[str, object] | None = None,
    tax_at_sale: bool = True,
    tax_class: str = "",
) -> CreditUnit:
    """Register a credit unit, with what one credit costs in the currencies it is sold in.

    Raises: CodeTaken; Invalid, naming every fault.
    """
    unit = CreditUnit(
        livemode=livemode,
        code=code,
        name=name,
        decimals=decimals,
        rates=written(rates or {}),
        tax_at_sale=tax_at_sale,
        tax_class=tax_class.lower(),
    )
    check_credit_unit(unit)
    try:
        with transaction.atomic():
            unit.save(force_insert=True)
    except IntegrityError as error:
        raise CodeTaken(f"There is a credit unit {code} already.") from error
    return unit


@transaction.atomic
def update_credit_unit(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> CreditUnit:
    """Change name, rates, taxation, and whether a unit is sold; what was sold keeps its own.

    Raises: UnknownUnit; Invalid, naming every fault.
    """
    unit = get_credit_unit(livemode=livemode, code=code)
    changed = [name for name in _CHANGING if name in changes]
    for name in changed:
        setattr(unit, name, changes[name])
    unit.rates, unit.tax_class = written(unit.rates), unit.tax_class.lower()
    check_credit_unit(unit)
    if changed:
        unit.save(update_fields=changed)
    return unit


def get_credit_unit(*, livemode: bool, code: str) -> CreditUnit:
    """Return a credit unit.

    Raises: UnknownUnit.
    """
    found = CreditUnit.objects.filter(livemode=livemode, code=code) if can_exist(code) else None
    unit = None if found is None else found.first()
    if unit is None:
        raise UnknownUnit(f"There is no credit unit {code}.")
    return unit


def find_credit_unit(*, livemode: bool, code: str, pointer: str) -> CreditUnit:
    """Return the unit that a request's field at `pointer` names.

    Raises: Invalid (`unknown_currency`).
    """
    try:
        return get_credit_unit(livemode=livemode, code=code)
    except UnknownUnit as error:
        detail = f"There is no currency and no credit unit {code}."
        raise Invalid([FieldError(pointer, "unknown_currency", detail)]) from error


def find_active_unit(*, livemode: bool, code: str, pointer: str) -> CreditUnit:
    """Return a unit of which new credits may be made.

    Raises: Invalid (`unknown_currency`, `inactive_unit`).
    """
    unit = find_credit_unit(livemode=livemode, code=code, pointer=pointer)
    if not unit.active:
        detail = f"No new credits of {code} are made: the unit is inactive."
        raise Invalid([FieldError(pointer, "inactive_unit", detail)])
    return unit


def credits_for(unit: CreditUnit, amount: Decimal, currency: str) -> Decimal:
    """Return how many credits an amount buys at the unit's rate, cut to the unit's decimals.

    Raises: Invalid (`no_rate`, naming the currencies there are; `buys_no_credit`; `out_of_range`).
    """
    rate = unit.prices.get(currency)
    if rate is None:
        known = ", ".join(unit.prices)
        detail = f"{unit.code} has no rate in {currency}. " + (
            f"There are rates in {known}." if known else "It has no rate yet."
        )
        raise Invalid([FieldError("/currency", "no_rate", detail)])
    bought = (amount // rate.scaleb(-unit.decimals)).scaleb(-unit.decimals)
    if bought <= 0:
        detail = f"{money.plain(amount)} {currency} buys no credit at {money.plain(rate)}."
        raise Invalid([FieldError("/amount", "buys_no_credit", detail)])
    if bought >= money.BOOKS_LIMIT:
        detail = "The books have no room for so many credits."
        raise Invalid([FieldError("/amount", "out_of_range", detail)])
    return bought


def check_credit_unit(unit: CreditUnit) -> None:
    """Check code, decimals and rates.

    Raises: Invalid, naming every fault.
    """
    faults = []
    if re.fullmatch(UNIT_CODE, unit.code) is None:
        is_iso = unit.code.upper() in money.EXPONENTS
        detail = "This is a currency of ISO 4217. " if is_iso else ""
        faults.append(FieldError("/code", "invalid", f"{detail}A unit has 4 to 10 capitals, A-Z."))
    if not 0 <= unit.decimals <= MOST_DECIMALS:
        detail = f"0 to {MOST_DECIMALS} decimals."
        faults.append(FieldError("/decimals", "out_of_range", detail))
    faults += rate_faults(unit.rates, "rates")
    if faults:
        raise Invalid(faults)


def rate_faults(rates: object, name: str) -> list[FieldError]:
    """Return the faults of what something costs by currency, in a request's field of that name."""
    if not isinstance(rates, Mapping):
        return [FieldError(f"/{name}", "invalid", 'Write them by currency: {"USD": "0.01"}.')]
    faults = []
    for currency, rate in rates.items():
        value = _number(rate)
        if currency not in money.EXPONENTS:
            detail = "This currency is not supported."
            faults.append(FieldError(f"/{name}/{currency}", "unknown_currency", detail))
        elif value is None:
            detail = "Write a decimal number, as text, with at most 12 decimals."
            faults.append(FieldError(f"/{name}/{currency}", "invalid_number", detail))
        elif not 0 < value < money.BOOKS_LIMIT:
            faults.append(FieldError(f"/{name}/{currency}", "not_positive", "Above zero."))
    return faults


def _number(rate: object) -> Decimal | None:
    """Return a rate, exact; None where it is no number, or has more places than the books."""
    if isinstance(rate, bool) or not isinstance(rate, Decimal | int | str):
        return None
    try:
        value = Decimal(rate)
        return value if value == money.to_books(value) else None
    except InvalidOperation:
        return None


def written(rates: object) -> object:
    """Return rates as they are stored: plain text, by currency in capitals; faults stay."""
    if not isinstance(rates, Mapping):
        return rates
    written: dict[str, object] = {}
    for currency, rate in rates.items():
        value = _number(rate)
        written[str(currency).upper()] = rate if value is None else money.plain(value)
    return written
