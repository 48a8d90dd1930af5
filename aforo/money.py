"""Exact money: one decimal context, and the only three functions that may round.

Charges stay exact in a context of 50 digits that traps `Inexact`. Inside, `to_books` and `divide`
round to the 12 places of the books, half even. Outward, where money becomes payable, `round_amount`
rounds to a currency's exponent, half up (away from zero), as tax offices and EN 16931 do. Pure.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import wraps
from itertools import accumulate, pairwise
from typing import Final, ParamSpec, TypeVar

# ISO 4217 exponents of the currencies that can be sold in.
EXPONENTS: Final[dict[str, int]] = {
    "AED": 2, "AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CHF": 2, "CLP": 0, "CNY": 2, "CZK": 2,
    "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2, "HUF": 2, "ILS": 2, "INR": 2, "JPY": 0, "KRW": 0,
    "KWD": 3, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2, "RON": 2, "SAR": 2, "SEK": 2, "SGD": 2,
    "THB": 2, "TRY": 2, "USD": 2, "ZAR": 2,
}  # fmt: skip

BOOKS_PLACES: Final = 12
BOOKS_QUANTUM: Final = Decimal(1).scaleb(-BOOKS_PLACES)
BOOKS_LIMIT: Final = Decimal(10) ** 26  # numeric(38,12) holds 26 digits before the point.
ZERO: Final = Decimal(0)

DIGITS: Final = 50

_EXACT: Final = decimal.Context(
    prec=DIGITS,
    rounding=ROUND_HALF_EVEN,
    traps=[decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
_ROUNDING: Final = decimal.Context(
    prec=DIGITS,
    rounding=ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)

# What is added up outside the exact context, in reads and reports, keeps every digit too, in this
# thread and in all that are started later; the default of 28 is less than one amount has.
decimal.DefaultContext.prec = DIGITS
decimal.getcontext().prec = DIGITS

P = ParamSpec("P")
R = TypeVar("R")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in the exact context: a result that would have to be rounded raises."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with decimal.localcontext(_EXACT):
            return function(*args, **kwargs)

    return inside


def exponent(currency: str) -> int:
    """Return the number of decimal places of a payable amount in `currency`."""
    return EXPONENTS[currency]


def to_books(value: Decimal) -> Decimal:
    """Round to the 12 decimal places of the books, half even."""
    return value.quantize(BOOKS_QUANTUM, context=_ROUNDING)


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide, rounded to the 12 places of the books, half even."""
    return to_books(_ROUNDING.divide(dividend, divisor))


def proportion(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return `amount` x `part` / `whole`, rounded once to the 12 places of the books."""
    return divide(_ROUNDING.multiply(amount, part), whole)


def round_amount(value: Decimal, currency: str) -> Decimal:
    """Round where an amount becomes payable: to the currency's exponent, half up.

    19 % of 787.50 is 149.625, so 149.63; of -787.50 it is -149.63.
    """
    quantum = Decimal(1).scaleb(-exponent(currency))
    return value.quantize(quantum, rounding=ROUND_HALF_UP, context=_ROUNDING)


def is_payable(value: Decimal, currency: str) -> bool:
    """Return whether an amount can be paid as it is: 100.50 USD can, 100.5 JPY cannot."""
    return round_amount(value, currency) == value


def floor_amount(value: Decimal, currency: str) -> Decimal:
    """Round down to the currency's exponent, towards minus infinity."""
    return floor(value, exponent(currency))


def floor(value: Decimal, places: int) -> Decimal:
    """Round down to a number of decimal places, towards minus infinity."""
    quantum = Decimal(1).scaleb(-places)
    return value.quantize(quantum, rounding=ROUND_FLOOR, context=_ROUNDING)


def split(total: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split by weight at the 12 places of the books; the parts sum to the total.

    split(100, [100, 20]) = [83.333333333333, 16.666666666667]. Each part ends where its running
    share of the total does, so that however many there are, none falls below zero.
    """
    assert weights, "there is something to split over"
    running = list(accumulate(weights, _ROUNDING.add))
    ends = [proportion(total, weight, running[-1]) for weight in running]
    return [_EXACT.subtract(end, before) for before, end in pairwise([ZERO, *ends])]


def plain(value: Decimal) -> str:
    """Write a decimal without exponent or trailing zeros: the form of JSON and the hash chain."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def amount_text(value: Decimal, currency: str) -> str:
    """Write an amount with at least the currency's decimals: 12.5 USD is 12.50. Credits of a unit,
    whose code is no currency's, are written plainly.
    """
    text = plain(value)
    places = EXPONENTS.get(currency, 0)
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole
