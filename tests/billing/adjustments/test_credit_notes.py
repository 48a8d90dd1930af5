"""Credit notes: numbers and documents of their own, of earned and of unearned fees, whole, in part
and by line (docs/accounting.md#e29 and #e30).
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import Error, connection, transaction
from rest_framework.test import APIClient

from aforo.money import plain
from billing.finance import document_verification, verification
from billing.finance.closing import tie_outs
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import AdvanceFee, CreditNote, Invoice, IssuedDocument, Settlement
from ledger.models import Book, Entry
from pricing.models import OnAccount, TopUpRule
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, posted

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
CENT = D("0.01")


def fee(amount: str = "120", **charge: Any) -> dict[str, Any]:
    return {
        "code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": amount}, "timing": "ADVANCE",
        **charge,
    }  # fmt: skip


def billed(usage: str = "250000", *, taxed: bool = False, **plan: Any) -> Book:
    """Return a book with an open invoice for January: 250,000 tokens at .002 are 500.00."""
    if taxed:
        create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    book = factories.subscribed("POSTPAID", country="ES" if taxed else "", **plan)
    advance(book, START + DAY)
    factories.meter(usage, START + DAY, "january")
    advance(book, FEBRUARY)
    return book


def number() -> str:
    found = Invoice.objects.latest("created_at").number
    assert found is not None
    return found


def ask(api: APIClient, what: str = "credit-notes", **body: Any) -> Any:
    return api.post(f"/v1/invoices/{number()}/{what}", {"idempotency_key": str(body)} | body)


def credit(api: APIClient, reason: str = "service was down", **body: Any) -> dict[str, Any]:
    answer = ask(api, reason=reason, **body)
    assert answer.status_code == 201, answer.content
    read: dict[str, Any] = answer.json()
    return read


def refused(api: APIClient, **body: Any) -> tuple[int, str]:
    """Ask for a credit note that is refused and changes nothing."""
    before = factories.everything()
    answer = ask(api, **({"reason": "x", "idempotency_key": "refused"} | body))
    assert factories.everything() == before
    return answer.status_code, answer.json()["code"]


def holds(until: date = date(2099, 12, 31)) -> bool:
    """Return whether the books prove themselves, and tie out as of a day."""
    assert verification.verify().ok, verification.verify().first_bad
    differing = [tie for tie in tie_outs.of_day(livemode=False, until=until) if not tie.holds]
    assert not differing, [str(tie) for tie in differing]
    return True


def balances(*accounts: str) -> list[str]:
    return [plain(posted(each, livemode=True) + posted(each)) for each in accounts]


def test_an_unearned_fee_leaves_what_is_owed_and_lowers_no_revenue(api: APIClient) -> None:
    """120 for three months in advance (90 days), a note of 30 on its first day: then 31, 28, 31."""
    book = factories.subscribed("POSTPAID", interval_count=3, charges=[fee()])

    read = credit(api, amount="30")

    assert [read[each] for each in ("unearned", "earned", "credited", "returned", "tax")] == [
        "30", "0", "30", "0", "0",
    ]  # fmt: skip
    assert balances("2120", "4910", "1100") == ["-90", "0", "90"]
    earned = []
    for end in (FEBRUARY, MARCH, datetime(2026, 4, 1, tzinfo=UTC)):
        before = posted("4030")
        advance(book, end)
        earned.append(before - posted("4030"))
    assert earned == [31, 28, 31]
    assert holds()


def test_of_a_fee_that_is_partly_earned_that_part_lowers_revenue(api: APIClient) -> None:
    """120 for 2026, a note of 30 on 1 February: 31 of 365 days earned, 2.55; then 6.90, 7.64."""
    book = factories.subscribed("POSTPAID", interval="YEAR", charges=[fee()])
    advance(book, FEBRUARY)

    read = credit(api, amount="30")

    assert [D(read[each]).quantize(CENT) for each in ("earned", "unearned")] == [
        D("2.55"), D("27.45"),
    ]  # fmt: skip
    assert posted("4910").quantize(CENT) == D("2.55")
    months = []
    for end in (MARCH, datetime(2026, 4, 1, tzinfo=UTC)):
        before = posted("4030")
        advance(book, end)
        months.append((before - posted("4030")).quantize(CENT))
    assert months == [D("6.90"), D("7.64")]
    assert holds()
    assert holds(date(2026, 1, 31))


def test_what_is_open_is_lowered_first_and_the_rest_is_owed(api: APIClient) -> None:
    """500 with 450 paid, a note of 80: 50 off what is open, 30 the customer's; 420 are left."""
    book = billed()
    assert ask(api, "pay", amount="450", reference="wire").status_code == 200

    read = credit(api, amount="80")

    assert [read[each] for each in ("credited", "returned", "earned")] == ["50", "30", "80"]
    assert balances("1100", "2210", "4910") == ["0", "-30", "80"]
    shown = api.get(f"/v1/invoices/{number()}").json()
    assert [shown[each] for each in ("status", "total", "credited", "returned", "open")] == [
        "PAID", "500", "50", "30", "0",
    ]  # fmt: skip
    assert api.get(f"/v1/customers/{book.key}/credit").json() == {"USD": "30"}
    assert refused(api, amount="420.01") == (422, "exceeds_invoice")
    assert credit(api)["amount"] == "420"
    assert refused(api) == (409, "invoice_not_open")
    assert holds()


def test_payments_see_the_lower_amount(api: APIClient) -> None:
    billed()
    credit(api, amount="100")

    paid = ask(api, "pay", amount="500", reference="wire").json()

    assert (paid["status"], paid["applied"], paid["unapplied"]) == ("PAID", "400", "100")
    assert holds()


def test_the_tax_of_parts_comes_to_that_of_the_whole(api: APIClient) -> None:
    """500 and 100 of tax. Thrice 0.10 hold .016667 each: .02, .01 (.03 in all), .02 (.05)."""
    billed(taxed=True)

    taxes = [credit(api, amount="0.10", idempotency_key=key)["tax"] for key in "abc"]
    rest = credit(api)

    assert taxes == ["0.02", "0.01", "0.02"]
    assert (rest["amount"], rest["tax"]) == ("599.7", "99.95")
    assert balances("1100", "2300", "4910") == ["0", "0", "500"]
    assert Invoice.objects.get().status == "PAID"
    assert holds()


def test_a_document_that_credits_paid_in_part_gives_back_what_was_due(api: APIClient) -> None:
    """100 list, 10 % off, 20 % tax, promo 30, cash 30: of the 42 due (35 and 7) 12 are 10 and 2."""
    from pricing.offerings import coupons

    create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    coupons.create_coupon(
        livemode=False, code="TENTH", type="PERCENT", value=D(10), duration="FOREVER"
    )
    book = factories.subscribed("HYBRID", country="ES", money="30", coupon="TENTH")
    factories.grant(book.key, "30")
    advance(book, START + DAY)
    factories.meter("50000", START + DAY, "january")
    advance(book, FEBRUARY)

    read = credit(api, amount="12")

    assert (read["tax"], read["earned"]) == ("2", "10")
    assert refused(api, amount="30.01") == (422, "exceeds_invoice")
    assert holds()


def test_a_note_by_line_takes_the_line_and_its_tax(api: APIClient) -> None:
    """Usage 500 and a fee of 90 ahead for February, 20 % tax: the fee, then 50 of the usage."""
    usage = factories.TOKENS_AT_2_MILLS
    billed(taxed=True, charges=[*usage, fee("90")])
    lines = {
        line["charge"]: line["position"]
        for line in api.get(f"/v1/invoices/{number()}").json()["lines"]
        if line["kind"] in ("USAGE", "FEE")
    }

    ahead = credit(api, lines=[{"line": lines["fee"]}])
    part = credit(api, lines=[{"line": lines["tokens"], "amount": "50"}])

    assert [ahead[each] for each in ("amount", "tax", "unearned", "earned")] == [
        "108", "18", "90", "0",
    ]  # fmt: skip
    assert [part[each] for each in ("amount", "tax", "unearned", "earned")] == [
        "60", "10", "0", "50",
    ]  # fmt: skip
    assert AdvanceFee.objects.latest("pk").amount == 0
    asked = [
        ([{"line": lines["fee"]}], "exceeds_line"),
        ([{"line": lines["tokens"], "amount": "450.01"}], "exceeds_line"),
        ([{"line": lines["tokens"], "amount": "1.001"}], "not_payable"),
        ([{"line": 99}], "unknown_line"),
        ([{"line": lines["tokens"], "amount": "1"}] * 2, "repeated"),
    ]
    for wrong, code in asked:
        assert refused(api, lines=wrong) == (422, code)
    assert refused(api, lines=[{"line": 0}], amount="1")[0] == 422
    assert holds()


def test_a_note_has_a_number_and_a_frozen_document_of_its_own(api: APIClient) -> None:
    billed(taxed=True)

    first, second = credit(api, amount="60"), credit(api, amount="1")

    assert [first["number"], second["number"]] == ["TEST-CN-000001", "TEST-CN-000002"]
    kept = IssuedDocument.objects.get(subject=first["id"])
    said = json.loads(kept.body)
    assert (said["document"], said["number"], said["invoice"]) == (
        "CREDIT_NOTE", "TEST-CN-000001", number(),
    )  # fmt: skip
    assert said["totals"] == {"subtotal": "50", "discount": "0", "tax": "10", "total": "60"}
    assert [(tax["percent"], tax["net"], tax["tax"]) for tax in said["taxes"]] == [
        ("20", "50", "10")
    ]
    page = api.get(f"/v1/credit-notes/{first['number']}.html")
    assert page.status_code == 200
    assert b"Credit note" in page.content
    assert b"service was down" in page.content
    assert page.content == api.get(f"/v1/credit-notes/{first['id']}.html").content
    listed = api.get(f"/v1/credit-notes?invoice={number()}").json()["data"]
    assert [each["number"] for each in listed] == ["TEST-CN-000002", "TEST-CN-000001"]
    assert api.get(f"/v1/credit-notes/{first['number']}").json() == first == listed[1]
    assert api.get("/v1/credit-notes/CN-9").json()["code"] == "unknown_credit_note"
    entry = Entry.objects.get(pk=first["entry"])
    assert (entry.event, entry.reason) == ("CREDIT_NOTE", "service was down")
    assert holds()


def test_a_note_on_credits_takes_back_those_that_are_unspent(live_api: APIClient) -> None:
    """100 for 100.00 on account, 30 spent: a note of 80 revokes the 70 that are there, 10 were
    earned.
    """
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    book = factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert live_api.post("/v1/wallets/top-ups", body).status_code == 201
    debit = {"customer_id": "cust_1", "amount": "30", "strategy": "CASH", "idempotency_key": "d"}
    assert live_api.post("/v1/wallets/debit", debit).status_code == 200

    read = credit(live_api, amount="80")

    assert [read[each] for each in ("revoked", "earned", "credited")] == ["70", "10", "80"]
    assert factories.available(book) == 0
    assert balances("1100", "2100", "4910") == ["20", "0", "10"]
    assert verification.verify().ok


def test_credits_that_are_held_back_are_not_credited(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert live_api.post("/v1/wallets/top-ups", body).status_code == 201

    assert refused(live_api, amount="1") == (409, "credits_held_back")


def test_drafts_and_voids_take_no_note(api: APIClient) -> None:
    billed(spec={"draft_hours": 1})
    address = f"/v1/invoices/{Invoice.objects.get().pk}/credit-notes"
    draft = api.post(address, {"reason": "x", "amount": "1", "idempotency_key": "d"})
    assert (draft.status_code, draft.json()["code"]) == (409, "invoice_in_draft")
    assert api.post(address.replace("credit-notes", "finalize"), {}).status_code == 200
    assert ask(api, "void", reason="x").status_code == 200

    assert refused(api, amount="1") == (409, "invoice_not_open")


def test_a_noted_invoice_is_not_voided(api: APIClient) -> None:
    billed()
    credit(api, amount="1")

    answer = ask(api, "void", reason="x")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_voidable")


def test_a_note_is_replayed_and_issued_once(api: APIClient) -> None:
    billed()
    first = ask(api, reason="x", amount="10")
    before = factories.everything()

    again = ask(api, reason="x", amount="10")

    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": "", "amount": "1"}, "blank"),
        ({"amount": "1.001"}, "not_payable"),
        ({"amount": "0"}, "not_positive"),
        ({"amount": "500.01"}, "exceeds_invoice"),
    ],
)
def test_a_bad_note_changes_nothing(api: APIClient, body: dict[str, Any], code: str) -> None:
    billed()

    status, said = refused(api, **body)

    assert status == 422
    assert said == code


def test_a_correction_that_lowers_an_invoice_is_a_note(api: APIClient) -> None:
    """500 and 100 of tax; a correction of -50 gives 60 back, by a note with a number."""
    billed(taxed=True)
    address = f"/v1/settlements/{Settlement.objects.get().pk}/adjust"
    line = {"description": "Counted twice", "amount": "-50"}

    answer = api.post(address, {"reason": "x", "lines": [line], "idempotency_key": "a"})

    assert answer.status_code == 201, answer.content
    assert answer.json()["credit_notes"] == ["TEST-CN-000001"]
    note = api.get("/v1/credit-notes/TEST-CN-000001").json()
    assert [note[each] for each in ("amount", "tax", "credited", "adjustment", "reason")] == [
        "60", "10", "60", answer.json()["id"], "x",
    ]  # fmt: skip
    assert note["lines"] == [{"description": "Counted twice", "amount": "50"}]
    assert credit(api)["tax"] == "90"
    assert holds()


def test_the_database_refuses_to_change_or_delete_a_note(api: APIClient) -> None:
    billed()
    credit(api, amount="10")

    for statement in (
        "UPDATE billing_creditnote SET amount = 9, credited = 9",
        "UPDATE billing_creditnote SET number = 'TEST-CN-000009'",
        "UPDATE billing_creditnote SET reason = 'y'",
        "DELETE FROM billing_creditnote",
    ):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_verification_names_a_note_that_is_not_what_was_posted(api: APIClient) -> None:
    billed()
    credit(api, amount="10")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_creditnote DISABLE TRIGGER billing_creditnote_kept")
        cursor.execute("ALTER TABLE billing_creditnote DISABLE TRIGGER billing_creditnote_once")
        cursor.execute("UPDATE billing_creditnote SET credited = 9, amount = 9")
    (fault,) = [
        reason
        for named, reason in document_verification.check_documents(Book.objects.get())
        if reason is not None
    ][:1]
    assert "its entry posted 10" in fault
    assert CreditNote.objects.get().number == "TEST-CN-000001"
