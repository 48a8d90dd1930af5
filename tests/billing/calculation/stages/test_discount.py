"""Stage 7: coupons, and credits owed to the customer."""

from decimal import Decimal

import pytest

from billing.calculation.calculation import CalculatedLine, CouponTerms
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
    discounted = discount(draft(coupons=(coupon,), subtotal=Decimal(subtotal)))

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
    assert discount(draft(mode, coupons=(TEN,), subtotal=Decimal("10.05"))).discount == Decimal(off)


def test_without_a_coupon_nothing_comes_off() -> None:
    discounted = discount(draft(subtotal=Decimal(30)))

    assert (discounted.discount, discounted.lines) == (0, ())
    assert discounted.trace[0].notes == ("No coupon.",)


def test_the_trace_names_the_coupon() -> None:
    discounted = discount(draft(coupons=(TEN,), subtotal=Decimal(30)))

    assert discounted.trace[0].found == {"discount": "3"}
    assert discounted.trace[0].notes == ("Coupon TEN: 3 off.",)


@pytest.mark.parametrize(
    ("codes", "offs", "net"),
    [
        (["TEN", "FIVE"], ["10", "5"], "85"),
        (["FIVE", "TEN"], ["5", "9.5"], "85.5"),
        (["FIVE", "ALL", "TEN"], ["5", "95"], "0"),
    ],
)
def test_coupons_are_taken_off_one_after_the_other(
    codes: list[str], offs: list[str], net: str
) -> None:
    """10 % and then 5 off 100 leave 85, the other way round 85.50; nothing is left to go below."""
    known = {
        "TEN": TEN,
        "FIVE": CouponTerms("FIVE", amount=Decimal(5)),
        "ALL": CouponTerms("ALL", percent=Decimal(100)),
    }

    discounted = discount(
        draft(coupons=tuple(known[code] for code in codes), subtotal=Decimal(100))
    )

    taken = [-line.amount for line in discounted.lines]
    assert taken == [Decimal(off) for off in offs]
    assert discounted.subtotal - discounted.discount == Decimal(net)
    assert [each.coupon.code for each in discounted.discounts] == codes


def lines(**amounts: str) -> tuple[CalculatedLine, ...]:
    """Write lines of charges; a fee `ahead` is of the next cycle."""
    return tuple(
        CalculatedLine("USAGE", code, Decimal(amount), code, in_advance=code == "ahead")
        for code, amount in amounts.items()
    )


def test_a_coupon_of_some_charges_leaves_the_others() -> None:
    """Half of 60 is 30, then 10 % of the 30 + 40 that are left: 7, of which 3 off the 30."""
    half = CouponTerms("HALF", percent=Decimal(50), charges=frozenset({"a", "gone"}))

    discounted = discount(
        draft(coupons=(half, TEN), lines=lines(a="60", b="40"), subtotal=Decimal(100))
    )

    assert [each.amount for each in discounted.discounts] == [30, 7]
    assert discounted.discounted == {"a": 27, "b": 36}


def test_a_fixed_coupon_takes_no_more_than_its_charges_owe() -> None:
    fixed = CouponTerms("FIFTY", amount=Decimal(50), charges=frozenset({"a"}))

    discounted = discount(
        draft(coupons=(fixed,), lines=lines(a="20", b="40"), subtotal=Decimal(60))
    )

    assert (discounted.discount, discounted.discounted) == (20, {"a": 0, "b": 40})


def test_what_the_maximum_spend_takes_off_is_spread_over_the_charges() -> None:
    """60 and 40 cut to 50: 30 and 20 owed, and the fee ahead of 10 apart; half of the 60 is 15."""
    half = CouponTerms("HALF", percent=Decimal(50), charges=frozenset({"a"}))
    cut = CalculatedLine("ADJUSTMENT", "Maximum spend", Decimal(-50))

    discounted = discount(
        draft(
            coupons=(half,),
            lines=(*lines(a="60", b="40", ahead="10"), cut),
            subtotal=Decimal(60),
        )
    )

    assert (discounted.discount, discounted.discounted) == (15, {"a": 15, "b": 20, "ahead": 10})


def test_several_coupons_never_take_more_than_the_document_says() -> None:
    """5.005 + 5.005 is 10.01: rounded each, all of both would be 10.02."""
    every = [
        CouponTerms(code, percent=Decimal(100), charges=frozenset({code})) for code in ("a", "b")
    ]

    discounted = discount(
        draft(coupons=tuple(every), lines=lines(a="5.005", b="5.005"), subtotal=Decimal("10.01"))
    )

    assert [each.amount for each in discounted.discounts] == [Decimal("5.01"), 5]
