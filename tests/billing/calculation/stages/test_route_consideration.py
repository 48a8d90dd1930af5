"""Stage 9: the tax that is owed follows what was paid for credits (docs/decisions.md#d44)."""

from dataclasses import replace
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.calculation import guards
from billing.calculation.calculation import CalculatedLine, Consideration, Overage, Tax
from billing.calculation.stages.route import route
from tests.billing.calculation.calculations import draft, lot, paid, routed, shares

D = Decimal
VAT_10 = Tax("VAT", D(10))


class TestConsideration:
    """The tax that is owed follows what was paid for credits (docs/decisions.md#d44)."""

    BUNDLE: ClassVar = {
        UUID(int=1): Consideration(D("16.666666666667"), D(20), D(20)),
        UUID(int=2): Consideration(D("83.333333333333"), D(100), D(100)),
    }
    VAT_20: ClassVar = Tax("VAT", D(20))

    @pytest.mark.parametrize(
        ("mode", "tax", "bonus", "base"),
        [
            ("HYBRID", "16.67", "3.33", "83.33"),
            ("PREPAID", "16.666666666667", "3.333333333333", "83.333333333335"),
        ],
    )
    def test_a_bundle_of_100_and_20_for_100_owes_the_tax_of_100(
        self, mode: str, tax: str, bonus: str, base: str
    ) -> None:
        """100 net, 120 at face: base 83.33, tax 16.67, and 3.33 that nobody paid for."""
        lots = (lot("BONUS", "20", 1), lot("CASH", "100", 2))

        settled = routed("100", *lots, mode=mode, tax_rate=self.VAT_20, considerations=self.BUNDLE)

        assert paid(settled) == {"BONUS": 20, "CASH": 100}
        (taxed,) = settled.taxes
        assert abs(taxed.net - D(base)) < D("1e-11")
        assert abs(settled.tax - D(tax)) < D("1e-11")
        assert [line.kind for line in settled.lines] == ["USAGE", "TAX", "BONUS"]
        assert abs(settled.bonus - D(bonus)) < D("1e-11")
        assert settled.tax + settled.bonus == 20

    def test_what_a_document_has_taxed_pays_net(self) -> None:
        """A fee of 100 + 20 for 100 credits, 50 used: 50 burn, and no tax is owed again."""
        sold = {UUID(int=1): Consideration(D(100), D(100), D(100), taxed_at_sale=True)}

        settled = routed("50", lot("CASH", "100"), tax_rate=self.VAT_20, considerations=sold)

        assert (settled.tax, settled.bonus, paid(settled)) == (0, 0, {"CASH": 50})

    def test_credits_that_nothing_was_paid_for_owe_none(self) -> None:
        free = {UUID(int=1): Consideration(D(0), D(60), D(60))}

        settled = routed("100", lot("CASH", "60"), tax_rate=self.VAT_20, considerations=free)

        # 60 at face are 50 and 10 that is not owed; the invoice has 50 and 10 that is.
        assert shares(settled) == [("CASH", 60, 50, 10), ("INVOICE", 60, 50, 10)]
        assert (settled.tax, settled.bonus, settled.total) == (10, 10, 120)

    def test_each_rate_gives_up_its_part(self) -> None:
        """100 at 20 % and, in advance, 100 at 10 %, all paid by credits that cost half."""
        half = {UUID(int=1): Consideration(D(150), D(300), D(300))}
        ahead = CalculatedLine("FEE", "Fee", D(100), in_advance=True)
        usage = CalculatedLine("USAGE", "Tokens", D(100))

        settled = route(
            draft(
                lines=(usage, ahead),
                subtotal=D(200),
                tax_rate=self.VAT_20,
                ahead_tax_rate=VAT_10,
                money_lots=(lot("CASH", "300"),),
                considerations=half,
            )
        )

        assert [(part.net, part.amount) for part in settled.taxes] == [(50, 10), (50, 5)]
        assert (settled.bonus, paid(settled)) == (15, {"CASH": 230})

    def test_the_worked_case_of_a_coupon_promo_and_cash(self) -> None:
        """100 less 10 %: 90, of which promo pays 30 untaxed; tax 12 on 60, total 102."""
        lots = (lot("PROMO", "30", 1), lot("CASH", "30", 2))
        lines = (CalculatedLine("USAGE", "Tokens", D(100)),
                 CalculatedLine("DISCOUNT", "Ten", D(-10)))  # fmt: skip

        settled = route(
            draft(
                lines=lines, subtotal=D(100), discount=D(10), tax_rate=self.VAT_20, money_lots=lots
            )
        )

        assert (settled.tax, settled.total) == (12, 102)
        assert shares(settled) == [
            ("PROMO", 30, 30, 0),
            ("CASH", 30, 25, 5),
            ("INVOICE", 42, 35, 7),
        ]

    @given(
        net=st.decimals("0.01", 1000, places=2),
        percent=st.sampled_from(["0", "7", "19", "20", "25.5"]),
        lots=st.lists(
            st.tuples(
                st.sampled_from(["PROMO", "BONUS", "CASH"]),
                st.decimals("0.01", 400, places=3),
                st.decimals(0, 1, places=2),
                st.booleans(),
            ),
            max_size=5,
        ),
        mode=st.sampled_from(["PREPAID", "HYBRID"]),
        overage=st.decimals(0, 100, places=2),
    )
    def test_whoever_pays_lines_sum_and_the_tax_is_that_of_what_was_paid(
        self,
        net: Decimal,
        percent: str,
        lots: list[tuple[str, Decimal, Decimal, bool]],
        mode: str,
        overage: Decimal,
    ) -> None:
        rate = Tax("VAT", D(percent))
        held, offered = {}, []
        for number, (kind, face, part, sold) in enumerate(lots, start=1):
            offered.append(lot(kind, str(face), number))
            price = D(0) if kind == "PROMO" else face * part
            held[UUID(int=number)] = Consideration(price, face, face, taxed_at_sale=sold)
        over = () if mode == "PREPAID" or not overage else (Overage(UUID(int=99), overage, rate),)

        settled = routed(
            str(net), *offered, mode=mode, tax_rate=rate, considerations=held, overages=over
        )

        guards.check(replace(settled, trace=settled.trace * 9))
        # What is owed: of what lots hold, and of what the invoice or the arrears come to.
        owing = settled.to_invoice + settled.arrears
        for burn in settled.money_burns:
            cost = held[burn.lot]
            if burn.kind != "PROMO" and not cost.taxed_at_sale:
                owing += burn.quantity * cost.carrying / cost.face
        exact = owing * D(percent) / (100 + D(percent))
        places = D("1e-9") if mode == "PREPAID" else D("0.03")
        assert abs(settled.tax - exact) <= places
