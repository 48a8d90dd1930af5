"""Each request to an invoice, in each of its states, is allowed or refused, and a refusal changes
nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Invoice, InvoicePayment, IssuedDocument
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter

pytestmark = pytest.mark.django_db

ASKED: dict[str, dict[str, Any]] = {
    "finalize": {},
    "pay": {"amount": "100", "reference": "wire"},
    "write-off": {"reason": "insolvent"},
    "apply-credit": {"amount": "50"},
    "void": {"reason": "never ordered"},
    "credit-notes": {"amount": "100", "reason": "service was down"},
}
# What was asked before of a draft of 500 for a customer with a credit of 50, state by state.
STATES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "DRAFT": [],
    "OPEN": [("finalize", {})],
    "PAID_IN_PART": [("finalize", {}), ("pay", {"amount": "300", "reference": "first"})],
    "PAID": [("finalize", {}), ("pay", {"amount": "500", "reference": "all"})],
    "UNCOLLECTIBLE": [("finalize", {}), ("write-off", {"reason": "gone"})],
    "VOID": [("finalize", {}), ("void", {"reason": "wrong"})],
    "RECOVERED": [
        ("finalize", {}),
        ("write-off", {"reason": "gone"}),
        ("pay", {"amount": "500", "reference": "after all"}),
    ],
}
ALLOWED = {
    ("DRAFT", "finalize"): "OPEN",
    ("OPEN", "pay"): "OPEN",
    ("OPEN", "write-off"): "UNCOLLECTIBLE",
    ("OPEN", "apply-credit"): "OPEN",
    ("OPEN", "void"): "VOID",
    ("OPEN", "credit-notes"): "OPEN",
    ("PAID_IN_PART", "credit-notes"): "OPEN",
    # What was paid becomes the customer's credit.
    ("PAID", "credit-notes"): "PAID",
    ("PAID_IN_PART", "pay"): "OPEN",
    ("PAID_IN_PART", "write-off"): "UNCOLLECTIBLE",
    ("PAID_IN_PART", "apply-credit"): "OPEN",
    # What is paid after all is recovered.
    ("UNCOLLECTIBLE", "pay"): "UNCOLLECTIBLE",
}
REFUSED: dict[str | tuple[str, str], str] = {
    "finalize": "invoice_not_draft",
    "pay": "invoice_not_open",
    "write-off": "invoice_not_open",
    "apply-credit": "invoice_not_open",
    "void": "not_voidable",
    "credit-notes": "invoice_not_open",
    ("DRAFT", "credit-notes"): "invoice_in_draft",
}


def ask(api: APIClient, what: str, body: dict[str, Any]) -> Any:
    """Ask something of the youngest invoice."""
    found = Invoice.objects.order_by("starts_at").last()
    assert found is not None
    key = {} if what == "finalize" else {"idempotency_key": f"{found.pk} {what} {body}"}
    return api.post(f"/v1/invoices/{found.pk}/{what}", {**body, **key})


def pictured() -> list[Any]:
    return [
        factories.everything(),
        [list(model.objects.order_by("pk").values()) for model in (Invoice, InvoicePayment)],
        IssuedDocument.objects.count(),
    ]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("what", ASKED)
def test_every_request_in_every_state(api: APIClient, state: str, what: str) -> None:
    book = factories.subscribed("POSTPAID", spec={"draft_hours": 48})
    meter(250_000, START)
    advance(book, FEBRUARY)
    for step, body in [("finalize", {}), ("pay", {"amount": "550", "reference": "too much"})]:
        assert ask(api, step, body).status_code == 200
    meter(250_000, FEBRUARY)
    advance(book, MARCH)
    for step, body in STATES[state]:
        assert ask(api, step, body).status_code == 200, step
    before, ends_in = pictured(), ALLOWED.get((state, what))

    answer = ask(api, what, ASKED[what])

    found = Invoice.objects.get(starts_at=FEBRUARY)
    if ends_in is not None:
        done = 201 if what == "credit-notes" else 200
        assert (answer.status_code, found.status) == (done, ends_in)
    else:
        code = REFUSED.get((state, what), REFUSED[what])
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert pictured() == before
    assert verification.verify().ok
