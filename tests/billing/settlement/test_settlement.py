"""Cycles from subscription to settlement, in every billing mode, on real usage."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from aforo.errors import InvariantBroken
from aforo.sandbox.models import TestClock
from billing.cycle_end import cycle_settlement
from billing.finance import verification
from billing.invoicing import invoices
from billing.invoicing.tax_rates import create_tax_rate
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import (
    Invoice,
    Settlement,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
    UsageEvent,
)
from billing.settlement import cycle_sealing
from billing.usage import aggregates
from ledger.models import Book, Entry, Posting
from ledger.reports import trial_balance
from pricing.offerings import coupons
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed
from wallets.models import CreditLot, Wallet

pytestmark = pytest.mark.django_db

FREE_TOKENS = [
    {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(10_000), "recurrence": "EVERY_CYCLE",
     "expires_at_cycle_end": True},
]  # fmt: skip


def used_15_000(mode: str) -> Book:
    """15,000 tokens at .002; promo 10,000 and bonus 2,000 tokens; cash 5.00
    (docs/accounting.md#waterfall).
    """
    book = subscribed(mode)
    factories.grant_units("cust_1", "10000")
    factories.grant_units("cust_1", "2000", "BONUS")
    factories.top_up("cust_1", "5")
    advance(book, START + timedelta(days=10))
    meter(15_000, START + timedelta(days=5))
    return book


UNITS = [
    {"metric": "tokens", "kind": "PROMO", "quantity": "10000"},
    {"metric": "tokens", "kind": "BONUS", "quantity": "2000"},
]


@pytest.mark.parametrize(
    ("mode", "cash", "to_invoice", "arrears"),
    [("HYBRID", "5", "1", "0"), ("PREPAID", "5", "0", "1"), ("POSTPAID", "0", "6", "0")],
)
def test_the_worked_example_of_the_design(
    mode: str, cash: str, to_invoice: str, arrears: str
) -> None:
    book = used_15_000(mode)

    advance(book, FEBRUARY)

    found = Settlement.objects.get(book=book)
    assert found.status == SettlementStatus.SETTLED
    assert found.totals["from_units"] == UNITS
    assert found.totals["total"] == "6"
    assert found.totals["from_wallet"] == {"PROMO": "0", "BONUS": "0", "CASH": cash}
    assert (found.totals["to_invoice"], found.totals["arrears"]) == (to_invoice, arrears)
    assert [stage["title"] for stage in found.stages] == [
        "Quota check", "Rollover", "Aggregate", "Allowance", "Rate", "Commit", "Discount", "Tax",
        "Route", "Settle",
    ]  # fmt: skip
    assert Invoice.objects.filter(customer=book.pk).count() == (mode != "PREPAID")
    assert verification.verify().ok


def test_the_invoice_takes_what_credits_leave() -> None:
    book = used_15_000("HYBRID")

    advance(book, FEBRUARY)

    invoice = Invoice.objects.get(customer=book.pk)
    assert (invoice.number, invoice.status) == ("TEST-000001", "OPEN")
    assert (invoice.total.amount, invoice.from_wallet, invoice.amount_due) == (6, 5, 1)
    lines = [(line.kind, line.quantity, line.amount) for line in invoice.lines.all()]
    assert lines == [("USAGE", 3_000, 6)]
    balances = {row.account: row.balance for row in trial_balance(livemode=False)}
    assert balances == {
        "1010": Decimal(5), "1100": Decimal(1), "1200": Decimal(0), "2100": Decimal(0),
        "4000": Decimal(5), "4020": Decimal(1),
    }  # fmt: skip


def test_an_invoice_with_nothing_due_is_paid_at_once() -> None:
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "50")
    advance(book, START + timedelta(days=10))
    meter(1_000, START)

    advance(book, FEBRUARY)

    assert Invoice.objects.get(customer=book.pk).status == "PAID"
    assert factories.available(book) == 48


def test_a_cycle_without_any_charge_has_no_invoice() -> None:
    book = subscribed("HYBRID")

    advance(book, FEBRUARY)

    assert Settlement.objects.get(book=book).totals["total"] == "0"
    assert not Invoice.objects.filter(customer=book.pk).exists()


def test_prepaid_arrears_suspend_and_the_next_top_up_pays_them_first() -> None:
    book = used_15_000("PREPAID")
    advance(book, FEBRUARY)
    assert Subscription.objects.get().status == SubscriptionStatus.SUSPENDED
    assert factories.refusal(factories.debit("cust_1", "1")).code == "suspended"

    factories.top_up("cust_1", "10")

    found = Settlement.objects.get(book=book)
    assert (found.arrears, found.arrears_paid) == (1, 1)
    assert Subscription.objects.get().status == SubscriptionStatus.ACTIVE
    assert factories.available(book) == 9
    assert factories.body(factories.debit("cust_1", "1"))["overage"] == "0"
    assert verification.verify().ok


def test_a_shortfall_of_the_minimum_is_owed_but_does_not_suspend() -> None:
    """Used 2.00 of a minimum of 10.00; cash 3.00: 7.00 is owed, all of it commitment."""
    book = subscribed("PREPAID", spec={"minimum_spend": Decimal(10)})
    factories.top_up("cust_1", "3")
    meter(1_000, START)

    advance(book, FEBRUARY)

    assert Settlement.objects.get().arrears == 7
    assert Subscription.objects.get().status == SubscriptionStatus.ACTIVE


def test_the_invoice_accrues_usage_and_fees_apart_after_the_discount() -> None:
    """Usage 10, fee 30, coupon 50 %: net 20, of which fee revenue 15 and usage 5."""
    coupons.create_coupon(
        livemode=False, code="HALF", type="PERCENT", value=Decimal(50), duration="ONCE"
    )
    charges = [
        *factories.TOKENS_AT_2_MILLS,
        {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "30"}},
    ]
    factories.offering(charges=charges)
    book = factories.clocked_customer()
    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon="HALF"
    )
    meter(5_000, START)

    advance(book, FEBRUARY)

    balances = {row.account: row.balance for row in trial_balance(livemode=False)}
    assert (balances["4020"], balances["4030"], balances["1100"]) == (5, 15, 20)


def test_settling_twice_changes_nothing() -> None:
    book = used_15_000("HYBRID")
    advance(book, FEBRUARY)
    before = factories.everything()
    made = (Settlement.objects.count(), Invoice.objects.count(), Subscription.objects.get().cycle)

    again = cycle_settlement.settle_book(book_id=book.pk, until=FEBRUARY, issued_at=FEBRUARY)

    assert again == 0
    assert factories.everything() == before
    after = (Settlement.objects.count(), Invoice.objects.count(), Subscription.objects.get().cycle)
    assert after == made


def test_a_sealed_cycle_that_was_left_behind_is_settled_by_the_next_run() -> None:
    book = used_15_000("HYBRID")
    TestClock.objects.update(now=FEBRUARY)
    cycle_sealing.seal(Subscription.objects.select_related("version__plan").get(), FEBRUARY)
    assert Settlement.objects.get().status == SettlementStatus.SEALED

    run = due_work.settle(livemode=False, as_of=None, customer_id="cust_1", clock=timezone.now)

    assert (run.due, run.settled, run.failed) == (1, 1, 0)
    assert Settlement.objects.get(book=book).totals["total"] == "6"


def test_overage_of_debits_goes_on_the_next_invoice_once() -> None:
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "10")
    factories.body(factories.debit("cust_1", "14"))

    advance(book, FEBRUARY)
    advance(book, MARCH)

    invoice = Invoice.objects.get(customer=book.pk)
    assert [(line.kind, line.amount) for line in invoice.lines.all()] == [("OVERAGE", 4)]
    assert invoice.amount_due == 4
    assert verification.verify().ok


def test_each_cycle_issues_its_credits_and_the_old_ones_lapse_after_they_paid() -> None:
    book = subscribed("HYBRID", grants=FREE_TOKENS)
    advance(book, START + timedelta(days=3))
    meter(4_000, START)

    advance(book, FEBRUARY)

    lots = CreditLot.objects.filter(book=book).order_by("granted_at")
    assert [(lot.remaining, lot.expires_at) for lot in lots] == [(0, FEBRUARY), (10_000, MARCH)]
    entries = Entry.objects.filter(book=book).order_by("sequence")
    assert list(entries.values_list("event", flat=True)) == [
        "GRANT",
        "SETTLEMENT",
        "EXPIRY",
        "GRANT",
        "INVOICE",
    ]
    assert Entry.objects.get(event="SETTLEMENT").accounting_date == date(2026, 1, 31)


def test_late_usage_is_billed_once_in_the_next_cycle() -> None:
    book = subscribed("HYBRID")
    advance(book, FEBRUARY + timedelta(days=1))

    meter(500, START + timedelta(days=30))

    event = UsageEvent.objects.get()
    assert event.is_late
    assert event.counted_at == FEBRUARY
    advance(book, MARCH)
    assert [s.totals["total"] for s in Settlement.objects.order_by("cycle")] == ["0", "1"]


def test_anniversaries_come_from_the_anchor() -> None:
    factories.offering()
    book = factories.clocked_customer(now=datetime(2026, 1, 31, tzinfo=START.tzinfo))
    factories.subscription("cust_1")

    advance(book, datetime(2026, 5, 31, tzinfo=START.tzinfo))

    ends = list(Settlement.objects.order_by("cycle").values_list("ends_at", flat=True))
    assert [(end.month, end.day) for end in ends] == [(2, 28), (3, 31), (4, 30), (5, 31)]


def test_an_anchor_day_makes_a_shorter_first_cycle_that_includes_less() -> None:
    """17 of 31 days of January: 310 included x 17/31 = 170; 200 used leave 30 x 0.01."""
    charges = [
        {"code": "calls", "model": "PER_UNIT", "metric": "tokens",
         "terms": {"unit_price": "0.01", "included_quantity": "310"}},
    ]  # fmt: skip
    factories.offering(charges=charges)
    book = factories.clocked_customer(now=START + timedelta(days=14))
    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", anchor_day=1
    )
    meter(200, START + timedelta(days=14))

    advance(book, FEBRUARY)

    assert Settlement.objects.get().totals["total"] == "0.3"


def test_a_trial_costs_nothing_and_is_followed_by_full_cycles() -> None:
    book = subscribed("HYBRID", trial_days=14)
    assert Subscription.objects.get().status == SubscriptionStatus.TRIALING
    meter(1_000, START)

    advance(book, START + timedelta(days=14))

    assert Settlement.objects.get().totals["total"] == "0"
    current = Subscription.objects.get()
    assert current.status == SubscriptionStatus.ACTIVE
    assert current.current_ends_at == datetime(2026, 2, 15, tzinfo=START.tzinfo)


def test_tax_is_owed_on_what_paid_credits_and_the_invoice_pay() -> None:
    """100.00 net, 21 %: promo 20 lowers the base to 80, tax 16.80, total 116.80; cash pays 50."""
    create_tax_rate(livemode=False, name="IVA", country="ES", percent=Decimal(21), now=START)
    book = subscribed("HYBRID")
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.grant("cust_1", "20", "PROMO")
    factories.top_up("cust_1", "50")
    meter(50_000, START)

    advance(book, FEBRUARY)

    totals = Settlement.objects.get().totals
    assert (totals["subtotal"], totals["tax"], totals["total"]) == ("100", "16.8", "116.8")
    assert totals["from_wallet"] == {"PROMO": "20", "BONUS": "0", "CASH": "50"}
    assert totals["to_invoice"] == "46.8"
    balances = {row.account: row.balance for row in trial_balance(livemode=False)}
    assert balances["2300"] == Decimal("16.8")
    assert balances["4000"] + balances["4020"] == 80
    assert balances["1100"] == Decimal("46.8")
    assert verification.verify().ok


@pytest.mark.parametrize(("tax_id", "tax"), [("ESB12345678", "0"), ("", "0.42")])
def test_reverse_charge_leaves_the_tax_to_customers_with_a_tax_id(tax_id: str, tax: str) -> None:
    create_tax_rate(
        livemode=False,
        name="IVA",
        country="ES",
        percent=Decimal(21),
        now=START,
        reverse_charge=True,
    )
    book = subscribed("HYBRID")
    book.customer.country, book.customer.tax_id = "ES", tax_id
    book.customer.save(update_fields=["country", "tax_id"])
    meter(1_000, START)

    advance(book, FEBRUARY)

    assert Settlement.objects.get().totals["tax"] == tax


def test_two_subscriptions_may_not_charge_the_same_metric() -> None:
    subscribed("HYBRID")
    factories.offering("second")
    before = factories.everything()

    with pytest.raises(subscribing.MetricAlreadySubscribed):
        factories.subscription("cust_1", "second")

    assert factories.everything() == before
    assert Subscription.objects.count() == 1


def test_subscribing_sets_the_rules_of_the_wallets() -> None:
    book = subscribed("POSTPAID", grants=FREE_TOKENS, spec={"burn_order": ["BONUS", "PROMO"]})

    wallet = Wallet.objects.get(book=book)
    assert (wallet.billing_mode, wallet.burn_order) == ("POSTPAID", ["BONUS", "PROMO"])
    assert [w.metric.code for w in book.unit_wallets.all()] == ["tokens"]
    assert Posting.objects.count() == 0
    assert CreditLot.objects.get(book=book).face == 10_000


def test_a_failing_customer_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.offering()
    for key in ("cust_1", "cust_2", "cust_3"):
        factories.customer(key)
        subscribing.subscribe(
            livemode=False,
            customer_id=key,
            offering="tokens_monthly",
            starts_at=timezone.now() - timedelta(days=32),
        )
    read = aggregates.read_usage

    def fail_for_second(*, settlement: Settlement) -> Any:
        if settlement.book.key == "cust_2":
            raise InvariantBroken("planted")
        return read(settlement=settlement)

    monkeypatch.setattr(aggregates, "read_usage", fail_for_second)
    run = due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)

    assert (run.due, run.settled, run.failed) == (3, 2, 1)
    assert run.failures == [{"customer_id": "cust_2", "step": "settlement", "reason": "planted"}]
    monkeypatch.undo()
    again = due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)
    assert (again.settled, again.failed) == (1, 0)


def test_numbers_have_no_gap() -> None:
    factories.offering()
    for n in range(3):
        factories.clocked_customer(f"cust_{n}")
        factories.subscription(f"cust_{n}")
        meter(1_000, START, key=f"cust_{n}")
        advance(Book.objects.get(key=f"cust_{n}"), FEBRUARY)

    numbers = list(Invoice.objects.order_by("number").values_list("number", flat=True))

    assert numbers == ["TEST-000001", "TEST-000002", "TEST-000003"]
    first = Invoice.objects.get(number="TEST-000001")
    assert invoices.finalize_drafts(book_id=first.customer_id, now=MARCH) == 0
