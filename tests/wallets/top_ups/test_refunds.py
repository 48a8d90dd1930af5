"""Refunds by hand: unused cash, newest top-up first, with the bonus taken back
(docs/decisions.md#d30).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.errors import DomainError
from billing.finance import verification
from ledger.models import Entry, LedgerEvent
from tests import factories
from tests.factories import FEBRUARY, START
from tests.histories import examples
from tests.wallets import actions
from tests.wallets.top_ups.refunds import ZERO, bundle_with, carried, refund, refundable
from wallets.models import CreditLot
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db


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
@pytest.mark.histories
@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
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
