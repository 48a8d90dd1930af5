"""Stage 8: tax, by the rate at each line's tax point."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing import calculation
from billing.calculation.calculation import Calculation, CouponTerms, LateAdjustment, Overage, Tax
from billing.calculation.stages.tax import tax
from pricing.terms import FlatRate, PerUnit
from tests.billing.calculation.calculations import charge, draft, lot, metered

VAT = Tax("VAT", Decimal(19), "DE")


def test_tax_is_a_percentage_of_what_the_discount_leaves() -> None:
    taxed = tax(draft(tax_rate=VAT, subtotal=Decimal(120), discount=Decimal(20)))

    assert (taxed.tax, taxed.total) == (19, 119)


@pytest.mark.parametrize(
    ("mode", "owed"), [("HYBRID", "1.91"), ("POSTPAID", "1.91"), ("PREPAID", "1.9095")]
)
def test_tax_is_rounded_once_as_the_document_is(mode: str, owed: str) -> None:
    # 19 % of 10.05 is 1.9095.
    assert tax(draft(mode, tax_rate=VAT, subtotal=Decimal("10.05"))).tax == Decimal(owed)


@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
def test_half_a_cent_of_tax_is_rounded_up_as_tax_offices_do(mode: str) -> None:
    """19 % of 787.50 is 149.625."""
    taxed = tax(draft(mode, tax_rate=VAT, subtotal=Decimal("787.50")))

    assert (taxed.tax, taxed.total) == (Decimal("149.63"), Decimal("937.13"))


def test_without_a_rate_there_is_no_tax() -> None:
    taxed = tax(draft(subtotal=Decimal(120)))

    assert (taxed.tax, taxed.total) == (0, 120)
    assert taxed.trace[0].notes == ("No tax rate applies.",)


def test_overage_of_wallet_debits_is_gross_already() -> None:
    overage = Overage(UUID(int=9), Decimal("1.50"))

    taxed = tax(draft(tax_rate=VAT, subtotal=Decimal(100), overages=(overage,)))

    assert (taxed.tax, taxed.total) == (19, Decimal("120.50"))


@pytest.mark.parametrize(
    ("rate", "note"),
    [
        (VAT, "VAT (DE): 19 % of 100."),
        (Tax("Sales tax", Decimal("8.875")), "Sales tax: 8.875 % of 100."),
    ],
)
def test_the_trace_names_the_rate(rate: Tax, note: str) -> None:
    taxed = tax(draft("PREPAID", tax_rate=rate, subtotal=Decimal(100)))

    assert taxed.trace[0].notes == (note,)


class TestSeveralRates:
    """A cycle of 100.00 at 20 %, 50.00 late of the one before at 10 %, and 40.00 ahead at 25 %."""

    OLD, OWN, NEXT = (Tax("VAT", Decimal(n), "DE") for n in (10, 20, 25))

    def settled(self, mode: str = "HYBRID", **given: Any) -> Calculation:
        late = LateAdjustment(UUID(int=3), "Late usage", Decimal(50), self.OLD)
        charges = (
            charge(PerUnit(unit_price=Decimal(1))),
            replace(charge(FlatRate(flat_fee=Decimal(40)), code="fee", feeds={}), timing="ADVANCE"),
        )
        terms = {"tax_rate": self.OWN, "ahead_tax_rate": self.NEXT, "late": (late,), **given}
        return calculation.run(draft(mode, charges=charges, usage=metered("100"), **terms))

    def test_each_line_is_taxed_at_its_own_tax_point(self) -> None:
        settled = self.settled()

        assert [(part.rate.percent, part.net, part.amount) for part in settled.taxes] == [
            (20, 100, 20),
            (25, 40, 10),
            (10, 50, 5),
        ]
        assert (settled.tax, settled.total) == (35, 225)
        lines = [(line.description, line.amount) for line in settled.lines if line.kind == "TAX"]
        assert lines == [
            ("VAT, 20 % of 100", 20),
            ("VAT, 25 % of 40", 10),
            ("VAT, 10 % of 50", 5),
        ]

    def test_a_discount_lowers_every_rate_it_was_taken_off(self) -> None:
        """10 % off the cycle's own 140.00: 90.00 at 20 % and 36.00 at 25 %; late usage is whole."""
        settled = self.settled(coupons=(CouponTerms("TEN", percent=Decimal(10)),))

        assert [part.net for part in settled.taxes] == [90, 36, 50]
        assert settled.tax == 18 + 9 + 5

    def test_promo_pays_the_same_part_of_each(self) -> None:
        """Of 190.00 promo pays 95.00: half of each net is left to be taxed."""
        settled = self.settled(money_lots=(lot("PROMO", "95"),))

        assert [part.net for part in settled.taxes] == [50, 20, 25]
        assert (settled.tax, settled.to_invoice) == (Decimal("17.5"), Decimal("112.5"))

    def test_cash_before_promo_pays_gross_of_all_rates_together(self) -> None:
        """35.00 of tax on 190.00: 112.50 of cash pay 95.00 of the net, promo the other half."""
        lots = (lot("CASH", "112.5", 1), lot("PROMO", "500", 2))

        settled = self.settled("PREPAID", money_lots=lots, money_order=("CASH", "PROMO"))

        assert settled.from_wallet == {"PROMO": 95, "BONUS": 0, "CASH": Decimal("112.5")}
        assert settled.tax == Decimal("17.5")

    def test_each_rate_is_rounded_once(self) -> None:
        late = LateAdjustment(UUID(int=3), "Late usage", Decimal("0.07"), self.OLD)
        charges = (charge(PerUnit(unit_price=Decimal("0.01"))),)

        settled = calculation.run(
            draft(charges=charges, usage=metered("7"), tax_rate=self.OWN, late=(late,))
        )

        # .014 and .007; together they would be .021.
        assert [part.amount for part in settled.taxes] == [Decimal("0.01"), Decimal("0.01")]
