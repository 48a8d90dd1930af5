"""Reads the fields of one JSON object, noting every fault instead of stopping at the first.

A field that is missing or faulty is replaced by a stand-in; callers must look at the list of faults
before they use anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aforo.errors import FieldError
from aforo.money import BOOKS_PLACES, ZERO, plain
from aforo.protocol import pointers

# A decimal as people and JSON write it. Python's own constructor would also accept "1_000", " 1 ",
# "NaN" and the digits of other scripts.
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_TEXT_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What a number may be: at most 12 decimals, below 10 ** integer_digits, never negative."""

    integer_digits: int
    above_zero: bool = False
    maximum: Decimal | None = None


PRICE: Final = Limits(integer_digits=16)  # numeric(28,12)
QUANTITY: Final = Limits(integer_digits=26)  # numeric(38,12)
QUANTITY_ABOVE_ZERO: Final = Limits(integer_digits=26, above_zero=True)


class Fault(Exception):
    """One field cannot be read; the field's name is not yet part of the sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def read_decimal(value: object, limits: Limits) -> Decimal:
    """Read a string, an integer or a Decimal; a binary fraction has already lost its value.

    Raises: Fault.
    """
    number = _bounded(_number(value), limits)
    if number < 0:
        raise Fault("negative", "must not be negative")
    if limits.above_zero and number == 0:
        raise Fault("not_positive", "must be above zero")
    if limits.maximum is not None and number > limits.maximum:
        raise Fault("too_large", f"must not be above {plain(limits.maximum)}")
    return number


def _number(value: object) -> Decimal:
    if isinstance(value, str):
        if len(value) > _TEXT_LENGTH_MAX or not _DECIMAL.fullmatch(value):
            raise Fault("invalid_number", "must be a decimal number such as 0.002")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Fault("invalid_number", "must be a decimal number, written as a string or an integer")
    number = Decimal(value)
    if not number.is_finite():
        raise Fault("invalid_number", "must be a finite number")
    return number


def _bounded(number: Decimal, limits: Limits) -> Decimal:
    """Check that the column can store a number, and drop trailing zeros.

    Looks at digits only: arithmetic on a number of any size could round or exhaust the memory.
    """
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "NaN and infinities were refused before"
    if not number:
        return ZERO
    if number.adjusted() >= limits.integer_digits:
        raise Fault(
            "too_large", f"must have at most {limits.integer_digits} digits before the point"
        )
    surplus = -exponent - BOOKS_PLACES
    if surplus > 0 and any(digits[-surplus:]):
        raise Fault("too_many_decimals", f"must have at most {BOOKS_PLACES} decimals")
    return Decimal(plain(number))


class Fields:
    """One JSON object. `pointer` says where it stands, `faults` is shared by the whole reading."""

    def __init__(
        self, data: object, *, pointer: str, known: Sequence[str], faults: list[FieldError]
    ) -> None:
        self.pointer = pointer
        self.faults = faults
        self._is_object = isinstance(data, Mapping)
        self._data: Mapping[object, object] = data if isinstance(data, Mapping) else {}
        if not self._is_object:
            name = pointer.lstrip("/") or "The value"
            faults.append(FieldError(pointer, "invalid_type", f"{name} must be an object."))
        for given in self._data:
            if given not in known:
                self.fault(str(given), "unknown_field", f"is not one of {', '.join(known)}")

    def at(self, name: str) -> str:
        """Return the pointer of a field."""
        return f"{self.pointer}/{pointers.escape(name)}"

    def fault(self, name: str, code: str, detail: str) -> None:
        """Add a fault; `detail` goes on where the field's name ends.

        Where there is no object at all, that is the only fault, not each field missing from it.
        """
        if self._is_object:
            self.faults.append(FieldError(self.at(name), code, f"{name[:64]} {detail}."))

    def sound(self, name: str) -> bool:
        return all(fault.pointer != self.at(name) for fault in self.faults)

    def has(self, name: str) -> bool:
        """Return whether a field is present; null is the same as leaving it out."""
        return self._data.get(name) is not None

    def value(self, name: str) -> object:
        return self._data.get(name)

    def require(self, name: str) -> bool:
        if not self.has(name):
            self.fault(name, "required", "is required")
            return False
        return True

    def optional_decimal(self, name: str, limits: Limits) -> Decimal | None:
        """Read a number that may be left out; a faulty one is noted and read as left out."""
        if not self.has(name):
            return None
        try:
            return read_decimal(self.value(name), limits)
        except Fault as fault:
            self.fault(name, fault.code, fault.detail)
            return None

    def decimal(self, name: str, limits: Limits, *, default: Decimal | None = None) -> Decimal:
        """Read a number; without a default it is required, and zero stands in for a faulty one."""
        if default is None and not self.require(name):
            return ZERO
        number = self.optional_decimal(name, limits)
        return number if number is not None else default or ZERO

    def nullable_decimal(self, name: str, limits: Limits) -> Decimal | None:
        """Read a number that has to be given, be it as null."""
        if name not in self._data:
            self.fault(name, "required", "is required (null where there is no bound)")
            return None
        return self.optional_decimal(name, limits)

    def integer(self, name: str, *, least: int, most: int) -> int | None:
        number = self.optional_decimal(name, QUANTITY)
        if number is None:
            return None
        if number != number.to_integral_value() or not least <= number <= most:
            self.fault(name, "out_of_range", f"must be a whole number from {least} to {most}")
            return None
        return int(number)

    def objects(self, name: str, *, known: Sequence[str], most: int) -> list[Fields]:
        """Read a list of 1 to `most` objects; a faulty list is noted and answered as empty."""
        if not self.require(name):
            return []
        rows = self.value(name)
        if not isinstance(rows, list | tuple):
            self.fault(name, "invalid_type", "must be a list")
            return []
        if not 1 <= len(rows) <= most:
            self.fault(name, "out_of_range", f"must have from 1 to {most} entries")
            return []
        return [
            Fields(row, pointer=f"{self.at(name)}/{index}", known=known, faults=self.faults)
            for index, row in enumerate(rows)
        ]
