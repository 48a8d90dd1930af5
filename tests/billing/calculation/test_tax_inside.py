"""Prices that contain the tax: net and tax are the price, to the last place of the document."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from aforo.money import is_payable, plain
from billing import calculation
from billing.calculation import presentation
from billing.calculation.calculation import (
    Calculation,
    ChargeTerms,
    CouponTerms,
    CreditOwed,
    LateAdjustment,
    Tax,
)
from pricing.terms import FlatRate, PerUnit
from tests.billing.calculation.calculations import charge, draft, lot, metered, paid
from tests.billing.calculation.test_conservation import DRAFTS

D = Decimal
VAT = Tax("VAT", D(19))
GST, QST = Tax("GST", D(5)), Tax("QST", D("9.975"), on_top=True)
QUEBEC = Tax("GST + QST", D("14.975"), parts=(GST, QST))


def fee(amount: str, code: str = "fee", timing: str = "ARREARS") -> ChargeTerms:
    return replace(charge(FlatRate(flat_fee=D(amount)), code=code, feeds={}), timing=timing)


def priced(*charges: ChargeTerms, mode: str = "HYBRID", **terms: Any) -> Calculation:
    terms = {"tax_rate": VAT, "tax_inclusive": True, **terms}
    return calculation.run(draft(mode, charges=charges, **terms))


def figures(found: Calculation) -> tuple[str, ...]:
    names = ("subtotal", "discount", "tax", "total")
    return tuple(plain(getattr(found, name)) for name in names)


def lines(found: Calculation) -> list[tuple[str, str]]:
    return [(line.kind, plain(line.amount)) for line in found.lines]


@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID", "PREPAID"])
def test_a_price_of_119_is_100_and_19(mode: str) -> None:
    found = priced(fee("119"), mode=mode)

    assert figures(found) == ("100", "0", "19", "119")
    assert lines(found) == [("FEE", "100"), ("TAX", "19")]
    assert found.lines[0].description == "Fee, 119.00 with tax"
    assert found.trace[6].notes[-1] == "Of 119 with tax, 19 is VAT, 19 %: net 100."


def test_the_tax_of_ten_times_99_cents_is_rounded_once() -> None:
    """9.90 x 19 / 119 = 1.5807: ten times .16 would be 1.60."""
    found = priced(charge(PerUnit(unit_price=D("0.99"))), usage=metered("10"))

    assert figures(found) == ("8.32", "0", "1.58", "9.9")
    (line, _) = found.lines
    assert (line.quantity, line.unit_price, line.amount) == (10, D("0.99"), D("8.32"))


def test_credits_are_charged_the_exact_parts() -> None:
    """PREPAID is not rounded: 9.90 x 19 / 119 to the 12 places of the books."""
    price = charge(PerUnit(unit_price=D("0.99")))
    found = priced(price, mode="PREPAID", usage=metered("10"), money_lots=(lot("CASH", "50"),))

    assert (found.subtotal, found.tax) == (D("8.319327731092"), D("1.580672268908"))
    assert paid(found) == {"CASH": D("9.9")}


def test_lines_are_whole_cents_that_sum_to_the_net() -> None:
    """3 x 3.33 = 9.99: the tax is 1.60, so the net is 8.39; a third of it is 2.7967."""
    found = priced(*(fee("3.33", code) for code in "abc"))

    assert figures(found) == ("8.39", "0", "1.6", "9.99")
    assert lines(found) == [("FEE", "2.8"), ("FEE", "2.79"), ("FEE", "2.8"), ("TAX", "1.6")]


def test_a_residue_of_rounding_is_part_of_the_net() -> None:
    """3 x .3333 = .9999 is a price of 1.00: .16 of tax, .84 net."""
    found = priced(charge(PerUnit(unit_price=D("0.3333"))), usage=metered("3"))

    assert figures(found) == ("0.84", "0", "0.16", "1")
    assert lines(found) == [("USAGE", "0.84"), ("TAX", "0.16")]
    assert found.rounding == 0


def test_two_rates_of_one_place_are_taken_out_each_by_itself() -> None:
    """Of 114.98, GST is 114.98 x 5 / 114.975 = 5.00, QST 9.975 parts = 9.98: 100 is left."""
    found = priced(fee("114.98"), tax_rate=QUEBEC)

    assert figures(found) == ("100", "0", "14.98", "114.98")
    assert [(part.rate.name, part.net, part.amount) for part in found.taxes] == [
        ("GST", 100, 5),
        ("QST", 100, D("9.98")),
    ]


def test_each_rate_of_a_document_is_taken_out_of_its_own_lines() -> None:
    """January's 119 at 19 %, February's 120 at 20 %."""
    found = priced(
        fee("119"),
        fee("120", "ahead", "ADVANCE"),
        ahead_tax_rate=Tax("VAT", D(20)),
        ahead_tax_inclusive=True,
    )

    assert figures(found) == ("200", "0", "39", "239")
    assert [(part.rate.percent, part.net, part.amount) for part in found.taxes] == [
        (19, 100, 19),
        (20, 100, 20),
    ]
    assert found.in_advance == 100


@pytest.mark.parametrize("is_first", [True, False])
def test_both_kinds_stand_on_one_document(is_first: bool) -> None:
    """119 with the tax inside and 100 with 19 on top of it are 238."""
    inside, on_top = (fee("119"), fee("100")) if is_first else (fee("100"), fee("119"))
    found = priced(
        inside,
        replace(on_top, code="ahead", timing="ADVANCE"),
        tax_inclusive=is_first,
        ahead_tax_rate=VAT,
        ahead_tax_inclusive=not is_first,
    )

    assert figures(found) == ("200", "0", "38", "238")
    assert [(part.net, part.amount) for part in found.taxes] == [(200, 38)]
    with_tax = [line.description for line in found.lines if "with tax" in line.description]
    assert with_tax == ["Fee, 119.00 with tax"]


def test_a_coupon_is_of_the_price() -> None:
    """119 less 10 % is 107.10: 90 and 17.10; without tax 100 less 10."""
    off = CouponTerms("OFF", percent=D(10))
    found = priced(fee("119"), coupons=(off,))

    assert figures(found) == ("100", "10", "17.1", "107.1")
    assert lines(found) == [("FEE", "100"), ("DISCOUNT", "-10"), ("TAX", "17.1")]
    # What a fixed coupon has left is counted by prices.
    assert [each.amount for each in found.discounts] == [D("11.9")]


def test_a_coupon_limited_to_a_charge_is_of_its_price() -> None:
    """59.50 off the usage of 119: 50 and 100 net are left, with 28.50 of tax."""
    off = CouponTerms("OFF", amount=D("59.5"), charges=frozenset({"tokens"}))
    usage = charge(PerUnit(unit_price=D("1.19")))
    found = priced(fee("119"), usage, usage=metered("100"), coupons=(off,))

    assert figures(found) == ("200", "50", "28.5", "178.5")
    assert found.discounted == {"fee": 100, "tokens": 50}


def test_a_coupon_of_everything_leaves_neither_net_nor_tax() -> None:
    found = priced(fee("119"), coupons=(CouponTerms("FREE", percent=D(100)),))

    assert figures(found) == ("100", "100", "0", "0")


def test_a_minimum_contains_the_tax() -> None:
    """59.50 of usage raised to 119: 50 and 50 net."""
    price = charge(PerUnit(unit_price=D("1.19")))
    found = priced(price, usage=metered("50"), minimum_spend=D(119))

    assert figures(found) == ("100", "0", "19", "119")
    assert lines(found) == [("USAGE", "50"), ("COMMIT", "50"), ("TAX", "19")]
    assert found.commitment == 50


def test_a_maximum_contains_the_tax() -> None:
    price = charge(PerUnit(unit_price=D("1.19")))
    found = priced(price, usage=metered("200"), maximum_spend=D(119))

    assert lines(found) == [("USAGE", "200"), ("ADJUSTMENT", "-100"), ("TAX", "19")]


def test_yen_have_no_decimals() -> None:
    """1,000 x 10 / 110 = 90.9."""
    found = priced(fee("1000"), currency="JPY", tax_rate=Tax("CT", D(10)))

    assert figures(found) == ("909", "0", "91", "1000")


@pytest.mark.parametrize("rate", [None, Tax("Exempt", D(0))])
def test_without_tax_the_price_is_the_net(rate: Tax | None) -> None:
    found = priced(fee("119"), tax_rate=rate)

    assert figures(found) == ("119", "0", "0", "119")
    assert found.lines[0].description == "Fee"


def test_what_settled_cycles_owe_or_are_owed_is_net() -> None:
    """119 inside; 10 more and 20 less of January, each with 19 % on top: 90 x 1.19."""
    found = priced(
        fee("119"),
        late=(LateAdjustment(UUID(int=1), "Late", D(10), VAT),),
        credits_owed=(CreditOwed(UUID(int=2), UUID(int=1), "Owed", D(20), VAT),),
    )

    assert figures(found) == ("90", "0", "17.1", "107.1")


def test_what_is_forgiven_is_net() -> None:
    """119 of usage, of which 50 net and its 9.50 are not billed."""
    price = charge(PerUnit(unit_price=D("1.19")))
    found = priced(price, mode="PREPAID", usage=metered("100"), forgiven=D(50))

    assert figures(found) == ("50", "0", "9.5", "59.5")


def test_credits_pay_the_price_and_promo_the_net_of_it() -> None:
    """119: cash pays all of it. 30 of promo pay 30 of the 100, the rest is 70 and 13.30."""
    assert paid(priced(fee("119"), money_lots=(lot("CASH", "200"),))) == {"CASH": 119}
    found = priced(fee("119"), money_lots=(lot("PROMO", "30"), lot("CASH", "200", 2)))

    assert figures(found) == ("100", "0", "13.3", "113.3")
    assert paid(found) == {"PROMO": 30, "CASH": D("83.3")}


def test_fees_of_part_of_a_cycle_accrue_without_tax() -> None:
    """Of 119 with tax, half is 59.50: 50 and 9.50."""
    loaded = draft(charges=(fee("119"),), tax_rate=VAT, tax_inclusive=True)

    assert calculation.fees_to_date(loaded, lambda amount: amount / 2) == 50


def test_totals_say_what_is_in_the_price() -> None:
    shown = presentation.totals(priced(fee("119")))

    assert [shown[name] for name in ("subtotal", "tax", "total")] == ["100", "19", "119"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=DRAFTS)
def test_net_and_tax_are_always_the_price(before: Calculation) -> None:
    """What credits that owe no tax pay lowers it, as everywhere; without those, the total is what
    the same cycle costs where there is no tax at all.
    """
    gross = tuple(lot for lot in before.money_lots if lot.kind != "PROMO")
    before = replace(before, money_lots=gross, overages=(), tax_inclusive=True)

    found = calculation.run(before)

    assert found.total == calculation.run(replace(before, tax_rate=None)).total
    assert found.subtotal - found.discount + found.tax + found.bonus == found.total
    if found.is_rounded:
        parts = (found.subtotal, found.discount, found.tax)
        assert all(is_payable(part, found.currency) for part in parts)
