"""Invoices that are voided: what they posted and burned is taken back, their numbers stay
(docs/decisions.md#d36).
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
from billing.models import AdvanceFee, Invoice, IssuedDocument, Settlement, Subscription
from ledger.models import Book, Entry
from pricing.models import OnAccount, TopUpRule
from pricing.offerings import coupons
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, posted
from wallets.models import CreditLot, TopUp

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
ADVANCE_120: dict[str, Any] = {
    "interval_count": 3,
    "charges": [
        {"code": "f", "model": "FLAT_RATE", "terms": {"flat_fee": "120"}, "timing": "ADVANCE"}
    ],
}


def billed(mode: str = "POSTPAID", *, usage: str = "250000", money: str = "", **plan: Any) -> Book:
    """Return a book with an invoice for January: 250,000 tokens at .002 are 500.00."""
    book = factories.subscribed(mode, money=money, **plan)
    advance(book, START + DAY)
    factories.meter(usage, START + DAY, "january")
    advance(book, FEBRUARY)
    return book


def number() -> str:
    found = Invoice.objects.latest("created_at").number
    assert found is not None
    return found


def ask(api: APIClient, what: str, **body: Any) -> Any:
    return api.post(f"/v1/invoices/{number()}/{what}", {"idempotency_key": what} | body)


def void(api: APIClient, reason: str = "billed by mistake", **body: Any) -> dict[str, Any]:
    answer = ask(api, "void", reason=reason, **body)
    assert answer.status_code == 200, answer.content
    read: dict[str, Any] = answer.json()
    return read


def refused(api: APIClient, **body: Any) -> tuple[int, str]:
    """Ask for a void that is refused and changes nothing."""
    before = factories.everything()
    answer = ask(api, "void", **({"reason": "mistake", "idempotency_key": "refused"} | body))
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


def test_what_an_invoice_posted_is_posted_back_and_its_number_stays(api: APIClient) -> None:
    billed()
    name, body = number(), IssuedDocument.objects.get().body
    assert balances("1100", "4020") == ["500", "-500"]

    read = void(api)

    assert [read[each] for each in ("invoice", "status", "amount", "revoked", "returned")] == [
        name, "VOID", "500", "0", [],
    ]  # fmt: skip
    assert balances("1100", "1200", "4020") == ["0", "0", "0"]
    entry = Entry.objects.get(pk=read["entry"])
    assert (entry.event, entry.reason, entry.actor_kind) == (
        "ADJUSTMENT", "billed by mistake", "API_KEY",
    )  # fmt: skip
    shown = api.get(f"/v1/invoices/{name}").json()
    assert [shown[each] for each in ("status", "total", "open", "overdue")] == [
        "VOID", "500", "0", False,
    ]  # fmt: skip
    assert api.get("/v1/invoices").json()["data"][0]["open"] == "0"
    assert Settlement.objects.get().status == "VOIDED"
    assert IssuedDocument.objects.get().body == body
    assert holds()


def test_credits_return_to_the_lots_that_paid(api: APIClient) -> None:
    """100 list, 10 % off, 20 % tax at use: promo 30, cash 30 (25 and 5), invoice 42 (35 and 7)."""
    create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    coupons.create_coupon(
        livemode=False, code="TENTH", type="PERCENT", value=D(10), duration="FOREVER"
    )
    book = factories.subscribed("HYBRID", country="ES", money="30", coupon="TENTH")
    factories.grant(book.key, "30")
    advance(book, START + DAY)
    factories.meter("50000", START + DAY, "january")
    advance(book, FEBRUARY)
    assert Invoice.objects.get().amount_due == 42

    read = void(api)

    assert {each["kind"]: each["amount"] for each in read["returned"]} == {
        "PROMO": "30", "CASH": "30",
    }  # fmt: skip
    assert factories.available(book) == 60
    assert balances("1100", "1200", "2300", "4000", "4020", "2100") == [
        "0", "0", "0", "0", "0", "-30",
    ]  # fmt: skip
    assert holds()


def test_what_was_paid_by_credits_alone_can_be_voided(api: APIClient) -> None:
    book = billed("HYBRID", usage="25000", money="100")
    assert (Invoice.objects.get().status, factories.available(book)) == ("PAID", 50)

    void(api)

    assert Invoice.objects.get().status == "VOID"
    assert factories.available(book) == 100
    assert balances("2100", "4000") == ["-100", "0"]
    assert holds()


def test_a_fee_in_advance_is_taken_back_with_what_was_earned_of_it(api: APIClient) -> None:
    """120 for 90 days from 1 January, void on 1 February: 31 days, 41.33, had been earned."""
    book = factories.subscribed("POSTPAID", **ADVANCE_120)
    advance(book, FEBRUARY)
    assert balances("1100", "2120", "4030") == ["120", "-78.666666666667", "-41.333333333333"]

    void(api)

    assert balances("1100", "1200", "2120", "4030") == ["0", "0", "0", "0"]
    fee = AdvanceFee.objects.get()
    assert fee.amount == fee.recognised == 0
    advance(book, datetime(2026, 3, 15, tzinfo=UTC))
    assert balances("2120", "4030") == ["0", "0"]
    assert holds()
    assert holds(date(2026, 1, 31))


def test_credits_paid_ahead_return_whole_and_their_earned_part_too(api: APIClient) -> None:
    """A fee of 120 for 90 days, 50 of it paid by cash: all 50 return on 1 February."""
    book = factories.subscribed("HYBRID", money="50", **ADVANCE_120)
    advance(book, FEBRUARY)
    assert Invoice.objects.get().amount_due == 70

    void(api)

    assert factories.available(book) == 50
    assert balances("1100", "1200", "2100", "2120", "4030") == ["0", "0", "-50", "0", "0"]
    assert holds()


def test_credits_that_wait_for_their_payment_never_come(live_api: APIClient) -> None:
    book = factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert live_api.post("/v1/wallets/top-ups", body).status_code == 201

    read = void(live_api)

    assert (read["status"], read["settlement"], read["revoked"]) == ("VOID", None, "0")
    top_up = TopUp.objects.get()
    assert (top_up.status, top_up.failed_at is not None) == ("FAILED", True)
    assert not Entry.objects.get(pk=read["entry"]).postings.exists()
    assert factories.available(book) == 0
    pay = ask(live_api, "pay", amount="100", reference="wire")
    assert (pay.status_code, pay.json()["code"]) == (409, "invoice_not_open")
    assert verification.verify().ok


def test_credits_that_came_at_once_are_revoked_with_their_bonus(live_api: APIClient) -> None:
    """100 + 20 for 100.00, nothing used."""
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    book = factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    sold = live_api.post("/v1/wallets/top-ups", body | {"bonus": {"amount": "20"}})
    assert sold.status_code == 201, sold.content

    read = void(live_api)

    assert D(read["revoked"]) == 100
    assert factories.available(book) == 0
    assert all(lot.remaining == 0 for lot in CreditLot.objects.all())
    assert balances("1100", "2100", "2110") == ["0", "0", "0"]
    assert verification.verify().ok


def test_credits_of_which_one_is_spent_are_not(live_api: APIClient) -> None:
    TopUpRule.objects.create(livemode=True, currency="USD", on_account=OnAccount.AT_ONCE)
    factories.customer(livemode=True)
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": "t"}
    assert live_api.post("/v1/wallets/top-ups", body).status_code == 201
    debit = {"customer_id": "cust_1", "amount": "1", "strategy": "CASH", "idempotency_key": "d"}
    assert live_api.post("/v1/wallets/debit", debit).status_code == 200

    assert refused(live_api) == (409, "not_voidable")


def test_only_what_is_issued_and_untouched_can_be_voided(api: APIClient) -> None:
    """Draft, paid in part, paid by money, written off, void."""
    book = billed(spec={"draft_hours": 1})
    address = f"/v1/invoices/{Invoice.objects.get().pk}/void"
    before = factories.everything()
    draft = api.post(address, {"reason": "x", "idempotency_key": "draft"})
    assert (draft.status_code, draft.json()["code"]) == (409, "not_voidable")
    assert factories.everything() == before
    advance(book, FEBRUARY + DAY)
    assert ask(api, "pay", amount="300", reference="wire").status_code == 200

    assert refused(api) == (409, "not_voidable")
    assert ask(api, "pay", amount="200", reference="wire", idempotency_key="r").status_code == 200
    assert Invoice.objects.get().status == "PAID"
    assert refused(api) == (409, "not_voidable")


def test_what_was_written_off_is_not_voided(api: APIClient) -> None:
    billed()
    assert ask(api, "write-off", reason="insolvent").status_code == 200

    assert refused(api) == (409, "not_voidable")


def test_what_was_corrected_is_not_voided(api: APIClient) -> None:
    billed()
    address = f"/v1/settlements/{Settlement.objects.get().pk}/adjust"
    body = {"reason": "x", "lines": [{"description": "x", "amount": "-1"}], "idempotency_key": "a"}
    assert api.post(address, body).status_code == 201

    assert refused(api) == (409, "not_voidable")


def test_a_fee_that_became_plan_credits_is_not_voided(api: APIClient) -> None:
    """What a plan's credits carry is the fee; they may be spent."""
    factories.subscribed(
        "POSTPAID",
        **ADVANCE_120,
        grants=[{"kind": "CASH", "amount": D(100)}],
    )

    assert refused(api) == (409, "not_voidable")


def test_a_void_is_replayed_and_done_once(api: APIClient) -> None:
    billed()
    first = ask(api, "void", reason="mistake")
    before = factories.everything()

    again = ask(api, "void", reason="mistake")

    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert refused(api) == (409, "not_voidable")
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": ""}, "blank"),
        ({"reason": "x" * 301}, "max_length"),
        ({"note": "x"}, "unknown_field"),
    ],
)
def test_a_bad_void_changes_nothing(api: APIClient, body: dict[str, Any], code: str) -> None:
    billed()

    assert refused(api, **body) == (422, code)


def test_the_last_cycle_of_what_has_ended_is_not_settled_again(api: APIClient) -> None:
    """Its usage is billed by a subscription that begins anew on the same day: 500.00 again."""
    book = factories.subscribed("POSTPAID")
    advance(book, START + DAY)
    factories.meter("250000", START + DAY, "january")
    advance(book, START + 9 * DAY)
    subscription = Subscription.objects.get()
    answer = api.post(f"/v1/subscriptions/{subscription.pk}/cancel", {"at": "NOW"})
    assert answer.status_code == 200, answer.content
    advance(book, START + 10 * DAY)

    void(api)
    advance(book, START + 20 * DAY)
    run = api.post("/v1/settlements/run", {"customer_id": book.key})
    assert run.status_code == 202

    assert [each.status for each in Settlement.objects.all()] == ["VOIDED"]
    factories.subscription("cust_1", starts_at=START)
    advance(book, FEBRUARY)
    assert sorted(Invoice.objects.values_list("status", "total")) == [
        ("OPEN", D(500)), ("VOID", D(500)),
    ]  # fmt: skip
    assert holds()


def test_the_next_cycle_goes_on_and_bills_late_usage_of_others(api: APIClient) -> None:
    """January 200; February's 150 has 100 of late January usage; void, March bills these 100."""
    book = billed(usage="100000")
    advance(book, FEBRUARY + DAY)
    factories.meter("50000", START + 2 * DAY, "late")
    factories.meter("25000", FEBRUARY + DAY, "february")
    advance(book, MARCH)
    assert Invoice.objects.latest("created_at").amount_due == 150

    void(api)
    advance(book, datetime(2026, 4, 1, tzinfo=UTC))

    due = Invoice.objects.order_by("created_at").values_list("status", "amount_due")
    assert list(due) == [("OPEN", D(200)), ("VOID", D(150)), ("OPEN", D(100))]
    assert holds()


def test_the_tie_outs_of_an_earlier_month_still_hold(api: APIClient) -> None:
    """Issued on 1 February, void in March: 500 were receivable at the end of February."""
    book = billed()
    advance(book, MARCH + DAY)
    void(api)

    assert holds(date(2026, 2, 28))
    ties = tie_outs.of_day(livemode=False, until=date(2026, 2, 28))
    (receivable,) = [tie for tie in ties if tie.name.startswith("1100")]
    assert receivable.books == 500


@pytest.mark.parametrize("changes", [{"paid": 1}, {"credited": 1}, {"written_off": 1}])
def test_the_database_refuses_a_void_of_what_was_paid(changes: dict[str, Any]) -> None:
    billed()

    with pytest.raises(IntegrityError), transaction.atomic():
        Invoice.objects.update(status="VOID", **changes)
