"""A plan changes now: both parts of the period are prorated by time, and the books tie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.finance.closing import tie_outs
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import (
    AdvanceFee,
    Invoice,
    LateCredit,
    PlanChange,
    Settlement,
    Subscription,
    SubscriptionMove,
)
from ledger.models import Book, Posting
from tests import factories
from tests.factories import advance, meter
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

# April has thirty days, of which ten are a third.
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
CHANGE = datetime(2026, 4, 21, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def plan(
    fee: str, price: str, units: str = "", timing: str = "ADVANCE", **terms: Any
) -> dict[str, Any]:
    gift = {"code": "units", "kind": "PROMO", "metric": "tokens", "quantity": units,
            "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}  # fmt: skip
    return {
        "charges": [
            {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": fee}, "timing": timing},
            {"code": "tokens", "model": "PER_UNIT", "metric": "tokens",
             "terms": {"unit_price": price}},
        ],
        "grants": [gift] if units else [],
        **terms,
    }  # fmt: skip


BASIC, PRO = plan("90", "0.002", "10000"), plan("120", "0.001", "20000")


def sold(mode: str, basic: Any = BASIC, pro: Any = PRO, *, money: str = "", **terms: Any) -> Book:
    factories.offering("pro", billing_mode=mode, **pro)
    factories.offering("basic", billing_mode=mode, **basic)
    book = factories.clocked_customer("cust_1", APRIL, **terms)
    if money:
        factories.top_up("cust_1", money)
    factories.subscription("cust_1", "basic")
    advance(book, CHANGE)
    return book


def ask(api: APIClient, what: str = "migrate", status: int = 200, **body: Any) -> dict[str, Any]:
    found = Subscription.objects.get()
    response = api.post(f"/v1/subscriptions/{found.pk}/{what}", body)
    assert response.status_code == status, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def state() -> tuple[Any, ...]:
    return (
        factories.everything(),
        list(Subscription.objects.values()),
        list(AdvanceFee.objects.order_by("pk").values()),
        Settlement.objects.count(),
        Invoice.objects.count(),
        SubscriptionMove.objects.count(),
        LateCredit.objects.count(),
    )


def fees() -> list[tuple[Decimal, Decimal]]:
    rows = AdvanceFee.objects.order_by("starts_at", "cycle")
    return [(row.amount, row.recognised) for row in rows]


def units() -> list[Decimal]:
    lots = CreditLot.objects.filter(source="PLAN", unit_wallet__isnull=False)
    return [lot.face for lot in lots.order_by("granted_at", "grant_part")]


def ties(until: datetime) -> None:
    """Check the books, and every account against its rows as of a month's last day."""
    assert verification.verify().ok
    found = tie_outs.of_day(livemode=False, until=(until - DAY).date())
    assert [each for each in found if not each.holds] == []


def test_the_new_fee_is_billed_less_what_is_unserved_of_the_old_one(api: APIClient) -> None:
    """90 to 120 on day 21 of 30: 60 of the old fee are earned, 40 are billed less 30: 10. A third
    of 10,000 units more is 3,333.
    """
    book = sold("HYBRID")
    meter(12_000, APRIL + DAY)

    answer = ask(api, offering="pro", at="NOW", reason="Grows")

    assert (answer["offering"], answer["status"]) == ("pro", "ACTIVE")
    assert answer["current_period"] == {"starts_at": "2026-04-21T00:00:00Z",
                                        "ends_at": "2026-05-01T00:00:00Z"}  # fmt: skip
    # 2,000 beyond the units at .002, on the old plan; no fee of May yet.
    totals = Settlement.objects.order_by("sealed_at", "cycle", "kind")
    found = [(each.kind, Decimal(each.totals["total"])) for each in totals]
    assert found == [("OPENING", 90), ("CYCLE", 4), ("OPENING", 10)]
    assert sorted(Invoice.objects.values_list("total", flat=True)) == [4, 10, 90]
    assert fees() == [(60, 60), (40, 0)]
    assert units() == [10_000, 3_333]
    credit = LateCredit.objects.get()
    assert (credit.amount, credit.open) == (30, 0)
    posted = Posting.objects.filter(debit="2120", credit="2200")
    assert [each.amount for each in posted] == [30]
    change = PlanChange.objects.get()
    assert (change.cycle, change.within_period) == (1, 0)
    moved = SubscriptionMove.objects.get(kind="PLAN_CHANGED")
    assert (moved.reason, moved.actor_kind, moved.occurred_at) == ("Grows", "API_KEY", CHANGE)

    # 5,333 units: 3,333 are there, 2,000 at .001 on the new plan; and the fee of May.
    advance(book, CHANGE + DAY)
    meter(5_333, CHANGE + DAY, "new")
    advance(book, MAY)

    last = Settlement.objects.get(cycle=1, kind="CYCLE")
    assert Decimal(last.totals["total"]) == 122
    assert fees() == [(60, 60), (40, 40), (120, 0)]
    assert units() == [10_000, 3_333, 20_000]
    ties(MAY)
    advance(book, JUNE)
    ties(JUNE)


def test_prepaid_credits_get_back_what_they_paid_and_pay_the_new_fee(api: APIClient) -> None:
    """Of 200 the fee of 90 leaves 110; 30 come back, 40 are paid: 100."""
    book = sold("PREPAID", money="200")

    ask(api, offering="pro", at="NOW")

    assert factories.available(book) == 100
    assert fees() == [(60, 60), (40, 0)]
    assert units() == [10_000, 3_333]
    assert Posting.objects.filter(debit="2120", credit="2100").get().amount == 30
    assert Invoice.objects.count() == 0
    advance(book, MAY)
    # The fee of May is not covered by 100.
    assert Subscription.objects.get().status == "SUSPENDED"
    factories.top_up("cust_1", "20", name="more")
    assert Subscription.objects.get().status == "ACTIVE"
    ties(MAY)


@pytest.mark.parametrize(("fee", "tokens"), [("300", 0), ("91", 60_000)])
def test_prepaid_credits_that_do_not_cover_it_change_nothing(
    api: APIClient, fee: str, tokens: int
) -> None:
    """5 and the 30 that come back are less than 100; or usage of 100 is more than 5."""
    sold("PREPAID", pro=plan(fee, "0.001"), money="95")
    if tokens:
        meter(tokens, CHANGE - DAY)
    before = state()

    problem = ask(api, status=402, offering="pro", at="NOW")

    assert problem["code"] == "insufficient_funds"
    assert problem["shortfall"] == ("65" if fee == "300" else "95")
    assert state() == before
    assert ask(api, offering="pro", preview=True)["due_now"]["refused"]["code"] == (
        "insufficient_funds"
    )


PLANS: list[tuple[str, Any, Any]] = [
    ("HYBRID", BASIC, PRO),
    ("PREPAID", BASIC, PRO),
    ("POSTPAID", BASIC, plan("30", "0.004", "5000")),
    ("HYBRID", plan("30", "0.002", timing="ARREARS"), PRO),
    ("POSTPAID", BASIC, plan("60", "0.001", timing="ARREARS")),
    ("PREPAID", plan("30", "0.002", timing="ARREARS"), plan("60", "0.001", timing="ARREARS")),
    ("HYBRID", BASIC, plan("120", "0.001", spec={"minimum_spend": Decimal(300)})),
]


@pytest.mark.parametrize(("mode", "basic", "pro"), PLANS)
@pytest.mark.parametrize("money", ["150", "1000"])
def test_the_preview_is_what_the_change_writes(
    api: APIClient, mode: str, basic: Any, pro: Any, money: str
) -> None:
    create_tax_rate(livemode=False, name="USt", country="DE", percent=Decimal(19), now=APRIL)
    book = sold(mode, basic, pro, money=money, country="DE")
    meter(11_000, CHANGE - DAY)
    before = state()
    said = ask(api, offering="pro", preview=True)
    assert state() == before

    ask(api, offering="pro", at="NOW")

    closing = Settlement.objects.get(cycle=0, kind="CYCLE")
    assert said["due_now"]["refused"] is None
    assert said["due_now"]["closing"] == closing.totals == said["closing"]["totals"]
    opening = Settlement.objects.filter(cycle=1, kind="OPENING").first()
    assert said["due_now"]["opening"] == (None if opening is None else opening.totals)
    owed = sum((each.amount for each in LateCredit.objects.all()), Decimal(0))
    assert Decimal(said["due_now"]["given_back"]["owed"]) == owed
    assert [each["quantity"] for each in said["credits"]["added"]] == [
        f"{lot.face.normalize():f}" for lot in CreditLot.objects.filter(grant_part=1)
    ]
    # With nothing more used, the two documents of the rest owe what its preview says.
    advance(book, MAY)
    rest = Settlement.objects.get(cycle=1, kind="CYCLE")
    may = AdvanceFee.objects.filter(cycle=2).values_list("amount", flat=True)
    made = [rest] if opening is None else [rest, opening]
    parts = [Decimal(each.totals["subtotal"]) for each in made]
    used = sum((each.used for each in LateCredit.objects.all()), Decimal(0))
    assert sum(parts) - sum(may) + used == Decimal(said["opening"]["totals"]["subtotal"])
    ties(MAY)


def test_moving_back_and_forth_gains_nothing(api: APIClient) -> None:
    """Up at a third left: 3,333. Down and up again: nothing more; the fees of a day each."""
    book = sold("HYBRID")
    ask(api, offering="pro", at="NOW")
    advance(book, CHANGE + DAY)
    ask(api, offering="basic", at="NOW")
    advance(book, CHANGE + 2 * DAY)

    ask(api, offering="pro", at="NOW")

    assert units() == [10_000, 3_333]
    # 60 + 4 + 3 are served; 8 days of 120 are 32.
    assert fees() == [(60, 60), (4, 4), (3, 3), (32, 0)]
    assert verification.verify().ok
    advance(book, MAY)
    ties(MAY)


def test_at_one_instant_the_last_change_counts(api: APIClient) -> None:
    book = sold("HYBRID")
    ask(api, offering="pro", at="NOW")
    ask(api, offering="basic", at="NOW")

    ask(api, offering="pro", at="NOW")

    assert units() == [10_000, 3_333]
    assert fees()[0] == (60, 60)
    assert fees()[-1] == (40, 0)
    assert sum(amount for amount, _ in fees()) == 100
    invoiced = sum(Invoice.objects.values_list("total", flat=True))
    left = sum(each.open for each in LateCredit.objects.all())
    assert invoiced - left == 100
    advance(book, MAY)
    ties(MAY)


def test_the_part_of_a_fee_that_bought_credits_is_given_back_from_the_new_one(
    api: APIClient,
) -> None:
    """90 for 90 of cash, which stays; at a third left 30 come back, and 40 of 120 buy 10 more."""
    cash = {"code": "cash", "kind": "CASH", "recurrence": "EVERY_CYCLE"}
    basic = plan("90", "0.002", grants=[{**cash, "amount": "90"}])
    sold("POSTPAID", basic, plan("120", "0.001", grants=[{**cash, "amount": "120"}]))
    assert fees() == [(0, 0)]

    ask(api, offering="pro", at="NOW")

    lots = CreditLot.objects.filter(source="PLAN").order_by("grant_part")
    assert [(lot.face, lot.carrying) for lot in lots] == [(90, 90), (10, 10)]
    # Of the 40, 10 are in credits and 30 were given back: nothing is left to earn by day.
    assert fees() == [(0, 0), (0, 0)]
    assert sorted(Invoice.objects.values_list("total", flat=True)) == [10, 90]
    ties(MAY)


def test_usage_that_comes_late_is_priced_by_the_plan_of_its_time(api: APIClient) -> None:
    """1,000 of 10 April that come late, at .002 of the old plan: 2; at .001 of the new one: 1."""
    book = sold("HYBRID", plan("90", "0.002"), plan("120", "0.001"))
    ask(api, offering="pro", at="NOW")

    advance(book, CHANGE + DAY)
    meter(1_000, APRIL + 9 * DAY, "late")
    meter(1_000, CHANGE + DAY, "in time")
    advance(book, MAY)

    rest = Settlement.objects.get(cycle=1, kind="CYCLE")
    assert Decimal(rest.totals["total"]) == 2 + 1 + 120
    assert verification.verify().ok


def test_a_trial_goes_on_on_the_other_plan(api: APIClient) -> None:
    basic, pro = {**BASIC, "trial_days": 30}, PRO
    book = sold("HYBRID", basic, pro)

    answer = ask(api, offering="pro", at="NOW")

    assert (answer["status"], answer["trial_ends_at"]) == ("TRIALING", "2026-05-01T00:00:00Z")
    assert units() == [10_000, 3_333]
    advance(book, MAY)
    assert Subscription.objects.get().status == "ACTIVE"
    assert [Decimal(each.totals["total"]) for each in Settlement.objects.order_by("cycle")] == [
        0, 120,
    ]  # fmt: skip
    assert verification.verify().ok


def test_it_replaces_a_change_with_the_renewal_and_the_key_does_it_once(api: APIClient) -> None:
    sold("HYBRID")
    ask(api, offering="pro", at="PERIOD_END")
    found = Subscription.objects.get()
    body = {"offering": "pro", "at": "NOW"}

    answers = [
        api.post(f"/v1/subscriptions/{found.pk}/migrate", body, HTTP_IDEMPOTENCY_KEY="k").json()
        for _ in range(2)
    ]

    assert answers[0] == answers[1]
    assert answers[0]["next_offering"] is None
    assert PlanChange.objects.count() == 1


@pytest.mark.parametrize(
    ("what", "asked"),
    [("pause", {}), ("cancel", {"at": "NOW"}), ("cancel", {"at": "PERIOD_END"})],
)
def test_what_is_paused_or_ends_does_not_change_now(
    api: APIClient, what: str, asked: dict[str, Any]
) -> None:
    sold("HYBRID")
    ask(api, what, **asked)
    before = state()

    ask(api, status=409, offering="pro", at="NOW")

    assert state() == before


def test_what_is_suspended_pays_first(api: APIClient) -> None:
    book = sold("PREPAID", money="90")
    advance(book, MAY)
    assert Subscription.objects.get().status == "SUSPENDED"
    before = state()

    ask(api, status=409, offering="pro", at="NOW")

    assert state() == before
