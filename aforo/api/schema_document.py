"""The OpenAPI document as a whole: what its operations share, and their examples.

The examples are made by running the API (`tests/api/test_contract.py`), never by hand.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from drf_spectacular.hooks import postprocess_schema_enums

PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
KEY: Final = {"$ref": "#/components/parameters/IdempotencyKey"}
REPLAYED: Final = {"$ref": "#/components/headers/IdempotencyReplayed"}
EXAMPLES: Final = Path(__file__).with_name("examples.json")

_TEXT: Final = {"type": "string"}
_FIELD_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "description": "One invalid field.",
    "required": ["pointer", "code", "detail"],
    "properties": {
        "pointer": {"type": "string", "description": "RFC 6901, into the request."},
        "code": _TEXT,
        "detail": _TEXT,
    },
}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details. Some codes have further members, as `shortfall`.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "Where this server explains the code.",
        },
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; it may change."},
        "code": {"type": "string", "description": "For programs; it stays."},
        "request_id": _TEXT,
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
    "additionalProperties": True,
}
COMPONENTS: Final[dict[str, Any]] = {
    "schemas": {"FieldError": _FIELD_ERROR, "Problem": _PROBLEM},
    "parameters": {
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Repeats under one key are done once, and answered alike. What moves "
            "credits or money needs it, here or as `idempotency_key` in the body.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    },
    "headers": {
        "IdempotencyReplayed": {
            "description": "Present where this is the first answer again, under the same key.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    },
}
TAGS: Final = {
    "api-keys": "Who may call, for whom, from where, how often.",
    "approvals": "What waits for a second person.",
    "backtests": "A rate plan priced against settled cycles, before it is sold.",
    "budgets": "Limits on what a customer's teams, agents or users may spend.",
    "campaigns": "Credits granted to many, by code, by milestone, with top-ups.",
    "charges": "Invoices charged to payment methods.",
    "coupons": "Discounts on the cycles of a subscription.",
    "credit-notes": "What was taken back of invoices.",
    "credit-units": "Credits that are no currency, and their worth.",
    "customers": "Who owns wallets, subscriptions and books.",
    "dunning-schedule": "When overdue invoices are reminded of.",
    "events": "Metered usage as CloudEvents.",
    "ingest": "Metered usage, settled in arrears.",
    "invoices": "What credits did not pay.",
    "ledger": "The books: entries, balances, reports, proof.",
    "mails": "What was mailed to customers, and what could not be.",
    "metrics": "What is measured, and how it adds up.",
    "offerings": "Rate plans as they are sold.",
    "packs": "Credits at a price, ready to buy.",
    "payments": "What the bank received, and the invoices that it pays.",
    "pricing": "Prices before they are paid.",
    "quota": "Whether so much may be used, for metering clients.",
    "rate-plans": "What usage costs, in frozen versions.",
    "settlements": "A cycle priced as a whole, and how it was paid.",
    "statements": "A customer's month of credits.",
    "subscriptions": "Customers and what they subscribed to.",
    "tax-rates": "Tax by country and region.",
    "test-clocks": "Time of the sandbox, moved at will.",
    "usage": "Usage in real time, and what was metered.",
    "wallets": "Credits: in, out, held, and back again.",
    "webhook-endpoints": "Where events are sent.",
    "webhook-events": "The feed of events, to poll.",
}


def complete(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Add what operations share, the tags in use, and the examples; a hook of the generator."""
    postprocess_schema_enums(result, generator)  # type: ignore[no-untyped-call]
    result["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    result["servers"] = [{"url": "/", "description": "The server that answers this document."}]
    for kind, components in COMPONENTS.items():
        named = result["components"].setdefault(kind, {})
        result["components"][kind] = dict(sorted({**named, **components}.items()))
    for schema in result["components"]["schemas"].values():
        if "oneOf" in schema and "discriminator" not in schema:
            # What fits two forms is valid, too.
            schema["anyOf"] = schema.pop("oneOf")
    operations = [each for methods in result["paths"].values() for each in methods.values()]
    used = {tag for operation in operations for tag in operation["tags"]}
    result["tags"] = [{"name": tag, "description": TAGS[tag]} for tag in sorted(used)]
    for operation in operations:
        _exemplify(operation, _examples().get(operation["operationId"], {}))
    return result


@cache
def _examples() -> dict[str, dict[str, Any]]:
    """Return the recorded examples by the name of their operation."""
    read: dict[str, dict[str, Any]] = json.loads(EXAMPLES.read_text())
    return read


def _exemplify(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Write what was sent and answered into an operation."""
    if "request" in example and "requestBody" in operation:
        media = operation["requestBody"]["content"].get("application/json")
        if media is not None:
            media["example"] = example["request"]
    for status, body in example.get("answers", {}).items():
        content = operation["responses"].get(status, {}).get("content", {})
        for media in content.values():
            media["example"] = body
