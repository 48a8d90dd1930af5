"""Amounts that can be paid in their currency: refused where they arrive, held by the database."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Round

from aforo import money
from aforo.errors import FieldError, Invalid


def check(value: Decimal, currency: str, *, pointer: str) -> None:
    """Check that an amount has no more decimals than its currency.

    Raises: Invalid (`not_payable`).
    """
    if not money.is_payable(value, currency):
        detail = f"Payments in {currency} have {money.exponent(currency)} decimals."
        raise Invalid([FieldError(pointer, "not_payable", detail)])


def columns(*names: str, currency: str = "currency") -> Q:
    """Build the condition of a check constraint: the columns hold payable amounts or nothing."""
    places = _places(currency)
    held = Q()
    for name in names:
        # The stubs know whole numbers only; any expression may say how many decimals.
        whole = Round(F(name), precision=places)  # type: ignore[arg-type]
        held &= Q(**{name: None}) | Q(**{name: whole})
    return held


def _places(currency: str) -> Case:
    """Build the number of decimals of the currency that a row names; most have two."""
    by_places = sorted(money.EXPONENTS.items(), key=lambda item: (item[1], item[0]))
    cases = [
        When(Q(**{f"{currency}__in": [code for code, _ in codes]}), then=Value(places))
        for places, codes in groupby(by_places, key=lambda item: item[1])
        if places != 2
    ]
    return Case(*cases, default=Value(2))
