"""Stage 4: included quantity and unit credits come off before anything is priced."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.calculation.stages.allowance import allowance
from pricing.terms import FlatRate, Percentage, Terms
from tests.billing.calculation.calculations import burned, charge, demand, draft, lot

GIVEN = (lot("PROMO", "10000", 1), lot("BONUS", "2000", 2))


@pytest.mark.parametrize(
    ("_case", "quota", "included", "billable"),
    [
        ("no quota", None, "0", "15000"),
        ("part of it", "5000", "5000", "10000"),
        ("all of it", "15000", "15000", "0"),
        ("more than was used", "20000", "15000", "0"),
    ],
)
def test_the_included_quantity_comes_off_once(
    _case: str, quota: str | None, included: str, billable: str
) -> None:
    quotas = {} if quota is None else {"tokens": Decimal(quota)}

    (asked,) = allowance(draft(demands=(demand(charge(), tokens="15000"),), quotas=quotas)).demands

    assert (asked.included, asked.billable) == (Decimal(included), Decimal(billable))


def test_units_pay_in_burn_order() -> None:
    """Of 15,000 tokens promo pays 10,000 and bonus 2,000 (docs/accounting.md#waterfall)."""
    before = draft(demands=(demand(charge(), tokens="15000"),), unit_lots={"tokens": GIVEN})

    default = allowance(before)
    reversed_ = allowance(replace(before, unit_orders={"tokens": ("BONUS", "PROMO")}))
    without = allowance(replace(before, unit_orders={"tokens": ("BONUS",)}))

    assert burned(*default.unit_burns["tokens"]) == [(1, "PROMO", 10000), (2, "BONUS", 2000)]
    assert default.demands[0].billable == 3000
    assert burned(*reversed_.unit_burns["tokens"]) == [(2, "BONUS", 2000), (1, "PROMO", 10000)]
    assert burned(*without.unit_burns["tokens"]) == [(2, "BONUS", 2000)]
    assert without.demands[0].billable == 13000


def test_units_pay_only_what_is_not_included() -> None:
    allowed = allowance(
        draft(
            demands=(demand(charge(), tokens="15000"),),
            quotas={"tokens": Decimal(14000)},
            unit_lots={"tokens": GIVEN},
        )
    )

    assert burned(*allowed.unit_burns["tokens"]) == [(1, "PROMO", 1000)]
    assert allowed.demands[0].billable == 0


def test_what_is_included_leaves_credits_alone() -> None:
    allowed = allowance(
        draft(
            demands=(demand(charge(), tokens="500"),),
            quotas={"tokens": Decimal(500)},
            unit_lots={"tokens": GIVEN},
        )
    )

    assert allowed.unit_burns == {}


def test_a_free_unit_is_free_wherever_it_counts() -> None:
    allowed = allowance(
        draft(
            demands=(demand(charge(code="a"), tokens="10"), demand(charge(code="b"), tokens="10")),
            quotas={"b": Decimal(4)},
            unit_lots={"tokens": (lot("PROMO", "7"),)},
        )
    )

    # The most that is left is a's 10; 7 are given once: a keeps 3, b's 6 are all paid.
    assert burned(*allowed.unit_burns["tokens"]) == [(1, "PROMO", 7)]
    assert [d.billable for d in allowed.demands] == [3, 0]


def test_feeds_use_up_what_is_included_in_their_order() -> None:
    both = charge(feeds={"input": "1", "output": "3"})
    allowed = allowance(
        draft(
            # 100 input, 40 output at weight 3.
            demands=(demand(both, input="100", output="120"),),
            quotas={"tokens": Decimal(130)},
            unit_lots={
                "input": (lot("PROMO", "50", 1),),
                "output": (lot("PROMO", "20", 2),),
            },
        )
    )

    # Included: all of input and 30 (10 units) of output. 20 of the 30 output units left are paid.
    assert {m: burned(*b) for m, b in allowed.unit_burns.items()} == {"output": [(2, "PROMO", 20)]}
    assert (allowed.demands[0].from_units, allowed.demands[0].billable) == (60, 30)


def test_what_the_first_feed_uses_up_is_not_included_in_the_next() -> None:
    both = charge(feeds={"input": "1", "output": "3"})
    allowed = allowance(
        draft(
            # 100 input, 40 output at weight 3.
            demands=(demand(both, input="100", output="120"),),
            quotas={"tokens": Decimal(70)},
            unit_lots={"output": (lot("PROMO", "500"),)},
        )
    )

    # All 70 go to input, of which 30 are left; the 40 output units are paid and no more.
    assert burned(*allowed.unit_burns["output"]) == [(1, "PROMO", 40)]
    assert (allowed.demands[0].from_units, allowed.demands[0].billable) == (120, 30)


def test_units_that_reach_for_all_of_a_metric_leave_no_trace_of_a_unit() -> None:
    # 10 units at weight 3, 2 included: 28 / 3 units pay all the rest.
    allowed = allowance(
        draft(
            demands=(demand(charge(feeds={"tokens": "3"}), tokens="30"),),
            quotas={"tokens": Decimal(2)},
            unit_lots={"tokens": (lot("PROMO", "100"),)},
        )
    )

    assert burned(*allowed.unit_burns["tokens"]) == [(1, "PROMO", Decimal("9.333333333333"))]
    assert allowed.demands[0].billable == 0


@pytest.mark.parametrize(
    "terms", [FlatRate(flat_fee=Decimal(9)), Percentage(percent=Decimal("2.5"))]
)
def test_units_pay_no_fee_and_no_percentage(terms: Terms) -> None:
    allowed = allowance(
        draft(demands=(demand(charge(terms), tokens="200"),), unit_lots={"tokens": GIVEN})
    )

    assert allowed.unit_burns == {}
    assert allowed.demands[0].billable == 200


def test_a_percentage_shares_its_metric_with_units_but_is_not_paid_by_them() -> None:
    share = demand(charge(Percentage(percent=Decimal(1)), code="share"), tokens="50")
    allowed = allowance(
        draft(
            demands=(share, demand(charge(), tokens="50")),
            unit_lots={"tokens": (lot("PROMO", "30"),)},
        )
    )

    assert burned(*allowed.unit_burns["tokens"]) == [(1, "PROMO", 30)]
    assert [d.billable for d in allowed.demands] == [50, 20]


@pytest.mark.parametrize(("mode", "billable"), [("PREPAID", 60), ("HYBRID", 60), ("POSTPAID", 90)])
def test_postpaid_burns_no_units_that_were_bought(mode: str, billable: int) -> None:
    """POSTPAID never burns CASH (docs/decisions.md#d34)."""
    lots = (lot("CASH", "30", 1), lot("BONUS", "10", 2))
    allowed = allowance(
        draft(mode, demands=(demand(charge(), tokens="100"),), unit_lots={"tokens": lots})
    )

    assert allowed.demands[0].billable == billable


def test_the_trace_says_what_paid() -> None:
    allowed = allowance(
        draft(
            demands=(demand(charge(), tokens="15000"),),
            quotas={"tokens": Decimal(1000)},
            unit_lots={"tokens": GIVEN},
        )
    )

    assert allowed.trace[0].given == {"tokens": "15000"}
    assert allowed.trace[0].found == {"tokens": "2000"}
    assert allowed.trace[0].notes == (
        "tokens: 1000 included.",
        "tokens: 10000 from PROMO units.",
        "tokens: 2000 from BONUS units.",
    )
