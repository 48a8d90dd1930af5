"""Six models in three modes, by hand: what is due, and who pays it.

Everybody has 10,000 promo and 2,000 bonus tokens, and 2.00 promo, 3.00 bonus and 5.00 cash.
"""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from billing import calculation
from billing.calculation.calculation import Calculation, CouponTerms, Tax
from pricing.terms import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    Terms,
    Volume,
)
from tests.billing.calculation.calculations import TOKENS, charge, draft, lot, metered
from tests.pricing.prices import PLAIN_TIERS

D = Decimal
UNITS = (lot("PROMO", "10000", 1), lot("BONUS", "2000", 2))
MONEY = (lot("PROMO", "2", 3), lot("BONUS", "3", 4), lot("CASH", "5", 5))
BLOCKS = IncludedQuota(
    included_quantity=D(1000), overage=BlockOverage(block_size=D(1000), block_price=D(5))
)
CARDS = Percentage(percent=D("2.9"), fixed_fee_per_event=D("0.30"))


@dataclass(frozen=True)
class Priced:
    """A model, what was used, and the units that credits pay."""

    terms: Terms
    used: str
    from_units: str


MODELS = {
    # 15,000 - 12,000 = 3,000 x 0.002
    "PER_UNIT": Priced(TOKENS, "15000", "12000"),
    # Units pay no fee.
    "FLAT_RATE": Priced(FlatRate(flat_fee=D("49.90")), "15000", "0"),
    # 22,000 - 12,000 = 10,000, all at .008
    "VOLUME": Priced(Volume(tiers=PLAIN_TIERS), "22000", "12000"),
    # 27,000 - 12,000 = 15,000: 10 + 72 + 25
    "GRADUATED": Priced(Graduated(tiers=PLAIN_TIERS), "27000", "12000"),
    # 15,001 - 1,000 - 12,000 = 2,001: three started blocks
    "INCLUDED_QUOTA": Priced(BLOCKS, "15001", "12000"),
    # 5.80 + 3 x 0.30; units pay no percentage.
    "PERCENTAGE": Priced(CARDS, "200", "0"),
}


def run(
    model: str, mode: str, *, coupon: CouponTerms | None = None, tax: Tax | None = None
) -> Calculation:
    priced = MODELS[model]
    return calculation.run(
        draft(
            mode,
            charges=(charge(priced.terms),),
            usage=metered(priced.used, events=3),
            unit_lots={"tokens": UNITS},
            money_lots=MONEY,
            coupons=(coupon,) if coupon else (),
            tax_rate=tax,
        )
    )


def paid(settled: Calculation) -> list[Decimal]:
    return [*settled.from_wallet.values(), settled.to_invoice, settled.arrears]


def amounts(row: str) -> list[Decimal]:
    return [D(amount) for amount in row.split()]


@pytest.mark.parametrize(
    ("model", "mode", "subtotal", "payers"),
    [
        # payers: promo, bonus, cash, invoice, arrears
        ("PER_UNIT", "PREPAID", "6", "2 3 1 0 0"),
        ("PER_UNIT", "HYBRID", "6", "2 3 1 0 0"),
        ("PER_UNIT", "POSTPAID", "6", "2 3 0 1 0"),
        ("FLAT_RATE", "PREPAID", "49.90", "2 3 5 0 39.90"),
        ("FLAT_RATE", "HYBRID", "49.90", "2 3 5 39.90 0"),
        ("FLAT_RATE", "POSTPAID", "49.90", "2 3 0 44.90 0"),
        ("VOLUME", "PREPAID", "80", "2 3 5 0 70"),
        ("VOLUME", "HYBRID", "80", "2 3 5 70 0"),
        ("VOLUME", "POSTPAID", "80", "2 3 0 75 0"),
        ("GRADUATED", "PREPAID", "107", "2 3 5 0 97"),
        ("GRADUATED", "HYBRID", "107", "2 3 5 97 0"),
        ("GRADUATED", "POSTPAID", "107", "2 3 0 102 0"),
        ("INCLUDED_QUOTA", "PREPAID", "15", "2 3 5 0 5"),
        ("INCLUDED_QUOTA", "HYBRID", "15", "2 3 5 5 0"),
        ("INCLUDED_QUOTA", "POSTPAID", "15", "2 3 0 10 0"),
        ("PERCENTAGE", "PREPAID", "6.70", "2 3 1.70 0 0"),
        ("PERCENTAGE", "HYBRID", "6.70", "2 3 1.70 0 0"),
        ("PERCENTAGE", "POSTPAID", "6.70", "2 3 0 1.70 0"),
    ],
)
def test_models_and_modes(model: str, mode: str, subtotal: str, payers: str) -> None:
    settled = run(model, mode)

    assert (settled.subtotal, settled.total) == (D(subtotal), D(subtotal))
    assert settled.demands[0].from_units == D(MODELS[model].from_units)
    assert paid(settled) == amounts(payers)


@pytest.mark.parametrize(
    ("model", "mode", "bill", "payers"),
    [
        # bill: subtotal, discount of 10 %, tax of 20 % on what promo's 2.00 leave, total
        ("PER_UNIT", "PREPAID", "6 0.60 0.68 6.08", "2 3 1.08 0 0"),
        ("PER_UNIT", "HYBRID", "6 0.60 0.68 6.08", "2 3 1.08 0 0"),
        ("PER_UNIT", "POSTPAID", "6 0.60 0.68 6.08", "2 3 0 1.08 0"),
        ("FLAT_RATE", "PREPAID", "49.90 4.99 8.582 53.492", "2 3 5 0 43.492"),
        ("FLAT_RATE", "HYBRID", "49.90 4.99 8.58 53.49", "2 3 5 43.49 0"),
        ("FLAT_RATE", "POSTPAID", "49.90 4.99 8.58 53.49", "2 3 0 48.49 0"),
        ("VOLUME", "PREPAID", "80 8 14 86", "2 3 5 0 76"),
        ("VOLUME", "HYBRID", "80 8 14 86", "2 3 5 76 0"),
        ("VOLUME", "POSTPAID", "80 8 14 86", "2 3 0 81 0"),
        ("GRADUATED", "PREPAID", "107 10.70 18.86 115.16", "2 3 5 0 105.16"),
        ("GRADUATED", "HYBRID", "107 10.70 18.86 115.16", "2 3 5 105.16 0"),
        ("GRADUATED", "POSTPAID", "107 10.70 18.86 115.16", "2 3 0 110.16 0"),
        ("INCLUDED_QUOTA", "PREPAID", "15 1.50 2.30 15.80", "2 3 5 0 5.80"),
        ("INCLUDED_QUOTA", "HYBRID", "15 1.50 2.30 15.80", "2 3 5 5.80 0"),
        ("INCLUDED_QUOTA", "POSTPAID", "15 1.50 2.30 15.80", "2 3 0 10.80 0"),
        ("PERCENTAGE", "PREPAID", "6.70 0.67 0.806 6.836", "2 3 1.836 0 0"),
        ("PERCENTAGE", "HYBRID", "6.70 0.67 0.81 6.84", "2 3 1.84 0 0"),
        ("PERCENTAGE", "POSTPAID", "6.70 0.67 0.81 6.84", "2 3 0 1.84 0"),
    ],
)
def test_models_and_modes_with_coupon_and_tax(
    model: str, mode: str, bill: str, payers: str
) -> None:
    settled = run(model, mode, coupon=CouponTerms("TEN", percent=D(10)), tax=Tax("VAT", D(20)))

    found = [settled.subtotal, settled.discount, settled.tax, settled.total]
    assert found == amounts(bill)
    assert paid(settled) == amounts(payers)


@pytest.mark.parametrize(
    ("mode", "payers"),
    [("PREPAID", "0 0 5 0 1"), ("HYBRID", "0 0 5 1 0"), ("POSTPAID", "0 0 0 6 0")],
)
def test_the_worked_example(mode: str, payers: str) -> None:
    """15,000 tokens at 0.002; promo 10,000 and bonus 2,000 tokens, cash 5.00
    (docs/accounting.md#waterfall).
    """
    settled = calculation.run(
        draft(
            mode,
            charges=(charge(),),
            usage=metered("15000"),
            unit_lots={"tokens": UNITS},
            money_lots=(lot("CASH", "5", 3),),
        )
    )

    assert [burn.quantity for burn in settled.unit_burns["tokens"]] == [10000, 2000]
    assert settled.total == 6
    assert paid(settled) == amounts(payers)


def test_a_cycle_under_its_minimum_is_discounted_and_taxed_on_the_minimum() -> None:
    """Commit comes before Discount, so a coupon also takes its part of a minimum
    (docs/decisions.md#d35).
    """
    settled = calculation.run(
        draft(
            charges=(charge(),),
            usage=metered("15000"),
            minimum_spend=D(100),
            coupons=(CouponTerms("TEN", percent=D(10)),),
            tax_rate=Tax("VAT", D(20)),
        )
    )

    assert [(line.kind, line.amount) for line in settled.lines] == [
        ("USAGE", 30),
        ("COMMIT", 70),
        ("DISCOUNT", -10),
        ("TAX", 18),
    ]
    assert (settled.commitment, settled.to_invoice) == (70, 108)
    # On the way to the cycle's end only the usage counts: 30 - 3 and 20 % of 27.
    forecast = calculation.run(
        calculation.without_minimum(
            draft(
                charges=(charge(),),
                usage=metered("15000"),
                minimum_spend=D(100),
                coupons=(CouponTerms("TEN", percent=D(10)),),
                tax_rate=Tax("VAT", D(20)),
            )
        )
    )
    assert forecast.to_invoice == D("32.40")
