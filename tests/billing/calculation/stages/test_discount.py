"""Stage 7: coupons, and credits owed to the customer."""

from decimal import Decimal

import pytest

from billing.calculation.calculation import CouponTerms
from billing.calculation.stages.discount import discount
from tests.billing.calculation.calculations import draft

TEN = CouponTerms("TEN", percent=Decimal(10))


@pytest.mark.parametrize(
    ("coupon", "subtotal", "off"),
    [
        (TEN, "30", "3"),
        (CouponTerms("ALL", percent=Decimal(100)), "30", "30"),
        (CouponTerms("FIVE", amount=Decimal(5)), "30", "5"),
        (CouponTerms("FIFTY", amount=Decimal(50)), "30", "30"),
        (TEN, "0", "0"),
        (CouponTerms("FIVE", amount=Decimal(5)), "0", "0"),
    ],
)
def test_a_coupon_takes_a_percentage_or_an_amount_and_never_more_than_the_subtotal(
    coupon: CouponTerms, subtotal: str, off: str
) -> None:
    discounted = discount(draft(coupon=coupon, subtotal=Decimal(subtotal)))

    assert discounted.discount == Decimal(off)
    assert discounted.subtotal == Decimal(subtotal)
    lines = [(line.kind, line.amount) for line in discounted.lines]
    assert lines == ([] if off == "0" else [("DISCOUNT", -Decimal(off))])


@pytest.mark.parametrize(
    ("mode", "off"),
    [("HYBRID", "1.01"), ("POSTPAID", "1.01"), ("PREPAID", "1.005")],
)
def test_a_discount_is_rounded_as_the_document_is(mode: str, off: str) -> None:
    # 10 % of 10.05 is 1.005: half up, 1.01.
    assert discount(draft(mode, coupon=TEN, subtotal=Decimal("10.05"))).discount == Decimal(off)


def test_without_a_coupon_nothing_comes_off() -> None:
    discounted = discount(draft(subtotal=Decimal(30)))

    assert (discounted.discount, discounted.lines) == (0, ())
    assert discounted.trace[0].notes == ("No coupon.",)


def test_the_trace_names_the_coupon() -> None:
    discounted = discount(draft(coupon=TEN, subtotal=Decimal(30)))

    assert discounted.trace[0].found == {"discount": "3"}
    assert discounted.trace[0].notes == ("Coupon TEN: 3 off.",)
