"""Fields and serializers of requests: exact decimals, and no unknown member is passed over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from aforo import money
from aforo.api.parsers import MAX_DIGITS, read_number

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class DecimalField(serializers.Field[Decimal, Any, str, Any]):
    """A decimal of the books: at most 26 digits before the point and 12 after it.

    Strings and numbers are accepted, floats cannot occur; with `positive`, zero and less are
    refused, else only less than zero, and with `signed` nothing.
    """

    default_error_messages = {
        "invalid_number": "Write a decimal number, such as 12.50 or its string.",
        "too_large": "At most 26 digits before the decimal point.",
        "too_many_decimals": "At most 12 decimal places.",
        "not_positive": "It must be above zero.",
        "negative": "It must not be negative.",
    }
    limit = money.BOOKS_LIMIT
    places = money.BOOKS_PLACES

    def __init__(self, *, positive: bool = False, signed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positive = positive
        self.signed = signed

    def to_internal_value(self, data: Any) -> Decimal:
        """Read the decimal exactly."""
        value = self._read(data)
        if abs(value) >= self.limit:
            self.fail("too_large")
        if len(money.plain(value).partition(".")[2]) > self.places:
            self.fail("too_many_decimals")
        if self.positive and value <= 0:
            self.fail("not_positive")
        if value < 0 and not self.signed:
            self.fail("negative")
        return value

    def _read(self, data: Any) -> Decimal:
        if isinstance(data, Decimal):
            return data
        if isinstance(data, int) and not isinstance(data, bool):
            return Decimal(data)
        text = data if isinstance(data, str) and len(data) <= 2 * MAX_DIGITS else ""
        value = read_number(text) if _NUMBER.fullmatch(text) else text
        if isinstance(value, str):
            self.fail("invalid_number")
        return value

    def to_representation(self, value: Decimal) -> str:
        """Write it plainly."""
        return money.plain(value)


class CurrencyField(serializers.CharField):
    """An ISO 4217 code that can be sold in; lower case is accepted."""

    default_error_messages = {"unknown_currency": "This currency is not supported."}

    def to_internal_value(self, data: Any) -> str:
        """Read the code."""
        code = str(super().to_internal_value(data)).upper()
        if code not in money.EXPONENTS:
            self.fail("unknown_currency")
        return code


class StrictSerializer(serializers.Serializer[Any]):
    """A request body of which every member is known."""

    default_error_messages = {"unknown_field": "There is no such field."}

    def to_internal_value(self, data: Any) -> Any:
        """Validate the members, then refuse those that are not declared."""
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                message = str(self.error_messages["unknown_field"])
                raise serializers.ValidationError(
                    {name: [ErrorDetail(message, "unknown_field")] for name in unknown}
                )
        return super().to_internal_value(data)
