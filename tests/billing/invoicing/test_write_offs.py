"""Receivables written off, what was never delivered of them, and what is recovered
(docs/accounting.md#e40 and #e41).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from aforo.money import plain
from billing.finance import verification
from billing.finance.closing import tie_outs
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import AdvanceFee, Invoice, Settlement
from ledger.entries import books, entries
from ledger.models import Book, Entry, LedgerEvent
from ledger.posting_rules import PostingLine
from pricing.models import OnAccount, TopUpRule
from tests import factories
from tests.factories import FEBRUARY, START, advance, posted

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)


def billed(usage: str = "250000", *, taxed: bool = False) -> Book:
    """Return a book with an open invoice for January: 250,000 tokens at .002 are 500.00."""
    if taxed:
        create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    factories.offering(billing_mode="POSTPAID")
    book = factories.clocked_customer(country="ES" if taxed else "")
    factories.subscription("cust_1")
    advance(book, START + DAY)
    factories.meter(usage, START + DAY, "january")
    advance(book, FEBRUARY)
    return book


def number() -> str:
    found = Invoice.objects.get().number
    assert found is not None
    return found


def ask(api: APIClient, what: str, **body: Any) -> Any:
    return api.post(f"/v1/invoices/{number()}/{what}", {"idempotency_key": what} | body)


def pay(api: APIClient, amount: str, key: str = "") -> dict[str, Any]:
    body = {"amount": amount, "reference": "wire", "idempotency_key": key or f"pay {amount}"}
    answer = ask(api, "pay", **body)
    assert answer.status_code == 200, answer.content
    read: dict[str, Any] = answer.json()
    return read


def write_off(api: APIClient, **body: Any) -> dict[str, Any]:
    answer = ask(api, "write-off", reason="insolvent", **body)
    assert answer.status_code == 200, answer.content
    read: dict[str, Any] = answer.json()
    return read


def holds() -> bool:
    """Return whether the books prove themselves, and tie out."""
    ties = tie_outs.of_day(livemode=False, until=date(2099, 12, 31))
    assert verification.verify().ok, verification.verify().first_bad
    return all(tie.holds for tie in ties)


def balances(*accounts: str) -> list[str]:
    return [plain(posted(each, livemode=True) + posted(each)) for each in accounts]


def test_the_rest_is_a_loss_and_a_later_payment_recovers_it(api: APIClient) -> None:
    """500: 300 paid, 200 written off, 50 recovered."""
    billed()
    pay(api, "300")

    read = write_off(api)

    assert [read[name] for name in ("status", "written_off", "loss", "unearned", "revoked")] == [
        "UNCOLLECTIBLE", "200", "200", "0", "0",
    ]  # fmt: skip
    assert balances("1000", "1100", "6200", "1150") == ["300", "0", "200", "0"]
    entry = Entry.objects.get(pk=read["entry"])
    assert (entry.event, entry.reason, entry.actor_kind) == ("WRITE_OFF", "insolvent", "API_KEY")
    shown = api.get(f"/v1/invoices/{number()}").json()
    assert [shown[name] for name in ("paid", "written_off", "open", "overdue")] == [
        "300", "200", "0", False,
    ]  # fmt: skip
    assert holds()

    recovered = pay(api, "50")

    assert [recovered[name] for name in ("status", "applied", "recovered", "paid")] == [
        "UNCOLLECTIBLE", "50", "50", "300",
    ]  # fmt: skip
    assert balances("1000", "1100", "6200", "6210") == ["350", "0", "200", "-50"]
    assert holds()


def test_recovered_in_full_it_is_paid_and_more_is_unapplied(api: APIClient) -> None:
    billed()
    write_off(api)

    read = pay(api, "510")

    assert (read["status"], read["applied"], read["unapplied"]) == ("PAID", "500", "10")
    assert balances("1000", "6210", "2220", "1100") == ["510", "-500", "-10", "0"]
    assert holds()
    assert ask(api, "pay", amount="1", reference="wire").status_code == 409


def test_what_was_set_aside_is_used_up_first(api: APIClient) -> None:
    """80 set aside for this customer, 500 written off: 420 are an expense now, 80 were before."""
    book = billed()
    with transaction.atomic():
        books.lock_book(book_id=book.pk)
        entries.append(
            [
                entries.EntryDraft(
                    book=book,
                    event=LedgerEvent.MANUAL,
                    occurred_at=FEBRUARY,
                    document={"reason": "CREDIT_LOSS"},
                    lines=[PostingLine("6200", "1150", D(80), "USD")],
                )
            ]
        )

    write_off(api)

    assert balances("1150", "6200", "1100") == ["0", "500", "0"]


def test_the_tax_stays_owed_unless_the_law_relieves_it(api: APIClient) -> None:
    """500.00 and 20 % are 600.00. Without relief all 600 are lost, and 100 of tax stay owed."""
    billed(taxed=True)

    read = write_off(api)

    assert (read["written_off"], read["loss"], read["tax_relieved"]) == ("600", "600", "0")
    assert balances("2300", "6200", "1100") == ["-100", "600", "0"]
    assert holds()


def test_relieved_tax_is_owed_again_as_it_is_recovered(api: APIClient) -> None:
    """600.00 with 100.00 of tax; 0.10 recovered hold .016667 of tax, thrice .05, so rounded .02,
    .03 and .05 in all.
    """
    billed(taxed=True)

    read = write_off(api, tax_relief=True)

    assert (read["loss"], read["tax_relieved"]) == ("500", "100")
    assert balances("2300", "6200", "1100") == ["0", "500", "0"]
    for key, owed in (("a", "-0.02"), ("b", "-0.03"), ("c", "-0.05")):
        pay(api, "0.1", key)
        assert balances("2300") == [owed]
    assert balances("6210", "1000") == ["-0.25", "0.3"]
    assert holds()


def test_a_fee_that_nobody_will_earn_is_no_expense(api: APIClient) -> None:
    """120 for three months in advance from 1 January (90 days), written off on 1 February: 31 days
    are earned, 41.33; 78.67 never will be.
    """
    book = factories.subscribed(
        "POSTPAID",
        interval_count=3,
        charges=[
            {"code": "f", "model": "FLAT_RATE", "terms": {"flat_fee": "120"}, "timing": "ADVANCE"}
        ],
    )
    advance(book, FEBRUARY)

    read = write_off(api)

    assert (D(read["unearned"]), D(read["loss"])) == (
        D("78.666666666667"),
        D("41.333333333333"),
    )
    assert balances("2120", "1100", "6200") == ["0", "0", "41.333333333333"]
    fee = AdvanceFee.objects.get()
    assert fee.amount == fee.recognised == 0
    advance(book, datetime(2026, 3, 15, tzinfo=UTC))
    assert posted("4030") == D("-41.333333333333")
    assert holds()


def test_unspent_credits_are_taken_back_and_spent_ones_lost(live_api: APIClient) -> None:
    """100 + 20 for 100.00, 30 of the cash spent: what is left carries 75.00."""
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    book = factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert (
        live_api.post("/v1/wallets/top-ups", body | {"bonus": {"amount": "20"}}).status_code < 300
    )
    debit = {"customer_id": "cust_1", "amount": "30", "strategy": "CASH", "idempotency_key": "d"}
    assert live_api.post("/v1/wallets/debit", debit).status_code == 200

    read = write_off(live_api)

    assert (read["written_off"], read["revoked"], read["loss"]) == ("100", "75", "25")
    assert factories.available(book) == 0
    assert balances("1100", "2100", "2110", "6200", "4000") == ["0", "0", "0", "25", "-25"]
    assert verification.verify().ok
    assert pay(live_api, "100")["status"] == "PAID"
    assert factories.available(book) == 0


def test_credits_paid_in_part_are_taken_back_as_far_as_they_are_unpaid(live_api: APIClient) -> None:
    """100 for 100.00, 70 paid, none spent: 30 of them go, and 70 stay."""
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    book = factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert live_api.post("/v1/wallets/top-ups", body).status_code == 201
    pay(live_api, "70")

    read = write_off(live_api)

    assert (read["written_off"], read["revoked"], read["loss"]) == ("30", "30", "0")
    assert factories.available(book) == 70
    assert balances("1100", "2100", "6200") == ["0", "-70", "0"]
    assert verification.verify().ok


def test_credits_that_are_held_back_are_no_receivable(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert live_api.post("/v1/wallets/top-ups", body).status_code == 201
    before = factories.everything()

    answer = ask(live_api, "write-off", reason="x")

    assert (answer.status_code, answer.json()["code"]) == (409, "credits_held_back")
    assert factories.everything() == before


def test_a_write_off_is_replayed_and_done_once(api: APIClient) -> None:
    billed()
    first = ask(api, "write-off", reason="insolvent")
    before = factories.everything()

    again = ask(api, "write-off", reason="insolvent")
    other = ask(api, "write-off", reason="insolvent", idempotency_key="other")

    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["code"]) == (409, "invoice_not_open")
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": ""}, "blank"),
        ({"reason": "x" * 301}, "max_length"),
        ({"reason": "x", "idempotency_key": None}, "idempotency_key_required"),
        ({"reason": "x", "tax_relief": "perhaps"}, "invalid"),
    ],
)
def test_a_bad_write_off_changes_nothing(api: APIClient, body: dict[str, Any], code: str) -> None:
    billed()
    before = factories.everything()

    sent = {"idempotency_key": "w"} | body

    answer = api.post(
        f"/v1/invoices/{number()}/write-off", {k: v for k, v in sent.items() if v is not None}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert factories.everything() == before


def test_a_correction_gives_nothing_back_of_what_was_written_off(api: APIClient) -> None:
    """500 with 300 paid and 200 written off: 300 at most, as the customer's credit."""
    billed()
    pay(api, "300")
    write_off(api)
    address = f"/v1/settlements/{Settlement.objects.get().pk}/adjust"
    body = {"reason": "x", "lines": [{"description": "x", "amount": "-300.01"}]}

    refused = api.post(address, body | {"idempotency_key": "a"})
    done = api.post(
        address,
        {"reason": "x", "lines": [{"description": "x", "amount": "-300"}], "idempotency_key": "b"},
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "exceeds_settlement")
    assert (done.status_code, done.json()["customer_credit"]) == (201, "-300")
    assert Invoice.objects.get().status == "UNCOLLECTIBLE"
    assert holds()


@pytest.mark.parametrize(
    "changes",
    [
        {"written_off": 501, "status": "UNCOLLECTIBLE"},
        {"written_off": 500},
        {"status": "UNCOLLECTIBLE"},
        {"written_off": 500, "recovered": 500, "status": "UNCOLLECTIBLE"},
        {"written_off": D("1.001"), "status": "UNCOLLECTIBLE"},
    ],
)
def test_the_database_refuses_what_cannot_be(changes: dict[str, Any]) -> None:
    billed()

    with pytest.raises(IntegrityError), transaction.atomic():
        Invoice.objects.update(**changes)
