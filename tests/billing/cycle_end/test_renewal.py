"""Renewal on demand: at the instant a cycle ends, and after it without any sweep, every request
finds the next cycle's credits and rules.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing.cycle_end import cycle_settlement, renewal
from billing.finance import verification
from billing.jobs import due_work
from billing.lifecycle import changes, subscribing
from billing.models import Invoice, Settlement, Subscription, UsageEvent
from billing.usage import ingest
from ledger.models import Book
from pricing.offerings import coupons
from tests import factories
from tests.billing.settlement.test_usage_burn import at_work
from tests.factories import FEBRUARY, MARCH, START, advance
from wallets.debits import engine
from wallets.lots import provisioning
from wallets.models import CreditLot, TopUp, Wallet
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db

D = Decimal
HOUR = timedelta(hours=1)
MODES = ("PREPAID", "HYBRID", "POSTPAID")
MONTHLY_100: dict[str, Any] = {
    "code": "monthly", "kind": "PROMO", "amount": D(100), "recurrence": "EVERY_CYCLE",
    "expires_at_cycle_end": True,
}  # fmt: skip
FEE_30: dict[str, Any] = {
    "code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "30"}, "timing": "ADVANCE",
}  # fmt: skip


def subscribed(mode: str = "HYBRID", grace: int = 0, key: str = "cust_1", **plan: Any) -> Book:
    if not Subscription.objects.exists():
        grants = plan.pop("grants", [MONTHLY_100])
        factories.offering(billing_mode=mode, grants=grants, spec={"grace_hours": grace}, **plan)
    book = factories.clocked_customer(key)
    factories.subscription(key)
    return book


def meter(
    quantity: object, at: datetime, name: str = "", key: str = "cust_1", times: int = 1
) -> None:
    """Send events; they are received at the customer's now."""
    for start in range(0, times, 1_000):
        events = [
            factories.event(key, quantity, f"{name or at.isoformat()} {number}", at)
            for number in range(start, min(start + 1_000, times))
        ]
        done = ingest.ingest(livemode=False, events=events, received_at=at)
        assert done.accepted == len(events), done.errors


def lots(book: Book) -> list[tuple[str, Decimal, Decimal, datetime, datetime | None]]:
    found = CreditLot.objects.filter(book=book).order_by("effective_at", "cause", "id")
    return [
        (lot.cause.rpartition(":")[2], lot.remaining, lot.held, lot.effective_at, lot.expires_at)
        for lot in found
    ]


def balances(book: Book) -> dict[str, D]:
    found: dict[str, D] = {}
    for line in book.entries.values_list("postings__debit", "postings__credit", "postings__amount"):
        debited, credited, amount = line
        if amount is not None:
            found[debited] = found.get(debited, D(0)) + amount
            found[credited] = found.get(credited, D(0)) - amount
    return {account: total for account, total in found.items() if total != 0}


def documents(book: Book) -> list[tuple[D, list[tuple[str, D]]]]:
    found = Invoice.objects.filter(customer=book.pk).prefetch_related("lines")
    return sorted(
        (each.amount_due, sorted((line.kind, line.amount) for line in each.lines.all()))
        for each in found
    )


def ask(api: APIClient, what: str, key: str = "cust_1") -> Any:
    """Spend 60.00 in one of the ways in which credits are spent."""
    base = {"customer_id": key, "idempotency_key": f"ask-{what}"}
    money = base | {"amount": "60", "currency": "USD"}
    usage = base | {"metric": "tokens", "quantity": 30_000}
    match what:
        case "debit":
            return api.post("/v1/wallets/debit", money)
        case "list":
            return api.post("/v1/wallets/debits/batch", {"debits": [money]})
        case "reservation":
            return api.post("/v1/wallets/reservations", money)
        case "usage debit":
            return api.post("/v1/usage/debit", usage)
        case "usage reservation":
            return api.post("/v1/usage/reserve", usage)
    raise AssertionError(what)


WAYS = ("debit", "list", "reservation", "usage debit", "usage reservation")


@pytest.mark.parametrize("late", [timedelta(0), HOUR], ids=["at the instant", "an hour later"])
@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_spend_finds_the_next_cycles_credits(
    api: APIClient, mode: str, grace: int, late: timedelta
) -> None:
    """Nobody sweeps. Of the old 100.00, 90.00 are left, and gone; of the new, 60.00 are asked."""
    for number, what in enumerate(WAYS):
        key = f"cust_{number}"
        book = subscribed(mode, grace, key)
        factories.debit(key, "10")
        at_work(book, FEBRUARY + late)

        answer = ask(api, what, key)

        assert answer.status_code in {200, 201}, answer.content
        body = answer.json()
        body = body["results"][0] if what == "list" else body
        paid = sum(D(part["amount"]) for part in body["allocations"])
        assert (paid, body["balance"]["available"]) == (60, "40"), what
        assert D(body.get("overage", body.get("overage_expected", "0"))) == 0
        current = Subscription.objects.get(customer=book.pk)
        assert (current.cycle, current.current_ends_at) == (1, MARCH)
        assert CreditLot.objects.filter(book=book).count() == 2
    due_work.settle(
        livemode=False, as_of=None, customer_id=None, clock=lambda: FEBRUARY + 30 * HOUR
    )
    assert Settlement.objects.filter(status="SETTLED").count() == (5 if grace == 0 else 0)
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("mode", MODES)
def test_a_capture_beyond_its_hold_takes_from_the_next_cycle(
    api: APIClient, mode: str, grace: int
) -> None:
    book = subscribed(mode, grace)
    held = factories.body(
        engine.execute(
            [engine.ReserveRequest("cust_1", "r", amount=D(80), expires_in=40 * 86_400)],
            livemode=False,
        )[0]
    )["id"]
    at_work(book, FEBRUARY)

    answer = api.post(
        f"/v1/wallets/reservations/{held}/capture",
        {"idempotency_key": "c", "amount": "120", "allow_more": True},
    )

    assert answer.status_code == 200, answer.content
    assert [D(part["amount"]) for part in answer.json()["allocations"]] == [80, 40]
    assert answer.json()["overage"] == "0"
    assert answer.json()["balance"]["available"] == "60"
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
def test_a_wallet_is_read_as_renewed(api: APIClient, grace: int) -> None:
    book = subscribed("PREPAID", grace)
    at_work(book, FEBRUARY)

    shown = api.get("/v1/wallets/cust_1").json()

    assert shown["wallets"][0]["available"] == "100"
    assert [lot["expires_at"] for lot in shown["lots"]] == ["2026-03-01T00:00:00Z"]


@pytest.mark.parametrize("grace", [0, 24])
def test_a_refill_sees_the_next_cycles_credits_before_it_charges(grace: int) -> None:
    book = subscribed("PREPAID", grace)
    refill.set_auto_refill(
        livemode=False, customer_id="cust_1", currency="USD", threshold=D(20), amount=D(50),
        enabled=True,
    )  # fmt: skip
    at_work(book, FEBRUARY)

    assert refill.refill_if_low([book.pk]) == 0

    assert not TopUp.objects.exists()
    assert factories.available(book) >= 100


@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("is_covered", [True, False])
def test_a_fee_in_advance_that_is_not_covered_gives_no_credits(
    api: APIClient, grace: int, *, is_covered: bool
) -> None:
    """30.00 ahead, twice, and 15,000 tokens metered, of which the plan gives 10,000: 10.00. So a
    top-up of 70.00 is just enough, and one of 60.00 is not.
    """
    units = {"code": "units", "kind": "PROMO", "metric": "tokens", "quantity": D(10_000),
             "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}  # fmt: skip
    factories.offering(
        billing_mode="PREPAID",
        grants=[units],
        charges=[FEE_30, *factories.TOKENS_AT_2_MILLS],
        spec={"grace_hours": grace},
    )
    book = factories.clocked_customer()
    factories.top_up("cust_1", "70" if is_covered else "60")
    factories.subscription("cust_1")
    meter(15_000, START)
    at_work(book, FEBRUARY)
    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": 4_000}

    answer = api.post("/v1/usage/debit", body | {"idempotency_key": "u"})

    current = Subscription.objects.get()
    if is_covered:
        assert answer.json()["unit_balance"]["available"] == "6000", answer.content
        assert answer.json()["balance"]["available"] == "0"
        assert (current.status, current.is_fee_due) == ("ACTIVE", False)
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "suspended")
        assert (current.status, current.is_fee_due, current.cycle) == ("SUSPENDED", True, 1)
        assert CreditLot.objects.filter(source="PLAN").count() == 1
        factories.top_up("cust_1", "10")
        assert Subscription.objects.get().status == "ACTIVE"
        assert CreditLot.objects.filter(source="PLAN").count() == 2
    advance(book, FEBRUARY + 25 * HOUR)
    # A settlement on the spot bills what is ahead with what is behind.
    assert Settlement.objects.get(kind="CYCLE").totals["total"] == (
        "40" if is_covered and grace == 0 else "10"
    )
    assert factories.available(book) == 0
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
def test_a_customer_renewed_by_requests_ends_as_one_renewed_by_the_sweep(
    api: APIClient, grace: int
) -> None:
    """Usage on time and in grace, rollover of half, a fee in advance: 3 cycles, two customers."""
    plan = {
        "grants": [MONTHLY_100 | {"rollover": {"mode": "PERCENT", "percent": "50"}}],
        "charges": [FEE_30, *factories.TOKENS_AT_2_MILLS],
    }
    swept = subscribed("HYBRID", grace, "swept", **plan)
    asked = subscribed("HYBRID", grace, "asked")
    in_grace = FEBRUARY + (12 * HOUR if grace else HOUR)
    moments = (START + 48 * HOUR, in_grace, MARCH + HOUR, MARCH + 48 * HOUR)
    for moment in moments:
        advance(swept, moment)
        at_work(asked, moment)
        for key in ("swept", "asked"):
            used = START + 24 * HOUR if moment == in_grace and grace else moment
            meter(2_000, used, f"{moment} {used}", key)
            assert ask_for(api, "3", key, f"{moment}").status_code == 200
    renewal.renew_book(asked.pk)
    end = datetime(2026, 4, 3, tzinfo=START.tzinfo)
    advance(swept, end)
    advance(asked, end)

    assert lots(asked) == lots(swept)
    assert balances(asked) == balances(swept)
    assert documents(asked) == documents(swept)
    totals = [
        list(
            Settlement.objects.filter(book=book)
            .order_by("cycle", "kind")
            .values_list("cycle", "kind", "status", "totals__total")
        )
        for book in (swept, asked)
    ]
    assert totals[0] == totals[1]
    assert verification.verify().ok


def ask_for(api: APIClient, amount: str, key: str, name: str) -> Any:
    body = {"customer_id": key, "amount": amount, "currency": "USD", "idempotency_key": name}
    return api.post("/v1/wallets/debit", body)


def test_what_is_used_in_grace_is_paid_by_the_lots_that_lived_through_the_cycle(
    api: APIClient,
) -> None:
    """100.00 of January pay its 10.00 of late usage, not the 100.00 of February."""
    book = subscribed("HYBRID", 24)
    at_work(book, FEBRUARY + HOUR)
    assert ask(api, "debit").status_code == 200
    meter(5_000, START)
    shown = api.get("/v1/wallets/cust_1").json()
    assert (shown["wallets"][0]["available"], shown["wallets"][0]["pending"]) == ("40", "10")

    advance(book, FEBRUARY + 24 * HOUR)

    assert Settlement.objects.get().totals["total"] == "10"
    assert [(name, left) for name, left, *_ in lots(book)] == [("0", 0), ("1", 40)]
    assert UsageEvent.objects.get().counted_at == START
    assert Invoice.objects.get().amount_due == 0
    assert verification.verify().ok


def test_credits_roll_by_what_received_usage_leaves(api: APIClient) -> None:
    """100.00, 20.00 used: 80.00 are left, at most 50.00 roll; 6.00 in grace come out of those."""
    rule = {"mode": "CAPPED", "maximum": "50"}
    book = subscribed("HYBRID", 24, grants=[MONTHLY_100 | {"rollover": rule}])
    meter(10_000, START)
    at_work(book, FEBRUARY)

    shown = api.get("/v1/wallets/cust_1").json()["wallets"][0]
    assert (shown["available"], shown["pending"]) == ("150", "0")
    meter(3_000, START, "in grace")
    advance(book, FEBRUARY + 24 * HOUR)

    assert [(name, left) for name, left, *_ in lots(book)] == [("0", 44), ("1", 100)]
    assert Settlement.objects.get().totals["total"] == "26"
    assert verification.verify().ok


def test_included_quantity_rolls_before_its_cycle_is_settled(api: APIClient) -> None:
    """100 included, 30 used: 70 roll. 170 in real time cost nothing, one more costs 1.00."""
    quota = {"included_quantity": "100", "unit_price": "1", "rollover": {"mode": "ALL"}}
    charges = [{"code": "calls", "model": "INCLUDED_QUOTA", "metric": "tokens", "terms": quota}]
    book = subscribed("HYBRID", 24, charges=charges)
    meter(30, START)
    at_work(book, FEBRUARY)

    body = {"customer_id": "cust_1", "metric": "tokens"}
    free = api.post("/v1/usage/debit", body | {"quantity": 170, "idempotency_key": "a"})
    paid = api.post("/v1/usage/debit", body | {"quantity": 1, "idempotency_key": "b"})

    assert (free.json()["amount"], paid.json()["amount"]) == ("0", "1")
    advance(book, MARCH + 24 * HOUR)
    assert [s.totals["total"] for s in Settlement.objects.order_by("cycle")] == ["0", "1"]


def test_much_usage_waits_for_the_sweep(api: APIClient) -> None:
    """1,001 events are more than a request reads: the next cycle begins, the old one waits."""
    book = subscribed("HYBRID")
    meter(10, START, times=1_001)
    at_work(book, FEBRUARY)

    assert ask(api, "debit").json()["balance"]["available"] == "40"
    assert Settlement.objects.get().status == "SEALED"
    meter(10, START, "late")

    done = due_work.settle(livemode=False, as_of=None, customer_id="cust_1", clock=lambda: FEBRUARY)

    assert (done.due, done.settled) == (1, 1)
    # 10,010 x .002, from January's credits; what came after the end is February's to bill.
    assert Settlement.objects.get().totals["total"] == "20.02"
    assert [left for _, left, *_ in lots(book)] == [0, 40]
    assert verification.verify().ok


def test_few_events_are_settled_on_the_spot(api: APIClient) -> None:
    book = subscribed("HYBRID")
    meter(10, START, times=1_000)
    at_work(book, FEBRUARY)

    assert ask(api, "debit").status_code == 200

    assert Settlement.objects.get().totals["total"] == "20"


def test_the_overage_limit_counts_the_open_cycle_alone(api: APIClient) -> None:
    """A limit of 50.00: 45.00 of January wait to be billed, and February may run up 50.00 again."""
    book = subscribed("HYBRID", 24, overage_limit=D(50))
    assert ask_for(api, "145", "cust_1", "january").json()["overage"] == "45"
    at_work(book, FEBRUARY)

    assert ask_for(api, "149", "cust_1", "february").json()["overage"] == "49"

    refused = ask_for(api, "2", "cust_1", "too much")
    assert (refused.status_code, refused.json()["code"]) == (402, "overage_limit")
    advance(book, MARCH + 24 * HOUR)
    assert [s.totals["total"] for s in Settlement.objects.order_by("cycle")] == ["45", "49"]


def test_several_cycles_that_nobody_settled_are_renewed_in_their_order(api: APIClient) -> None:
    book = subscribed("HYBRID", 24)
    at_work(book, datetime(2026, 4, 1, 5, tzinfo=START.tzinfo))

    assert ask(api, "debit").json()["balance"]["available"] == "40"

    assert list(Settlement.objects.order_by("cycle").values_list("cycle", "status")) == [
        (0, "SETTLED"), (1, "SETTLED"), (2, "SEALED"),
    ]  # fmt: skip
    assert CreditLot.objects.filter(book=book).count() == 4


@pytest.mark.parametrize("grace", [0, 24])
def test_a_subscription_that_ends_with_its_cycle_is_over_then(api: APIClient, grace: int) -> None:
    """No credits, no overage: the customer is as without it, though late usage is still billed."""
    book = subscribed("HYBRID", grace)
    subscription = Subscription.objects.get()
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="PERIOD_END")
    at_work(book, FEBRUARY)

    refused = ask(api, "debit")

    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_funds")
    subscription.refresh_from_db()
    assert (subscription.status, subscription.cancelled_at) == ("CANCELLED", FEBRUARY)
    if grace:
        meter(5_000, START)
        advance(book, FEBRUARY + 24 * HOUR)
        assert Settlement.objects.get().totals["total"] == "10"
        assert Subscription.objects.get().status == "CANCELLED"
    assert [left for _, left, *_ in lots(book)] == [0]
    assert verification.verify().ok


def test_a_pause_during_grace_settles_what_waits_first(api: APIClient) -> None:
    book = subscribed("HYBRID", 24)
    meter(5_000, START)
    at_work(book, FEBRUARY + HOUR)
    path = f"/v1/subscriptions/{Subscription.objects.get().pk}/pause"

    paused = api.post(path)

    assert paused.json()["status"] == "PAUSED", paused.content
    assert list(Settlement.objects.order_by("cycle").values_list("cycle", "status")) == [
        (0, "SETTLED"), (1, "SETTLED"),
    ]  # fmt: skip
    assert verification.verify().ok


def test_a_renewal_that_fails_leaves_the_request_what_there_is(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "70")
    at_work(book, FEBRUARY)

    def failing(**terms: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(cycle_settlement, "settle_cycle", failing)
    answer = ask(api, "debit")

    assert [part["kind"] for part in answer.json()["allocations"]] == ["CASH"]
    usage = ask(api, "usage debit")
    assert (usage.status_code, usage.json()["code"]) == (409, "cycle_settling")


def test_a_repeat_is_replayed_without_renewal(api: APIClient) -> None:
    book = subscribed("HYBRID")
    first = ask(api, "debit")
    at_work(book, FEBRUARY)

    assert ask(api, "debit").content == first.content

    assert Subscription.objects.get().cycle == 0


def _moments(book: Book) -> set[datetime | None]:
    return {
        *Wallet.objects.filter(book=book).values_list("renews_at", flat=True),
        *book.unit_wallets.values_list("renews_at", flat=True),
    }


@pytest.mark.parametrize("change", ["pause", "cancel", "advance"])
def test_wallets_say_when_the_customer_renews(change: str) -> None:
    book = subscribed("HYBRID")
    subscription = Subscription.objects.get()
    assert _moments(book) == {FEBRUARY}
    match change:
        case "pause":
            changes.pause(livemode=False, subscription_id=subscription.pk)
        case "cancel":
            changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")
        case "advance":
            advance(book, FEBRUARY)
    provisioning.money_wallet(book=book, currency="EUR")

    expected: set[datetime | None] = {MARCH if change == "advance" else None}
    assert _moments(book) == expected


def test_a_debit_that_needs_no_renewal_costs_no_statement_more() -> None:
    """A debit with a subscription takes as many statements as one without."""
    factories.customer("cust_0")
    factories.top_up("cust_0", "100")
    subscribed("HYBRID")
    counts = []
    for key in ("cust_0", "cust_1"):
        with CaptureQueriesContext(connection) as captured:
            factories.body(factories.debit(key, "1"))
        counts.append(len(captured))

    assert counts[0] == counts[1]


@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("change", ["pause", "cancel"])
def test_a_change_after_the_end_is_of_the_next_cycle(
    api: APIClient, change: str, grace: int
) -> None:
    """An hour into February nobody has settled January; the change settles both, in order, or when
    it cancels, after the grace of each.
    """
    book = subscribed("HYBRID", grace)
    meter(5_000, START)
    at_work(book, FEBRUARY + HOUR)
    path = f"/v1/subscriptions/{Subscription.objects.get().pk}/{change}"

    changed = api.post(path, {"at": "NOW"} if change == "cancel" else {})

    assert changed.status_code == 200, changed.content
    if grace and change == "cancel":
        advance(book, FEBRUARY + 25 * HOUR)
    done = Settlement.objects.order_by("cycle").values_list("cycle", "status", "starts_at")
    assert list(done) == [(0, "SETTLED", START), (1, "SETTLED", FEBRUARY)]
    assert Settlement.objects.get(cycle=0).totals["total"] == "10"
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
def test_a_trial_is_followed_by_the_first_paid_cycle_at_its_very_end(
    api: APIClient, grace: int
) -> None:
    book = subscribed("HYBRID", grace, trial_days=14)
    at_work(book, START + timedelta(days=14))

    assert ask(api, "debit").json()["balance"]["available"] == "40"

    current = Subscription.objects.get()
    assert (current.status, current.cycle) == ("ACTIVE", 1)


@pytest.mark.parametrize("grace", [0, 24])
def test_a_fixed_coupon_is_taken_once_a_period_on_however_many_documents(grace: int) -> None:
    """30.00 ahead and 10.00 of usage, 10.00 off: 20.00 at the start, 30.00 when January is over."""
    coupons.create_coupon(
        livemode=False, code="TEN", type="FIXED", value=D(10), currency="USD", duration="FOREVER"
    )
    factories.offering(charges=[FEE_30, *factories.TOKENS_AT_2_MILLS], spec={"grace_hours": grace})
    book = factories.clocked_customer()
    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon="TEN"
    )
    meter(5_000, START)

    advance(book, FEBRUARY + 24 * HOUR)

    due_amounts = sorted(invoice.amount_due for invoice in Invoice.objects.all())
    assert due_amounts == ([10, 20, 20] if grace else [20, 30])
