"""A body in chunks, sent to the project as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from aforo.access.services import create_api_key
from tests import factories
from tests.serving import Served

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


def chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


def test_it_means_what_it_would_mean_with_a_length(served_url: Served) -> None:
    _, secret = create_api_key(livemode=False, name="chunks")
    factories.customer("cust_1")
    factories.top_up("cust_1", "100")
    debit = {"customer_id": "cust_1", "amount": "7", "idempotency_key": "k"}
    headers = {"Authorization": f"Bearer {secret}"}
    address = f"{served_url}/v1/wallets/debit"

    answer = httpx.post(address, content=chunks(json.dumps(debit).encode()), headers=headers)
    replay = httpx.post(address, json=debit, headers=headers)
    too_large = httpx.post(address, content=chunks(b" " * 9_000_000), headers=headers)

    assert (answer.status_code, answer.json()["amount"]) == (200, "7")
    assert replay.content == answer.content
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
