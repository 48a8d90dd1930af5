"""Refunds by hand: unused cash, newest top-up first, with the bonus taken back
(docs/decisions.md#d30).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from aforo import money
from aforo.errors import DomainError
from billing.finance import verification
from billing.models import Subscription
from billing.usage import ingest
from ledger.models import Book, Entry, LedgerEvent
from tests import factories
from tests.factories import FEBRUARY, START
from tests.wallets import actions
from wallets.debits import engine
from wallets.grants import grants
from wallets.models import CreditLot, TopUp
from wallets.top_ups import refunds, sales

ZERO = Decimal(0)

pytestmark = pytest.mark.django_db


def refund(amount: str, *, name: str = "", currency: str = "USD") -> Any:
    """Pay cash credits back and read the answer."""
    answer = refunds.refund(
        livemode=False,
        customer_id="cust_1",
        key=name or actions.fresh("refund"),
        amount=Decimal(amount),
        currency=currency,
        reason="test",
    )
    return factories.body(answer)


def refundable() -> str:
    """Return how much would be refundable, by asking for more than anybody has, and check that
    nothing changed.
    """
    before = factories.everything()
    with pytest.raises(DomainError) as caught:
        refund("1000000")
    assert (caught.value.status, caught.value.code) == (402, "insufficient_funds")
    assert factories.everything() == before
    return str(caught.value.extra["available"])


def bundle_with(bonus_burned: str) -> Book:
    """100 + 20 for 100.00, with so much of the bonus burned."""
    book = factories.clocked_customer()
    actions.bundle("100", "20")
    if bonus_burned != "0":
        factories.body(factories.debit("cust_1", bonus_burned, strategy="BONUS"))
    return book


def carried() -> list[tuple[str, Decimal, Decimal]]:
    """List kind, what remains and what it still carries in cents."""
    lots = CreditLot.objects.order_by("granted_at", "id")
    return [(lot.kind, lot.remaining, round(lot.carrying_remaining, 2)) for lot in lots]


@pytest.mark.parametrize(
    ("bonus_burned", "clawed_back", "paid", "left"),
    [
        ("0", "10", "50", [("CASH", 50, Decimal("41.67")), ("BONUS", 10, Decimal("8.33"))]),
        ("8", "10", "50", [("CASH", 50, Decimal("41.67")), ("BONUS", 2, Decimal("1.67"))]),
        ("15", "5", "45.83", [("CASH", 50, Decimal("41.67")), ("BONUS", 0, Decimal(0))]),
        ("20", "0", "41.67", [("CASH", 50, Decimal("41.67")), ("BONUS", 0, Decimal(0))]),
    ],
)
def test_the_bonus_is_taken_back_in_proportion_and_what_is_missing_cuts_the_pay_out(
    bonus_burned: str, clawed_back: str, paid: str, left: list[tuple[str, int, Decimal]]
) -> None:
    book = bundle_with(bonus_burned)

    answer = refund("50")

    assert (answer["clawed_back"], answer["refunded"]) == (clawed_back, paid)
    assert carried() == left
    posted = Entry.objects.get(book=book, event=LedgerEvent.REFUND).postings
    paid_out = sum(
        (p.amount if p.credit_id == "1010" else -p.amount)
        for p in posted.all()
        if "1010" in {p.credit_id, p.debit_id}
    )
    assert paid_out == Decimal(paid)
    assert verification.verify().ok


def test_two_in_a_row_pay_what_one_would() -> None:
    """8 of the bonus are burned: 100.00 less 8 x 0.8333 = 93.33 can come back."""
    bundle_with("8")

    first, second = refund("50"), refund("50")

    assert (first["refunded"], second["refunded"]) == ("50", "43.33")
    assert (first["clawed_back"], second["clawed_back"]) == ("10", "2")
    assert carried() == [("CASH", 0, 0), ("BONUS", 0, 0)]
    assert actions.accounts()["1010"] == Decimal("6.67")
    assert refundable() == "0"


def test_the_newest_top_up_first() -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "30")
    actions.set_clock(START + timedelta(days=1))
    factories.top_up("cust_1", "20")
    factories.debit("cust_1", "5")  # Of the oldest.

    answer = refund("32")

    assert [(lot["quantity"], lot["remaining"]) for lot in answer["lots"]] == [
        ("20", "0"), ("12", "13"),
    ]  # fmt: skip
    assert (answer["refunded"], answer["clawed_back"]) == ("32", "0")
    assert actions.lots(book) == [("CASH", 13, 0), ("CASH", 0, 0)]
    assert refundable() == "13"


def test_each_top_up_gives_its_own_bonus_back() -> None:
    factories.clocked_customer()
    actions.bundle("100", "50")
    actions.set_clock(START + timedelta(days=1))
    actions.bundle("10", "1")

    answer = refund("20")

    assert [(lot["kind"], lot["quantity"]) for lot in answer["lots"]] == [
        ("CASH", "10"), ("BONUS", "1"), ("CASH", "10"), ("BONUS", "5"),
    ]  # fmt: skip
    assert (answer["clawed_back"], answer["refunded"]) == ("6", "20")


def test_held_parts_stay_and_held_bonus_is_missing() -> None:
    """20 bonus and 30 cash are held: 70 cash can come back, and none of their 14 bonus."""
    bundle_with("0")
    actions.held("50")

    assert refundable() == "70"
    answer = refund("70")

    assert (answer["clawed_back"], answer["refunded"]) == ("0", "58.33")
    assert answer["balance"]["held"] == "50"
    assert verification.verify().ok


def buy_tokens(**terms: Any) -> None:
    """Buy 100 with 20,000 tokens; at .002 each they carry 28.57 of the 100.00, the cash 71.43."""
    sales.top_up(
        livemode=False,
        customer_id="cust_1",
        key=actions.fresh("tokens"),
        amount=Decimal(100),
        currency="USD",
        bonus=sales.Bonus(metric="tokens", quantity=Decimal(20_000), **terms),
    )


def use_tokens(quantity: int) -> None:
    use = engine.DebitRequest(
        customer_id="cust_1", key=actions.fresh("use"), metric="tokens", quantity=Decimal(quantity)
    )
    factories.body(actions.take(use))


@pytest.mark.parametrize(("used", "paid"), [(0, "100"), (10_000, "85.71"), (20_000, "71.43")])
def test_bonus_units_carry_their_share_which_is_not_refunded_once_they_are_used(
    used: int, paid: str
) -> None:
    factories.customer()
    factories.metric()
    buy_tokens(ssp_unit_price=Decimal("0.002"))
    if used:
        use_tokens(used)

    answer = refund("100")

    assert (answer["refunded"], answer["clawed_back"]) == (paid, "0")
    assert answer["balance"]["available"] == "0"
    assert actions.accounts().get("1010", 0) == 100 - Decimal(paid)
    assert verification.verify().ok


def test_three_times_over_nothing_is_won() -> None:
    """Buy, use all tokens, refund: each time 28.57 stays with the seller."""
    factories.clocked_customer()
    factories.metric()
    for day in range(3):
        actions.set_clock(START + timedelta(days=day))
        buy_tokens(ssp_unit_price=Decimal("0.002"))
        use_tokens(20_000)
        assert refund("100")["refunded"] == "71.43"

    assert actions.accounts()["1010"] == 3 * Decimal("28.57")


def test_part_of_the_units_is_taken_back_in_proportion() -> None:
    factories.customer()
    factories.metric()
    buy_tokens(ssp_unit_price=Decimal("0.002"))

    answer = refund("25")

    assert answer["refunded"] == "25"
    assert [(lot["kind"], lot["quantity"]) for lot in answer["lots"]] == [
        ("CASH", "25"), ("BONUS", "5000"),
    ]  # fmt: skip
    assert [round(Decimal(lot["carrying"]), 2) for lot in answer["lots"]] == [
        Decimal("17.86"), Decimal("7.14"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "price", "carried"), [("grant", "0.002", "71.43"), ("charge", "0.01", "33.33")]
)
def test_the_plan_says_what_a_unit_costs_where_the_bonus_does_not(
    source: str, price: str, carried: str
) -> None:
    """A plan that charges .01 for a token; where it gives tokens too, it values them at .002."""
    given = {"kind": "BONUS", "metric": "tokens", "quantity": Decimal(1), "recurrence": "ONCE",
             "ssp_unit_price": Decimal("0.002")}  # fmt: skip
    factories.metric()
    factories.offering(
        "plan",
        charges=[
            {"code": "tokens", "description": "Tokens", "model": "PER_UNIT", "metric": "tokens",
             "terms": {"unit_price": "0.01"}},
        ],
        grants=[given] if source == "grant" else [],
    )  # fmt: skip
    factories.customer()
    factories.subscription("cust_1", "plan")

    buy_tokens()

    assert TopUp.objects.get().bonus_unit_price == Decimal(price)
    cash = CreditLot.objects.get(kind="CASH", top_up__isnull=False)
    assert money.round_amount(cash.carrying, "USD") == Decimal(carried)


def test_units_that_nobody_prices_are_not_sold_along() -> None:
    factories.customer()
    factories.metric()
    before = factories.everything()

    with pytest.raises(DomainError) as refused:
        buy_tokens()

    assert (refused.value.status, refused.value.code) == (422, "unit_price_required")
    assert factories.everything() == before


def test_what_is_not_refundable() -> None:
    """Promo, a bonus given by hand, cash of a plan, and what has lapsed."""
    factories.offering(
        grants=[{"kind": "CASH", "amount": Decimal(40), "recurrence": "ONCE"}],
    )
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.grant("cust_1", "10", "PROMO")
    factories.grant("cust_1", "20", "BONUS")
    sales.top_up(
        livemode=False, customer_id="cust_1", key="short", amount=Decimal(30), currency="USD",
        expires_at=START + timedelta(days=1),
    )  # fmt: skip

    assert refundable() == "30"
    actions.set_clock(START + timedelta(days=1))
    assert refundable() == "0"
    factories.advance(book, START + timedelta(days=1))
    assert refundable() == "0"


def test_a_lapsed_bonus_is_missing() -> None:
    """The bonus lapsed unused: it was earned as breakage, so its 8.33 are not paid again."""
    factories.clocked_customer()
    actions.bundle("100", "20", expires_at=FEBRUARY)
    CreditLot.objects.filter(kind="CASH").update(expires_at=None)
    actions.set_clock(FEBRUARY)

    assert refund("50")["refunded"] == "41.67"


@pytest.mark.parametrize(
    ("amount", "paid", "rounding"),
    [("10", "8.33", "-0.003333333333"), ("20", "16.67", "0.003333333333")],
)
def test_whole_cents_are_paid_and_the_rest_is_rounding(
    amount: str, paid: str, rounding: str
) -> None:
    """All bonus is burned: 10 cash pay 8.3333.. and 20 pay 16.6666..; the books say the cents."""
    bundle_with("20")

    assert refund(amount)["refunded"] == paid

    accounts = actions.accounts()
    assert accounts["1010"] == 100 - Decimal(paid)
    assert abs(accounts["7900"] - Decimal(rounding)) <= Decimal("0.000000000001")
    assert sum(accounts.values()) == 0


def sliced(currency: str, amount: str, bonus: str | None, slices: list[str]) -> list[str]:
    """Buy, burn the bonus, and refund slice by slice; list what each pays, or why it does not."""
    factories.clocked_customer()
    sales.top_up(
        livemode=False, customer_id="cust_1", key="sliced", amount=Decimal(amount),
        currency=currency, bonus=None if bonus is None else sales.Bonus(amount=Decimal(bonus)),
    )  # fmt: skip
    if bonus is not None:
        factories.body(factories.debit("cust_1", bonus, currency=currency, strategy="BONUS"))
    paid = []
    for part in slices:
        before = factories.everything()
        try:
            paid.append(str(refund(part, currency=currency)["refunded"]))
        except DomainError as refused:
            assert factories.everything() == before
            paid.append(refused.code)
    return paid


def test_a_hundred_refunds_pay_what_one_does() -> None:
    """100 JPY + 20, the bonus burned: one refund of 100 pays 83.33, so 83; so do a hundred."""
    paid = sliced("JPY", "100", "20", ["1"] * 100)

    # 0.83, 1.67, 2.5, 3.33, 4.17, 5 are 1, 2, 3, 3, 4, 5: the fourth was paid with the third.
    assert paid[:6] == ["1", "1", "1", "0", "1", "1"]
    assert sum(map(int, paid)) == 83
    assert CreditLot.objects.get(kind="CASH").remaining == 0
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("currency", "slices", "paid"),
    [
        # .006 is .01; .012 is .01 still, for the first was rounded up; .022 is .02.
        ("USD", ["0.006", "0.006", "0.010"], ["0.01", "0", "0.01"]),
        ("USD", ["0.004"], ["not_payable"]),
        ("USD", ["0.005", "0.004", "0.005"], ["0.01", "not_payable", "0"]),
        ("JPY", ["0.4", "0.5", "0.4"], ["not_payable", "1", "not_payable"]),
        ("KWD", ["0.0004", "0.0005", "0.001"], ["not_payable", "0.001", "0.001"]),
    ],
)
def test_nothing_takes_credits_for_a_pay_out_of_nothing(
    currency: str, slices: list[str], paid: list[str]
) -> None:
    assert sliced(currency, "1", None, slices) == paid


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_slices_never_pay_more_than_one_refund_would(data: st.DataObject) -> None:
    """Whatever is burned in between, in currencies of 0, 2 and 3 decimals."""
    currency, places = data.draw(st.sampled_from([("JPY", 0), ("USD", 2), ("KWD", 3)]))
    unit = Decimal(1).scaleb(-places)
    bought = data.draw(st.integers(1, 300)) * unit
    bonus = data.draw(st.one_of(st.just(ZERO), st.decimals(unit, 50, places=places + 1)))
    with transaction.atomic():
        factories.clocked_customer()
        sales.top_up(
            livemode=False, customer_id="cust_1", key="bought", amount=bought, currency=currency,
            bonus=sales.Bonus(amount=bonus) if bonus else None,
        )  # fmt: skip
        burned = taken = paid = ZERO
        for _ in range(data.draw(st.integers(1, 12))):
            part = data.draw(st.decimals(Decimal("0.000001"), bought, places=6))
            if bonus and data.draw(st.booleans()):
                burn = factories.debit(
                    "cust_1", str(part), actions.fresh("burn"), currency=currency, strategy="BONUS"
                )
                burned += ZERO if isinstance(burn, DomainError) else part
                continue
            with suppress(DomainError):
                answer = refund(str(part), currency=currency)
                taken += part
                paid += Decimal(answer["refunded"])
        back = min(Fraction(bonus * taken) / Fraction(bought), Fraction(bonus - burned))
        worth = Fraction(bought) * (Fraction(taken) + back) / Fraction(bought + bonus)
        whole = floor(worth / Fraction(unit) + Fraction(1, 2))
        # What the parts carry is kept at 12 places.
        assert paid <= whole * unit or abs(worth / Fraction(unit) - whole + 1) < Fraction(1, 10**6)
        assert verification.verify().ok
        transaction.set_rollback(True)


def test_what_was_metered_is_paid_before_anything_is_paid_back(api: APIClient) -> None:
    """Available 100 and pending 80: 20 can be refunded, and the 80 are earned."""
    book = metered(80)

    assert refundable() == "20"
    answer = refund("20")

    assert (answer["refunded"], answer["balance"]["available"]) == ("20", "0")
    assert actions.accounts() == {"1010": Decimal(80), "4000": Decimal(-80)}
    actions.set_clock(FEBRUARY)
    factories.advance(book, FEBRUARY)
    assert Subscription.objects.get().status == "ACTIVE"
    assert verification.verify().ok


def test_promo_pays_for_what_was_metered_first() -> None:
    """Promo 50 burns before cash: of 100 cash 70 can be refunded after 80 were metered."""
    metered(80, promo="50")

    assert refundable() == "70"
    assert refund("70")["refunded"] == "70"


def test_usage_that_takes_all_leaves_nothing_to_refund() -> None:
    metered(130)

    assert refundable() == "0"


def test_metered_units_that_came_as_a_bonus_are_not_paid_back() -> None:
    """100 + 100 units of the metric for 100.00; 100 metered burn the units, and 20 of the cash."""
    metered(120, units="100")

    assert refundable() == "80"


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_whatever_the_mode(mode: str) -> None:
    metered(80, billing_mode=mode)

    assert refundable() == "20"


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    used=st.integers(0, 130), promo=st.integers(0, 60), asked=st.integers(1, 100),
    mode=st.sampled_from(["PREPAID", "HYBRID"]),
)  # fmt: skip
def test_paid_back_and_used_never_come_to_more_than_was_bought(
    used: int, promo: int, asked: int, mode: str
) -> None:
    with transaction.atomic():
        metered(used, promo=str(promo), billing_mode=mode)
        free = min(100, max(0, 100 + promo - used))
        if asked > free:
            with pytest.raises(DomainError) as refused:
                refund(str(asked))
            assert refused.value.extra["available"] == str(free)
        else:
            assert refund(str(asked))["refunded"] == str(asked)
        assert verification.verify().ok
        transaction.set_rollback(True)


def metered(used: int, *, promo: str = "0", units: str = "", billing_mode: str = "PREPAID") -> Book:
    """Buy 100 and use so many units at 1 of an open cycle, which nothing has burned yet."""
    factories.metric("calls")
    factories.offering(
        "calls",
        billing_mode=billing_mode,
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
    )  # fmt: skip
    book = factories.clocked_customer()
    factories.top_up("cust_1", "100")
    if promo != "0":
        factories.grant("cust_1", promo)
    if units:
        factories.body(
            grants.grant(
                livemode=False, customer_id="cust_1", key="units", kind="PROMO", metric="calls",
                quantity=Decimal(units), reason="test",
            )
        )  # fmt: skip
    factories.subscription("cust_1", "calls")
    actions.set_clock(START + timedelta(days=1))
    if used:
        event = factories.event("cust_1", used, "e", START + timedelta(hours=1), metric="calls")
        done = ingest.ingest(livemode=False, events=[event], received_at=START + timedelta(days=1))
        assert done.accepted == 1
    return Book.objects.get(pk=book.pk)


@pytest.mark.parametrize(
    ("terms", "account"),
    [({"payment": None}, "1000"), ({"payment": {"method": "card_elsewhere"}}, "1010")],
)
def test_a_refund_leaves_through_the_account_that_the_payment_came_by(
    live_api: APIClient, terms: dict[str, Any], account: str
) -> None:
    """300 bought on account and paid by bank, or by a card elsewhere; 50 refunded."""
    factories.customer(livemode=True)
    buy(live_api, "300", **terms)

    answer = pay_back(live_api, "50")

    assert answer.json()["pay_outs"] == [
        {"top_up": str(TopUp.objects.get().pk), "amount": "50", "account": account}
    ]
    assert actions.accounts() == {account: Decimal(250), "2100": Decimal(-250)}
    assert TopUp.objects.get().refunded == 50
    assert verification.verify().ok


def test_each_payment_leaves_by_its_own_account(live_api: APIClient) -> None:
    """20 of the newer, by card, then 10 of the older, by bank; the cents of each by itself."""
    factories.customer(livemode=True)
    buy(live_api, "100", payment=None)
    buy(live_api, "20", payment={"method": "card_elsewhere"}, bonus={"amount": "10"})
    burn = engine.DebitRequest(
        customer_id="cust_1", key="burn", amount=Decimal(10), strategy="BONUS"
    )
    factories.body(actions.take(burn, livemode=True))

    answer = pay_back(live_api, "30")

    # 20 of 30 credits for 20.00 carry 13.3333..
    assert [(each["amount"], each["account"]) for each in answer.json()["pay_outs"]] == [
        ("13.33", "1010"), ("10", "1000"),
    ]  # fmt: skip
    accounts = actions.accounts()
    assert (accounts["1000"], accounts["1010"]) == (90, Decimal("6.67"))
    assert verification.verify().ok


def buy(api: APIClient, amount: str, *, payment: Any, bonus: Any = None) -> None:
    """Buy in live mode; what is sold on account is paid by bank."""
    asked = {"customer_id": "cust_1", "amount": amount, "currency": "USD",
             "idempotency_key": actions.fresh("buy"),
             "payment": payment, "bonus": bonus}  # fmt: skip
    sold = api.post(
        "/v1/wallets/top-ups", {name: value for name, value in asked.items() if value is not None}
    )
    assert sold.status_code == 201, sold.content
    if payment is None:
        paid = api.post(
            f"/v1/invoices/{sold.json()['invoice']}/pay",
            {"amount": amount, "reference": "bank", "idempotency_key": actions.fresh("pay")},
        )
        assert paid.status_code == 200, paid.content


def pay_back(api: APIClient, amount: str) -> Any:
    answer = api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": amount, "currency": "USD", "reason": "unused",
         "idempotency_key": actions.fresh("refund")},
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    return answer


def test_a_pay_out_that_does_not_match_its_movements_is_found() -> None:
    bundle_with("8")
    refund("50")
    TopUp.objects.update(refunded=Decimal("49.99"))

    found = verification.verify().first_bad

    assert found is not None
    assert found.reason == "refunded is 49.990000000000, its movements say 50.00"


def test_over_the_api(api: APIClient, live_api: APIClient) -> None:
    bundle_with("8")
    body = {"customer_id": "cust_1", "amount": "50", "currency": "USD", "reason": "unhappy",
            "idempotency_key": "k"}  # fmt: skip

    first = api.post("/v1/wallets/refunds", body)
    before = factories.everything()
    again = api.post("/v1/wallets/refunds", body | {"amount": 50})
    other = api.post("/v1/wallets/refunds", body | {"reason": "bored"})
    strange = live_api.post("/v1/wallets/refunds", body)

    assert (first.status_code, first.json()["refunded"]) == (201, "50")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert other.json()["errors"][0]["pointer"] == "/reason"
    assert (strange.status_code, strange.json()["code"]) == (404, "unknown_customer")
    assert factories.everything() == before
