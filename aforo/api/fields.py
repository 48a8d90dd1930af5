"""Fields and serializers of requests: exact decimals, and no unknown member is passed over; and the
actor that answers name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal
from itertools import islice
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from aforo import money, periods
from aforo.actors import ACTOR_KINDS
from aforo.protocol import attributes
from aforo.protocol.exact_json import MAX_DIGITS, read_number

# At most this many faults of a request are named.
MOST_NAMED = 20

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=10, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Read the code."""
        code = str(super().to_internal_value(data)).upper()
        if not self.takes(code):
            self.fail("unknown_currency")
        return code

    def takes(self, code: str) -> bool:
        """Return whether a code can be meant."""
        return code in money.EXPONENTS


class TimeField(serializers.DateTimeField):
    """A moment that can be reckoned with; one without an offset is UTC."""

    default_error_messages = {"out_of_range": f"Write a time in {periods.REACH}."}

    def to_internal_value(self, value: Any) -> datetime:
        """Read the moment."""
        moment = super().to_internal_value(value)
        if not periods.in_reach(moment):
            self.fail("out_of_range")
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        """Check that a time can be moved into a zone without an overflow, then do so."""
        if not periods.in_reach(value):
            self.fail("out_of_range")
        return super().enforce_timezone(value)


class ExpiryField(serializers.Field[date, Any, Any, Any]):
    """When something lapses: a moment, or a day alone, which is included to its end.

    The day's zone is that of whom it belongs to, so `moment_of` is asked once that is known.
    """

    def to_internal_value(self, data: Any) -> date:
        """Read the moment or the day."""
        is_day = isinstance(data, str) and _DAY.fullmatch(data.strip())
        field = DayField() if is_day else TimeField()
        read: date = field.run_validation(data.strip() if is_day else data)
        return read

    @staticmethod
    def moment_of(read: date | None, zone: tzinfo) -> datetime | None:
        """Return the moment that was meant."""
        if read is None or isinstance(read, datetime):
            return read
        return periods.end_of_day(read, zone)


class DayField(serializers.DateField):
    """A day that can be reckoned with."""

    default_error_messages = {"out_of_range": f"Write a day in {periods.REACH}."}

    def to_internal_value(self, value: Any) -> date:
        """Read the day."""
        day = super().to_internal_value(value)
        if not periods.in_reach(day):
            self.fail("out_of_range")
        return day


class MapField(serializers.DictField):
    """An object with names of the client's own, of which there are at most a thousand."""

    default_error_messages = {"too_many": "At most {limit} members."}
    limit = 1_000

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Count the members, then validate each."""
        if isinstance(data, Mapping) and len(data) > self.limit:
            self.fail("too_many", limit=self.limit)
        return super().to_internal_value(data)


class JsonField(serializers.Field[Any, Any, Any, Any]):
    """A part of the body as it was parsed, numbers exact, for a service that reads it by name."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the part unchanged."""
        return data

    def to_representation(self, value: Any) -> Any:
        """Return the stored value unchanged."""
        return value


def unknown_members(given: Iterable[object], known: Iterable[str]) -> list[str]:
    """Return the names that are not known, the first few of them."""
    allowed = frozenset(known)
    return list(islice((str(name) for name in given if name not in allowed), MOST_NAMED))


def name_known(known: Iterable[str]) -> str:
    """Return the sentence that names what could have been meant."""
    names = ", ".join(sorted(known))
    return f"Known: {names}." if names else "None is known here."


class StrictSerializer(serializers.Serializer[Any]):
    """A request body of which every member is known."""

    default_error_messages = {"unknown_field": "There is no such field. {known}"}

    def to_internal_value(self, data: Any) -> Any:
        """Validate the members, then refuse those that are not declared."""
        if isinstance(data, Mapping) and not data.keys() <= self.fields.fields.keys():
            unknown = unknown_members(data, self.fields)
            names = (name for name, field in self.fields.items() if not field.read_only)
            message = str(self.error_messages["unknown_field"]).format(known=name_known(names))
            raise serializers.ValidationError(
                {name: [ErrorDetail(message, "unknown_field")] for name in unknown}
            )
        return super().to_internal_value(data)


class NothingBody(StrictSerializer):
    """An empty body."""


class ActorAnswer(serializers.Serializer[Any]):
    """Who did it: the id of an API key or a member of staff, or the name of a job."""

    kind = serializers.ChoiceField(choices=ACTOR_KINDS)
    id = serializers.CharField()


class AttributesQueryField(serializers.CharField):
    """Attributes that rows have: the object of a call, as JSON."""

    default_error_messages = {"invalid_attributes": attributes.FORM}

    def to_internal_value(self, data: Any) -> Any:
        """Read the attributes."""
        try:
            return attributes.read(super().to_internal_value(data))
        except ValueError:
            self.fail("invalid_attributes")


class AttributeGroupField(serializers.CharField):
    """The attribute whose values are told apart: `attributes.team`."""

    default_error_messages = {"invalid_choice": "Write attributes.NAME."}

    def to_internal_value(self, data: Any) -> str:
        """Return the name."""
        found = attributes.GROUPED.fullmatch(super().to_internal_value(data))
        if found is None:
            self.fail("invalid_choice")
        return found[1]
