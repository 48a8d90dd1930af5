"""Which events a metric counts: rules on their properties, checked before any event comes in.

What is compared is text, as events carry it, so values are kept as they read in JSON: a number in
plain digits, `true` and `false` in small letters. A bound that is no number is refused here,
because the database would refuse it only in the middle of a settlement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from aforo.errors import FieldError, Invalid
from aforo.money import plain
from pricing.terms.fields import Fault, Limits, read_decimal

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "exists")
RULES_MAX = 50
VALUES_MAX = 1_000
TEXT_MAX = 255

_BOUNDS = frozenset({"gt", "gte", "lt", "lte"})
_LISTS = frozenset({"in", "not_in"})
_FIELDS = {"required": "property", "invalid_choice": "op", "invalid_value": "value"}
_BOUND = Limits(integer_digits=26)


def read_filters(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read the filters of a metric.

    Raises: Invalid with a pointer for every rule whose value does not go with its operator.
    """
    faults: list[FieldError] = []
    if len(rules) > RULES_MAX:
        faults.append(FieldError("/filters", "too_many", f"At most {RULES_MAX} rules."))
    read: list[dict[str, Any]] = []
    for position, rule in enumerate(rules[:RULES_MAX]):
        try:
            read.append(_read_rule(rule))
        except Fault as fault:
            field = _FIELDS[fault.code]
            pointer = f"/filters/{position}/{field}"
            faults.append(FieldError(pointer, fault.code, f"The rule {fault.detail}."))
    if faults:
        raise Invalid(faults)
    return read


def _read_rule(rule: object) -> dict[str, Any]:
    if not isinstance(rule, Mapping) or not _text(rule.get("property")):
        raise Fault("required", "names no property")
    operator = rule.get("op")
    if operator not in OPERATORS:
        raise Fault("invalid_choice", f"needs one of {', '.join(OPERATORS)}")
    value = _value(operator, rule.get("value"))
    return {"property": rule["property"], "op": operator, "value": value}


def _value(operator: str, value: object) -> object:
    if operator == "exists":
        if value is None or isinstance(value, bool):
            return value is not False
        raise Fault("invalid_value", "needs true or false")
    if operator in _BOUNDS:
        return _bound(value)
    if operator not in _LISTS:
        return _scalar(value)
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= VALUES_MAX:
        raise Fault("invalid_value", f"needs a list of 1 to {VALUES_MAX} values")
    return [_scalar(item) for item in value]


def _bound(value: object) -> str:
    sign, number = Decimal(1), value
    if isinstance(value, str) and value.startswith("-"):
        sign, number = Decimal(-1), value[1:]
    elif isinstance(value, int | Decimal) and not isinstance(value, bool) and value < 0:
        sign, number = Decimal(-1), -value
    try:
        return plain(sign * read_decimal(number, _BOUND))
    except Fault as fault:
        raise Fault("invalid_value", f"compares with a number, which {fault.detail}") from fault


def _scalar(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal() if not value.is_finite():
            pass
        case int() | Decimal():
            return plain(Decimal(value))
        case str() if text := _text(value):
            return text
    raise Fault("invalid_value", f"compares with a text of 1 to {TEXT_MAX} characters or a number")


def _text(value: object) -> str:
    """Return a text that the database can store and a person can read, else nothing."""
    if isinstance(value, str) and len(value) <= TEXT_MAX and "\x00" not in value:
        return value
    return ""
