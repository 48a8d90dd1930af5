"""Hostile requests, drawn by a seed: whatever is sent to whatever address, no answer is a 5xx.

Recorded requests of the document are bent in one place or in several; addresses, parameters,
headers and bodies are what nobody sends by mistake. A failure names the request, and
`AFORO_SEED=... pytest` draws it again.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
from rest_framework.test import APIClient

from aforo.api.schema_document import EXAMPLES
from tests import factories
from tests.api.routes import OWN, Route
from tests.api.writing import Number, written

pytestmark = pytest.mark.django_db

SEED = int(os.environ.get("AFORO_SEED", "20261201"))
SOME, MANY = 200, 10_000

TEXTS = [
    "", " ", "\x00", "a\x00b", "\ud7ff", "\ufeff", "\u202e", "é" * 70, "x" * 300, "x" * 70_000,
    "null", "true", "-1", "0", "1e400", "9" * 50, "NaN", "Infinity", "0x10", "1_000", "٣", "½",
    "2026-02-30T00:00:00Z", "0000-00-00", "9999-12-31T23:59:59-14:00", "1" * 4_000,
    "'; DROP TABLE ledger_entry; --", "%", "%00", "%s", "{}", "${jndi:x}", "<script>", "../..",
    "USD", "acme", "00000000-0000-0000-0000-000000000000", "1", "*", "\\", '"', "\r\nX: y",
]  # fmt: skip
NUMBERS = ["0", "-0", "-1", "1e400", "1E-400", "9" * 60, "0." + "0" * 40 + "1", "1.5", "1e26"]
RAW = [
    b"", b"{", b"[", b"null", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 50_000, b'{"a":1,"a":2}',
    b'"\\ud800"', b"\x00", b"1", b"--x\r\n\r\n", b"a=b&a=c", b'{"":{"":{"":[]}}}', b" " * 100_000,
]  # fmt: skip
TYPES = [
    "application/json", "text/plain", "application/x-www-form-urlencoded", "", "a/b/c",
    "multipart/form-data", "multipart/form-data; boundary=x", "application/json; charset=x",
    "application/cloudevents+json", "application/cloudevents-batch+json",
]  # fmt: skip
HEADERS = ["HTTP_IDEMPOTENCY_KEY", "HTTP_ACCEPT", "HTTP_CE_SUBJECT", "HTTP_X_REQUEST_ID",
           "HTTP_IF_MATCH", "HTTP_HOST_X", "HTTP_X_FORWARDED_FOR", "HTTP_CE_TIME"]  # fmt: skip
NAMES = ["cursor", "limit", "after", "customer_id", "from", "to", "as_of", "period", "status",
         "type", "attributes", "group_by", "format", "ordering", "page", "q"]  # fmt: skip


@dataclass
class Hostile:
    """One request."""

    method: str
    path: str
    body: Any
    content_type: str
    headers: dict[str, Any] = field(default_factory=dict)


@cache
def recorded() -> dict[str, Any]:
    """Return the requests of the document's examples by the names of their operations."""
    found = json.loads(EXAMPLES.read_text())
    return {name: each["request"] for name, each in found.items() if "request" in each}


# A clock could be told to live through two hundred years; the key could revoke itself, and all that
# came after it would be refused.
ADDRESSES = [
    route
    for route in OWN
    if not route.template.endswith("/advance") and "/api-keys/" not in route.template
]


class Draw:
    """Everything that is drawn, from one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Return something that fits nowhere."""
        kind = self.dice.randrange(6 if depth < 3 else 4)
        if kind < 2:
            return self.dice.choice(TEXTS)
        if kind == 2:
            return Number(self.dice.choice(NUMBERS))
        if kind == 3:
            return self.dice.choice([None, True, False])
        inner = [self.value(depth + 1) for _ in range(self.dice.randrange(3))]
        names = [self.dice.choice(TEXTS[:30]) for _ in inner]
        return inner if kind == 4 else dict(zip(names, inner, strict=True))

    def bent(self, body: Any) -> Any:
        """Return a sound body with something wrong in it, at any depth."""
        if isinstance(body, dict) and body and self.dice.random() < 0.9:
            name = self.dice.choice(sorted(body))
            match self.dice.randrange(8):
                case 0:
                    return {key: each for key, each in body.items() if key != name}
                case 1:
                    return body | {self.dice.choice(TEXTS): self.value()}
                case 2 | 3 | 4:
                    return body | {name: self.value()}
            return body | {name: self.bent(body[name])}
        if isinstance(body, list) and body and self.dice.random() < 0.9:
            return [self.bent(body[0]), *body[1:]]
        return self.value()

    def body(self, route: Route, method: str) -> bytes:
        """Return a body: nothing that is one, or a recorded one that was bent up to three times."""
        sound = recorded().get(getattr(route.view, "names", {}).get(method, ""), {})
        if self.dice.random() < 0.15:
            return self.dice.choice(RAW)
        for _ in range(self.dice.randrange(1, 4)):
            sound = self.bent(sound)
        return written(sound).encode("utf-8", "surrogatepass")

    def path(self, route: Route) -> str:
        """Return an address, its parts and parameters now and then of no object there could be."""
        parts = route.address.split("/")
        for n, part in enumerate(parts):
            if part in {"nothing", "1"} and self.dice.random() < 0.7:
                parts[n] = quote(self.dice.choice([*TEXTS, "acme"])[:3_000], safe="")
        asked = [
            f"{quote(self.dice.choice([*NAMES, *TEXTS])[:500])}="
            f"{quote(self.dice.choice(TEXTS)[:3_000])}"
            for _ in range(self.dice.choice([0, 0, 1, 2, 3]))
        ]
        return "/".join(parts) + ("?" + "&".join(asked) if asked else "")

    def request(self) -> Hostile:
        """Return a request to any address."""
        route = self.dice.choice(ADDRESSES)
        method = self.dice.choice(sorted(route.methods | {"post", "get"}))
        content_type = "application/json" if self.dice.random() < 0.8 else self.dice.choice(TYPES)
        headers = {
            self.dice.choice(HEADERS): self.dice.choice(TEXTS)[:500].encode().decode("latin-1")
            for _ in range(self.dice.choice([0, 0, 1, 2]))
        }
        body = self.body(route, method)
        return Hostile(method.upper(), self.path(route), body, content_type, headers)


def send(api: APIClient, number: int) -> None:
    """Send so many, to a customer who has credits and a plan; none is answered by a 5xx."""
    api.raise_request_exception = False
    factories.offering()
    factories.clocked_customer("acme")
    factories.top_up("acme", "100")
    factories.subscription("acme")
    draw = Draw(SEED)
    for n in range(number):
        asked = draw.request()
        answer = api.generic(
            asked.method, asked.path, asked.body, asked.content_type, **asked.headers
        )
        assert answer.status_code < 500 or answer.status_code == 503, (n, asked, answer.content)
        assert answer.status_code != 401, (n, asked)
    assert api.get("/v1/ledger/verify").json()["ok"] is True


def test_some_hostile_requests(api: APIClient) -> None:
    send(api, SOME)


@pytest.mark.histories
def test_ten_thousand_hostile_requests(api: APIClient) -> None:
    send(api, MANY)
