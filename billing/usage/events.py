"""Metered events as they are sent, in the metering clients' JSON and as CloudEvents 1.0.

Reading is one pass over plain dictionaries: a serializer an event would cost more than the insert.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from aforo import periods
from aforo.protocol.exact_json import read_number
from aforo.protocol.idempotency import canonical
from billing.usage.aggregates import NUMERIC

MAX_CUSTOMER = 64
MAX_METRIC = 255
MAX_KEY = 255
MAX_QUANTITY = Decimal(10) ** 14
QUANTITY_QUANTUM = Decimal("0.000001")
# Limits of the properties of one event, so that walking over them is cheap and shallow.
MAX_DEPTH = 20
MAX_MEMBERS = 1_000
# The members that have a column of their own; every other one is stored in the properties.
COLUMNS = {"customerId", "metricName", "quantity", "occurredAt", "idempotencyKey"}
_CLOUD_COLUMNS = {"specversion", "subject", "type", "time", "data", "datacontenttype"}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SIGNED = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_EXACT = re.compile(NUMERIC)
_NESTS = frozenset({dict, list})
_SPACE = re.compile(r"\s")
# An escaped NUL, and not the text that an escaped backslash makes look like one.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# As milliseconds these lie in 1970 to 1973; as seconds, in the years to 5138.
_SECONDS = 100_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = Decimal(1)


class BadEvent(Exception):
    """An event that is refused alone, with a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class MeteredEvent(NamedTuple):
    """A well-formed event, not yet checked against the catalogue; without a time it occurred
    now.
    """

    number: int
    customer: str
    metric: str
    key: str
    quantity: Decimal
    occurred_at: datetime | None
    properties: dict[str, object]


Reader = Callable[[int, object], MeteredEvent]


def read_event(number: int, raw: object) -> MeteredEvent:
    """Read one event of a metering client.

    Raises: BadEvent.
    """
    if not isinstance(raw, Mapping):
        raise BadEvent("invalid", "An event is a JSON object.")
    return MeteredEvent(
        number,
        _text(raw, "customerId", MAX_CUSTOMER),
        _text(raw, "metricName", MAX_METRIC),
        _text(raw, "idempotencyKey", MAX_KEY),
        _quantity(raw.get("quantity")),
        _moment(raw.get("occurredAt"), "occurredAt"),
        kept({name: value for name, value in raw.items() if name not in COLUMNS}),
    )


def read_cloud_event(number: int, raw: object) -> MeteredEvent:
    """Read one CloudEvent: subject is the customer, type the metric, (source, id) the key.

    `data.quantity` defaults to 1. The members of an object in `data` become properties, beside the
    attributes that have no column; a member of an attribute's name wins. Raises: BadEvent.
    """
    if not isinstance(raw, Mapping):
        raise BadEvent("invalid", "A CloudEvent is a JSON object.")
    if raw.get("specversion") != "1.0":
        raise BadEvent("unsupported", "specversion has to be 1.0.")
    if "data_base64" in raw:
        raise BadEvent("unsupported", "Binary data cannot be metered: send JSON in data.")
    data = raw.get("data")
    if isinstance(data, str) and data.lstrip()[:1] in {"{", "["}:
        raise BadEvent("unsupported", "data is JSON written as text: send it as JSON itself.")
    members = dict(data) if isinstance(data, Mapping) else {} if data is None else {"data": data}
    quantity = members.pop("quantity", _ONE) if isinstance(data, Mapping) else _ONE
    time = raw.get("time")
    attributes = {name: value for name, value in raw.items() if name not in _CLOUD_COLUMNS}
    return MeteredEvent(
        number,
        _text(raw, "subject", MAX_CUSTOMER),
        _text(raw, "type", MAX_METRIC),
        _cloud_key(raw),
        _quantity(quantity),
        None if time is None else _moment(time, "time"),
        kept(attributes | members),
    )


def from_headers(headers: Mapping[str, str], data: object) -> dict[str, object] | None:
    """Return a CloudEvent of binary mode, with attributes in `ce-` headers and data in the body, in
    structured form; None when there are no such headers.
    """
    found: dict[str, object] = {
        name.lower().removeprefix("ce-"): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith("ce-")
    }
    return found | {"data": data} if found else None


def _cloud_key(raw: Mapping[str, object]) -> str:
    """Return source and id joined by a space, which no source can contain (RFC 3986), or the hash
    of the pair where that is too long for a key.
    """
    source = _text(raw, "source", 10_000)
    if _SPACE.search(source):
        raise BadEvent("invalid", "source is a URI reference and contains no space.")
    joined = f"{source} {_text(raw, 'id', 10_000)}"
    if len(joined) <= MAX_KEY:
        return joined
    return f"sha256:{hashlib.sha256(joined.encode()).hexdigest()}"


def kept(members: Mapping[str, object]) -> dict[str, object]:
    """Return the properties of an event in the stored form.

    Raises: BadEvent for what jsonb cannot hold, and for too many or too deep members.
    """
    _check_size(members)
    extra = canonical(members)
    written = msgspec.json.encode(extra)
    if b"\\u0000" in written and _NUL.search(written):
        raise BadEvent("invalid", "A property contains a NUL character.")
    assert isinstance(extra, dict), "a mapping has a mapping as its canonical form"
    return extra


def check_numbers(properties: Mapping[str, object], names: Collection[str]) -> None:
    """Check that the properties that are read as numbers can be added up exactly.

    What is no number at all is not refused: it is stored, and never counted. Raises: BadEvent.
    """
    for name in names:
        value = property_of(properties, name)
        if isinstance(value, str) and _SIGNED.fullmatch(value) and not is_number(value):
            raise BadEvent(
                "number_too_long", f"{name[:100]} has more than 14 integer or 12 decimal digits."
            )


def property_of(properties: Mapping[str, object], name: str) -> object:
    """Return a property as metrics read it: a member beside `metadata` wins over one in it."""
    inner = properties.get("metadata")
    return properties.get(name, inner.get(name) if isinstance(inner, dict) else None)


def is_number(value: object) -> bool:
    """Return whether a property, as it is stored, is counted as a number."""
    return isinstance(value, str) and _EXACT.fullmatch(value) is not None


def _check_size(members: Mapping[str, object]) -> None:
    """Check how deep properties are nested, and how many members and items they have at all levels.

    Raises: BadEvent.
    """
    found = 0
    inside: list[Collection[object]] = [members.values()]
    for _ in range(MAX_DEPTH):
        found += sum(map(len, inside))
        inside = [
            _members(each) for some in inside for each in some if type(each) in _NESTS and each
        ]
        if not inside:
            break
    if inside:
        raise BadEvent("too_deep", f"Properties are nested at most {MAX_DEPTH} levels deep.")
    if found > MAX_MEMBERS:
        raise BadEvent("too_many_members", f"An event has at most {MAX_MEMBERS} properties.")


def _members(of: object) -> Collection[object]:
    assert isinstance(of, dict | list), "nothing else has members"
    return of.values() if isinstance(of, dict) else of


def _text(raw: Mapping[str, object], name: str, limit: int) -> str:
    value = raw.get(name)
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise BadEvent("required", f"{name} is required.")
    if len(text) > limit:
        raise BadEvent("max_length", f"{name} has more than {limit} characters.")
    if "\x00" in text:
        raise BadEvent("invalid", f"{name} contains a NUL character.")
    return text


def _quantity(value: object) -> Decimal:
    if isinstance(value, str) and len(value) <= 80 and _NUMBER.fullmatch(value):
        value = read_number(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadEvent("invalid_number", "quantity is not a number.")
    quantity = Decimal(value)
    if quantity <= 0:
        raise BadEvent("not_positive", "quantity must be above zero.")
    if quantity >= MAX_QUANTITY:
        raise BadEvent("too_large", "quantity has more than 14 integer digits.")
    if quantity % QUANTITY_QUANTUM != 0:
        raise BadEvent("too_many_decimals", "quantity has more than 6 decimal digits.")
    return quantity


def _moment(value: object, name: str) -> datetime:
    """Read ISO 8601 text with its zone, or a number of milliseconds since 1970.

    Raises: BadEvent, also where a guess would be needed: no zone, or seconds for milliseconds.
    """
    moment = _read_moment(value, name)
    if moment is None:
        raise BadEvent("invalid_time", f"{name} is neither ISO 8601 nor epoch milliseconds.")
    if moment.tzinfo is None:
        raise BadEvent("invalid_time", f"{name} lacks its time zone: write Z or an offset.")
    if not periods.in_reach(moment):
        raise BadEvent("invalid_time", f"{name} lies outside {periods.REACH}.")
    return moment.astimezone(UTC)


def _read_moment(value: object, name: str) -> datetime | None:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value.strip())
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            if 0 < value < _SECONDS:
                raise BadEvent("invalid_time", f"{name} looks like seconds: send milliseconds.")
            return _EPOCH + timedelta(milliseconds=int(value))
    except (ValueError, OverflowError):
        pass
    return None
