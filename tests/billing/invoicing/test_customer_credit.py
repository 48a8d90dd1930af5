"""What is owed to a customer: given, used for invoices, paid out, and proved
(docs/accounting.md#e31).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Customer, CustomerCredit, Invoice, Settlement
from ledger.entries import books, entries
from ledger.models import Book, LedgerEvent
from ledger.posting_rules import PostingLine
from tests import factories
from tests.billing.invoicing.test_write_offs import balances, billed, holds
from tests.factories import FEBRUARY, MARCH, advance

pytestmark = pytest.mark.django_db

D = Decimal


def owed(book: Book, account: str, amount: str) -> None:
    """Owe a customer an amount: of a note, or of what was paid too much."""
    if account == "2210":
        post(book, LedgerEvent.CREDIT_NOTE, PostingLine("4910", account, D(amount), "USD"))
    else:
        post(book, LedgerEvent.PAYMENT, PostingLine("1000", account, D(amount), "USD"))


@transaction.atomic
def post(book: Book, event: str, line: PostingLine) -> None:
    books.lock_book(book_id=book.pk)
    document = {"reason": "outage"}
    entries.append([entries.EntryDraft(book, event, FEBRUARY, document, [line])])


def credit(api: APIClient) -> Any:
    answer = api.get("/v1/customers/cust_1/credit")
    assert answer.status_code == 200
    return answer.json()


def apply(api: APIClient, key: str = "a", **body: Any) -> Any:
    number = Invoice.objects.order_by("created_at")[0].number
    return api.post(f"/v1/invoices/{number}/apply-credit", {"idempotency_key": key} | body)


def refund(api: APIClient, amount: str, key: str = "r", **changes: Any) -> Any:
    body = {
        "amount": amount, "currency": "USD", "reference": "wire 7", "reason": "asked",
        "idempotency_key": key,
    }  # fmt: skip
    return api.post("/v1/customers/cust_1/credit/refund", body | changes)


def test_what_notes_left_is_used_before_what_was_paid_too_much(api: APIClient) -> None:
    """500 are open; 30 of a note and 40 paid too much: 50 are 30 and 20, then the last 20."""
    book = billed()
    owed(book, "2210", "30")
    owed(book, "2220", "40")
    assert credit(api) == {"USD": "70"}

    first = apply(api, amount="50").json()

    assert [first[name] for name in ("applied", "open", "credit", "status")] == [
        "50", "450", "20", "OPEN",
    ]  # fmt: skip
    assert balances("2210", "2220", "1100") == ["0", "-20", "450"]
    assert apply(api, "b").json()["applied"] == "20"
    assert credit(api) == {}
    assert Invoice.objects.get().paid == 70
    assert holds()


def test_no_more_than_is_open_and_the_invoice_is_paid(api: APIClient) -> None:
    owed(billed(), "2210", "600")

    assert apply(api).json()["status"] == "PAID"

    assert (credit(api), balances("1100", "2210")) == ({"USD": "100"}, ["0", "-100"])
    assert apply(api, "b").json()["code"] == "invoice_not_open"
    assert holds()


def test_it_comes_from_payments_and_corrections_of_paid_invoices(api: APIClient) -> None:
    """510 for 500, then 100 less: 10 and 100."""
    billed()
    number = Invoice.objects.get().number
    paid = {"amount": "510", "reference": "wire", "idempotency_key": "p"}
    assert api.post(f"/v1/invoices/{number}/pay", paid).status_code == 200
    lines = [{"description": "outage", "amount": "-100"}]
    body = {"lines": lines, "reason": "outage", "idempotency_key": "j"}
    address = f"/v1/settlements/{Settlement.objects.get().pk}/adjust"
    assert api.post(address, body).status_code == 201

    assert credit(api) == {"USD": "110"}
    rows = CustomerCredit.objects.order_by("pk").values_list("account", "amount", "entry__event")
    assert list(rows) == [("2220", 10, "PAYMENT"), ("2210", 100, "CREDIT_NOTE")]
    assert holds()


def test_it_pays_later_invoices_by_itself_where_the_customer_wants_it(api: APIClient) -> None:
    """30 are owed when January's invoice of 500 is paid; February's of 20 takes 20 of it."""
    book = billed()
    owed(book, "2220", "30")
    assert api.patch("/v1/customers/cust_1", {"apply_credit": True}).status_code == 200
    number = Invoice.objects.get().number
    paid = {"amount": "500", "reference": "wire", "idempotency_key": "p"}
    assert api.post(f"/v1/invoices/{number}/pay", paid).status_code == 200
    factories.meter(10_000, FEBRUARY, "february")

    advance(book, MARCH)

    later = Invoice.objects.exclude(number=number).get()
    assert (later.status, later.amount_due, later.paid) == ("PAID", 20, 20)
    assert credit(api) == {"USD": "10"}
    assert holds()


def test_without_the_setting_nothing_is_used_by_itself(api: APIClient) -> None:
    book = billed()
    owed(book, "2220", "30")
    factories.meter(10_000, FEBRUARY, "february")

    advance(book, MARCH)

    assert [invoice.paid for invoice in Invoice.objects.all()] == [0, 0]
    assert not Customer.objects.get().apply_credit


def test_it_is_paid_out_by_bank(api: APIClient) -> None:
    book = billed()
    owed(book, "2210", "30")
    owed(book, "2220", "40")

    answer = refund(api, "55")

    assert (answer.status_code, answer.json()["credit"]) == (201, "15")
    assert balances("2210", "2220", "1000") == ["0", "-15", "-15"]
    assert (refund(api, "55").content, credit(api)) == (answer.content, {"USD": "15"})
    assert holds()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"amount": "15.01"}, "exceeds_credit"),
        ({"currency": "EUR"}, "exceeds_credit"),
        ({"amount": "0.001"}, "not_payable"),
        ({"amount": "0"}, "not_positive"),
        ({"reference": ""}, "blank"),
        ({"reason": ""}, "blank"),
    ],
)
def test_a_bad_pay_out_changes_nothing(api: APIClient, body: dict[str, str], code: str) -> None:
    owed(billed(), "2210", "15")
    before = factories.everything()

    answer = refund(api, **{"amount": "15"} | body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("amount", "code"),
    [("500.01", "exceeds_invoice"), ("15.01", "exceeds_credit"), ("0.001", "not_payable")],
)
def test_too_much_is_not_applied(api: APIClient, amount: str, code: str) -> None:
    owed(billed(), "2210", "15")
    before = factories.everything()

    answer = apply(api, amount=amount)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert factories.everything() == before
    assert Invoice.objects.get().paid == 0


def test_nothing_owed_is_not_applied(api: APIClient) -> None:
    billed()

    assert apply(api).json()["code"] == "exceeds_credit"


def test_what_was_paid_for_credits_held_back_is_not_owed(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    number = live_api.post("/v1/wallets/top-ups", body).json()["invoice"]
    part = {"amount": "40", "reference": "wire", "idempotency_key": "p"}
    assert live_api.post(f"/v1/invoices/{number}/pay", part).status_code == 200

    assert credit(live_api) == {}
    assert refund(live_api, "40").json()["code"] == "exceeds_credit"
    assert apply(live_api).json()["code"] == "credits_held_back"


def test_the_database_refuses_to_use_what_is_not_owed() -> None:
    book = billed()
    owed(book, "2210", "15")

    line = PostingLine("2210", "1000", D("15.01"), "USD")

    with pytest.raises(IntegrityError, match="less is owed"):
        post(book, LedgerEvent.REFUND, line)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM billing_customercredit", "it changed by 0, posting"),
        ("UPDATE billing_customercredit SET amount = 16", "it changed by 16.0"),
    ],
)
def test_a_row_that_was_tampered_with_is_named(statement: str, said: str) -> None:
    owed(billed(), "2210", "15")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_customercredit DISABLE TRIGGER USER")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE billing_customercredit ENABLE TRIGGER USER")

    proof = verification.verify()

    assert proof.first_bad is not None
    assert proof.first_bad.entry == "credit of cust_1 on 2210 in USD"
    assert said in proof.first_bad.reason
