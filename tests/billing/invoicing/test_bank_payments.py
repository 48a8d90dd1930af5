"""Payments of the bank: each taken once, matched, assigned by hand or sent back."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from aforo import actors
from billing.finance import verification
from billing.invoicing import bank_payments, payment_files
from billing.invoicing.payment_lines import PaymentLine, named_numbers
from billing.models import BankPayment, Invoice, InvoicePayment
from tests import factories
from tests.wallets import actions

pytestmark = pytest.mark.django_db
D = Decimal
HEAD = "account,booked_on,amount,currency,bank_reference,text,payer,customer_id\n"


@pytest.fixture
def invoices(live_api: APIClient) -> list[str]:
    """Two invoices of one customer for 100 and 60 USD, and one of another for 100 EUR."""
    factories.customer(livemode=True)
    factories.customer("cust_2", livemode=True)
    return [
        sell(live_api, "cust_1", "100"),
        sell(live_api, "cust_1", "60"),
        sell(live_api, "cust_2", "100", currency="EUR"),
    ]


def sell(api: APIClient, customer: str, amount: str, currency: str = "USD") -> str:
    sold = api.post(
        "/v1/wallets/top-ups",
        {"customer_id": customer, "amount": amount, "currency": currency,
         "idempotency_key": actions.fresh("sale")},
    )  # fmt: skip
    assert sold.status_code == 201, sold.content
    number: str = sold.json()["invoice"]
    return number


def take(amount: str, text: str = "", *, reference: str = "", **more: Any) -> BankPayment:
    line = PaymentLine(
        account="ES91",
        booked_on=date(2026, 11, 30),
        amount=D(amount),
        currency=more.pop("currency", "USD"),
        bank_reference=reference or actions.fresh("bank"),
        text=text,
        **more,
    )
    return bank_payments.take(livemode=True, line=line, now=timezone.now()).payment


def paid(number: str) -> tuple[str, Decimal]:
    invoice = Invoice.objects.get(number=number)
    return invoice.status, invoice.paid


def test_a_payment_pays_the_invoice_that_it_names(invoices: list[str]) -> None:
    payment = take("100", f"Rechnung {invoices[0].lower().replace('-', ' ')}, danke")

    assert (payment.state, payment.reason) == ("MATCHED", "")
    assert paid(invoices[0]) == ("PAID", 100)
    received = InvoicePayment.objects.get()
    assert (received.bank_payment, received.paid_by) == (payment, "BANK")
    assert (payment.decided_by_kind, payment.decided_by_id) == (
        actors.current().kind.value, actors.current().id,
    )  # fmt: skip
    assert actions.accounts() == {"1000": D(100), "2100": D(-100)}
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("amount", "applied", "status", "unapplied"),
    [("40", 40, "OPEN", 40), ("100", 100, "PAID", 0), ("130", 100, "PAID", 30)],
)
def test_in_part_in_full_and_too_much(
    invoices: list[str], amount: str, applied: int, status: str, unapplied: int
) -> None:
    """Held-back credits stand on 2220 until all is paid; what is too much stays there."""
    take(amount, invoices[0])

    assert paid(invoices[0]) == (status, applied)
    assert actions.accounts().get("2220", 0) == -unapplied
    assert verification.verify().ok


def test_one_payment_may_pay_several_invoices_the_exact_one_first(invoices: list[str]) -> None:
    first, second, _ = invoices

    assert take("60", f"{first} {second}").state == "MATCHED"
    assert (paid(first), paid(second)) == (("OPEN", 0), ("PAID", 60))
    take("90", f"{first} {second}")
    assert paid(first) == ("OPEN", 90)


def test_the_sum_of_several_pays_them_all(invoices: list[str]) -> None:
    payment = take("165", f"{invoices[1]} and {invoices[0]}")

    assert [paid(number)[0] for number in invoices[:2]] == ["PAID", "PAID"]
    parts = payment.payments.values_list("amount", "applied")
    assert sorted(parts) == [(65, 60), (100, 100)]
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("amount", "is_oldest_first", "state", "paid_of"),
    [
        ("60", False, "MATCHED", [0, 60]),
        ("70", False, "UNMATCHED", [0, 0]),
        ("120", True, "MATCHED", [100, 20]),
    ],
)
def test_of_a_customer_that_the_line_names(
    invoices: list[str], settings: Any, amount: str, *, is_oldest_first: bool, state: str,
    paid_of: list[int],
) -> None:  # fmt: skip
    settings.PAYMENTS_OLDEST_FIRST = is_oldest_first

    payment = take(amount, "thanks", customer_id="cust_1")

    assert payment.state == state
    assert [paid(number)[1] for number in invoices[:2]] == paid_of


@pytest.mark.parametrize(
    ("currency", "text", "reason"),
    [
        ("USD", "thanks", "It names no invoice."),
        ("USD", "INV-009999", "There is no invoice of the number that it names."),
        ("EUR", "{0}", "What it names is in USD."),
        ("USD", "{paid}", "Nothing is open of {paid}."),
    ],
)
def test_what_nothing_takes_waits_and_posts_nothing(
    invoices: list[str], currency: str, text: str, reason: str
) -> None:
    done = invoices[1]
    take("60", done)
    before = actions.accounts()

    payment = take("10", text.format(*invoices, paid=done), currency=currency)

    assert (payment.state, payment.reason) == ("UNMATCHED", reason.format(paid=done))
    assert payment.payments.count() == 0
    assert actions.accounts() == before
    assert verification.verify().ok


def test_invoices_of_two_customers_are_a_person_s_to_tell_apart(
    live_api: APIClient, invoices: list[str]
) -> None:
    other = sell(live_api, "cust_2", "100")

    payment = take("200", f"{invoices[0]} {other}")

    assert payment.reason == "It names invoices of several customers."


def test_it_is_taken_once(invoices: list[str]) -> None:
    first = take("40", invoices[0], reference="X1")
    before = factories.everything()

    again = take("40", invoices[0], reference="X1")
    with pytest.raises(bank_payments.PaymentContradicted):
        take("41", invoices[0], reference="X1")

    assert again == first
    assert factories.everything() == before


def test_what_waits_is_assigned_by_hand_or_sent_back(
    live_api: APIClient, invoices: list[str]
) -> None:
    waiting, other = take("110", "?"), take("5", "?")
    assign = {"invoice": invoices[0], "idempotency_key": "a"}

    done = live_api.post(f"/v1/payments/{waiting.pk}/assign", assign)
    back = live_api.post(
        f"/v1/payments/{other.pk}/send-back", {"reason": "unknown", "idempotency_key": "b"}
    )

    assert (done.status_code, done.json()["state"]) == (200, "MATCHED")
    assert done.json()["invoices"] == [{"invoice": invoices[0], "amount": "110", "applied": "100"}]
    assert (back.status_code, back.json()["state"], back.json()["reason"]) == (
        200, "SENT_BACK", "unknown",
    )  # fmt: skip
    assert actions.accounts() == {"1000": D(110), "2100": D(-100), "2220": D(-10)}
    before = factories.everything()
    again = live_api.post(f"/v1/payments/{waiting.pk}/assign", assign)
    assert (again.content, again["Idempotency-Replayed"]) == (done.content, "true")
    for payment in (waiting, other):
        for step, body in (("assign", {"invoice": invoices[1]}), ("send-back", {"reason": "x"})):
            key = {"idempotency_key": actions.fresh("k")}
            refused = live_api.post(f"/v1/payments/{payment.pk}/{step}", body | key)
            assert (refused.status_code, refused.json()["code"]) == (409, "payment_decided")
    assert factories.everything() == before
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("index", "status", "code"), [(1, 409, "invoice_not_open"), (2, 422, "currency_differs")]
)
def test_what_cannot_take_it_is_refused(
    live_api: APIClient, invoices: list[str], index: int, status: int, code: str
) -> None:
    take("60", invoices[1])
    waiting = take("10", "?")
    before = factories.everything()

    refused = live_api.post(
        f"/v1/payments/{waiting.pk}/assign", {"invoice": invoices[index], "idempotency_key": "a"}
    )

    answer = refused.json()
    codes = [answer["code"], *(error["code"] for error in answer.get("errors", []))]
    assert refused.status_code == status
    assert code in codes
    assert factories.everything() == before


def test_over_the_api(live_api: APIClient, api: APIClient, invoices: list[str]) -> None:
    body = {"account": "ES91", "bank_reference": "B1", "booked_on": "2026-11-30", "amount": "100",
            "currency": "USD", "text": invoices[0], "idempotency_key": "k"}  # fmt: skip

    made = live_api.post("/v1/payments", body)
    other_key = live_api.post("/v1/payments", body | {"idempotency_key": "l"})
    no_key = live_api.post("/v1/payments", {**body, "idempotency_key": None})
    listed = live_api.get("/v1/payments?state=MATCHED").json()["data"]

    assert (made.status_code, made.json()["state"]) == (201, "MATCHED")
    assert other_key.json() == made.json() == listed[0]
    assert (no_key.status_code, BankPayment.objects.count()) == (422, 1)
    assert live_api.get(f"/v1/payments/{made.json()['id']}").json() == made.json()
    assert api.get(f"/v1/payments/{made.json()['id']}").status_code == 404


def run(path: Path, *options: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("import_payments", str(path), *options, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue()


def test_a_file_is_accounted_for_to_the_last_line(invoices: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text(
        HEAD + f"ES91,2026-11-30,100.00,USD,R1,{invoices[0]},Ann,\n"
        "ES91,2026-11-30,7,USD,,coffee,Bob,\n"
        "ES91,2026-11-30,7,USD,,coffee,Bob,\n"
        "ES91,2026-11-30,60,USD,R1,again,Ann,\n"
        "ES91,2026-11-30,-5,USD,R3,fee,,\n"
        "ES91,2026-11-30,1.001,USD,R4,x,,\n"
        "ES91,soon,5,USD,R5,x,,\n"
        "ES91,2026-11-30,5,USD\n"
        f"ES91,2026-11-30,100,USD,R1,{invoices[0]},Ann,\n"
    )
    before = factories.everything()
    tried, _ = run(path, "--dry-run")
    assert factories.everything() == before

    done, notes = run(path)
    after = factories.everything()
    again, _ = run(path)

    assert done == "9 lines: 1 matched, 2 unmatched, 1 repeated, 5 refused"
    assert tried == f"dry run: {done}"
    assert again == "9 lines: 0 matched, 0 unmatched, 4 repeated, 5 refused"
    assert factories.everything() == after
    assert "line 6: It is no money that came." in notes
    states = Counter(BankPayment.objects.values_list("state", flat=True))
    assert states == {"MATCHED": 1, "UNMATCHED": 2}
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"account,amount\n", "The column booked_on is missing."),
        (HEAD.encode() + b"\xff", "not UTF-8"),
        (b"<Document/>", "no statement"),
        (b"<Document>", "no XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><Document>&b;</Document>', "no XML"),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing(
    tmp_path: Path, content: bytes, what: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(CommandError, match=what):
        run(path)

    assert BankPayment.objects.count() == 0


CAMT = """<?xml version="1.0"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>
<Acct><Id><IBAN>ES91</IBAN></Id></Acct>
<Ntry><Amt Ccy="USD">100.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-11-30</Dt></BookgDt><AcctSvcrRef>A1</AcctSvcrRef><NtryDtls><TxDtls>
<RltdPties><Dbtr><Pty><Nm>Ann</Nm></Pty></Dbtr></RltdPties>
<RmtInf><Ustrd>for {0}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="USD">70.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>
<BookgDt><DtTm>2026-11-30T10:00:00</DtTm></BookgDt><AcctSvcrRef>A2</AcctSvcrRef><NtryDtls>
<TxDtls><Refs><AcctSvcrRef>A2-1</AcctSvcrRef></Refs><Amt Ccy="USD">60.00</Amt>
<RmtInf><Strd><CdtrRefInf><Ref>{1}</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
<TxDtls><Refs><AcctSvcrRef>A2-2</AcctSvcrRef></Refs><Amt Ccy="USD">10.00</Amt></TxDtls>
</NtryDtls></Ntry>
<Ntry><Amt Ccy="USD">3.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts></Ntry>
<Ntry><Amt Ccy="USD">3.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts></Ntry>
</Stmt></BkToCstmrStmt></Document>
"""


def test_a_statement_of_the_bank(invoices: list[str]) -> None:
    content = CAMT.format(*invoices).encode()

    done = payment_files.import_file(livemode=True, content=content, now=timezone.now())
    again = payment_files.import_file(livemode=True, content=content, now=timezone.now())

    assert str(done) == "5 lines: 2 matched, 1 unmatched, 0 repeated, 2 refused"
    assert str(again) == "5 lines: 0 matched, 0 unmatched, 3 repeated, 2 refused"
    assert [paid(number) for number in invoices[:2]] == [("PAID", 100), ("PAID", 60)]
    rows = BankPayment.objects.order_by("bank_reference").values_list(
        "bank_reference", "account", "amount", "payer"
    )
    assert list(rows) == [
        ("A1", "ES91", 100, "Ann"), ("A2-1", "ES91", 60, ""), ("A2-2", "ES91", 10, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("INV-000042", ["INV-000042"]),
        ("inv 42 / INV000007", ["INV-000042", "INV-000007"]),
        ("INV-000042 INV-42", ["INV-000042"]),
        ("MYINV-42, XINV42, INV", []),
        ("INV-1234567", ["INV-1234567"]),
    ],
)
def test_the_numbers_that_a_text_names(text: str, named: list[str]) -> None:
    assert named_numbers(text, ["INV-"]) == named


@pytest.mark.parametrize("changes", [{"amount": D(1)}, {"text": "x"}, {"state": "UNMATCHED"}])
def test_what_the_bank_said_never_changes(invoices: list[str], changes: dict[str, Any]) -> None:
    take("100", invoices[0])

    with pytest.raises(IntegrityError, match="keeps its facts"), transaction.atomic():
        BankPayment.objects.update(**changes)
    with pytest.raises(IntegrityError, match="is kept"), transaction.atomic():
        BankPayment.objects.all()._raw_delete("default")

    assert BankPayment.objects.get().state == "MATCHED"
