"""Stage 9: who pays."""

from decimal import Decimal
from uuid import UUID

import pytest

from billing.calculation.calculation import (
    Overage,
    Tax,
)
from billing.calculation.stages.route import route
from tests.billing.calculation.calculations import burned, draft, lot, paid, routed, shares

D = Decimal
VAT_10 = Tax("VAT", D(10))
PROMO_LAST = ("BONUS", "CASH", "PROMO")


@pytest.mark.parametrize(
    ("mode", "who"),
    [
        ("PREPAID", {"CASH": 5, "arrears": 1}),
        ("HYBRID", {"CASH": 5, "invoice": 1}),
        ("POSTPAID", {"invoice": 6}),
    ],
)
def test_the_mode_says_who_pays_what_credits_leave(mode: str, who: dict[str, int]) -> None:
    """6.00 are due after units, cash 5.00 is there (docs/accounting.md#waterfall)."""
    assert paid(routed("6", lot("CASH", "5"), mode=mode)) == who


def test_postpaid_burns_what_was_given() -> None:
    lots = (lot("PROMO", "1", 1), lot("BONUS", "2", 2), lot("CASH", "5", 3))

    assert paid(routed("6", *lots, mode="POSTPAID")) == {"PROMO": 1, "BONUS": 2, "invoice": 3}


def test_credits_that_cover_all_leave_nothing_due() -> None:
    settled = routed("6", lot("PROMO", "4", 1), lot("CASH", "5", 2))

    assert paid(settled) == {"PROMO": 4, "CASH": 2}
    assert [p.kind for p in settled.payers] == ["PROMO", "CASH"]


def test_the_plan_orders_the_kinds_and_may_leave_one_out() -> None:
    lots = (lot("PROMO", "4", 1), lot("BONUS", "4", 2), lot("CASH", "4", 3))

    first = routed("6", *lots, money_order=("CASH", "PROMO", "BONUS"))
    without = routed("6", *lots, money_order=("PROMO",))

    assert paid(first) == {"CASH": 4, "PROMO": 2}
    assert paid(without) == {"PROMO": 4, "invoice": 2}


def test_nothing_to_pay_has_no_payer() -> None:
    settled = routed("0", lot("CASH", "5"), tax_rate=VAT_10)

    assert (paid(settled), settled.payers, settled.money_burns) == ({}, (), ())


class TestWholeCents:
    def test_the_last_burn_is_trimmed_where_something_goes_to_the_invoice(self) -> None:
        """Wallet 29.9975, total 108.00: 29.99 burns, .0075 stays (docs/decisions.md#d11)."""
        assert paid(routed("108", lot("CASH", "29.9975"))) == {
            "CASH": D("29.99"),
            "invoice": D("78.01"),
        }

    def test_trimming_may_undo_a_burn_and_reach_into_the_one_before(self) -> None:
        settled = routed("108", lot("BONUS", "10.004", 1), lot("CASH", "0.003", 2))

        # 10.007 is cut to 10.00: all .003 of the last, .004 of the one before.
        assert burned(*settled.money_burns) == [(1, "BONUS", 10)]
        assert settled.to_invoice == 98

    def test_less_than_a_cent_in_all_stays_where_it_is(self) -> None:
        assert paid(routed("108", lot("CASH", "0.0075"))) == {"invoice": 108}

    def test_where_credits_cover_all_nothing_is_trimmed(self) -> None:
        settled = routed("10", lot("PROMO", "9.9975", 1), lot("CASH", "5", 2))

        assert paid(settled) == {"PROMO": D("9.9975"), "CASH": D("0.0025")}

    def test_prepaid_burns_everything(self) -> None:
        assert paid(routed("108", lot("CASH", "29.9975"), mode="PREPAID")) == {
            "CASH": D("29.9975"),
            "arrears": D("78.0025"),
        }

    def test_a_currency_without_decimals_is_trimmed_to_whole_units(self) -> None:
        assert paid(routed("108", lot("CASH", "29.9975"), currency="JPY")) == {
            "CASH": 29,
            "invoice": 79,
        }


class TestTax:
    """Promo money reduces the taxable base; paid lots pay gross (docs/decisions.md#d32)."""

    def test_without_promo_everybody_carries_the_same_share(self) -> None:
        settled = routed("30", lot("CASH", "11"), tax_rate=VAT_10)

        assert (settled.tax, settled.total) == (3, 33)
        assert shares(settled) == [("CASH", 11, 10, 1), ("INVOICE", 22, 20, 2)]

    def test_what_promo_pays_is_not_taxed(self) -> None:
        lots = (lot("PROMO", "20", 1), lot("CASH", "50", 2))

        settled = routed("100", *lots, tax_rate=Tax("VAT", D(25)))

        # 25 % of 80.
        assert (settled.tax, settled.total) == (20, 120)
        assert shares(settled) == [
            ("PROMO", 20, 20, 0),
            ("CASH", 50, 40, 10),
            ("INVOICE", 50, 40, 10),
        ]

    def test_promo_that_pays_all_leaves_no_tax(self) -> None:
        settled = routed("100", lot("PROMO", "500"), tax_rate=VAT_10)

        assert (settled.tax, settled.total, paid(settled)) == (0, 100, {"PROMO": 100})
        assert [line.kind for line in settled.lines] == ["USAGE"]

    @pytest.mark.parametrize(
        ("_case", "promo", "tax", "who"),
        [
            # 33 cash pay 30 of the net and 3 of tax.
            ("promo covers the rest", "200", 3, {"CASH": 33, "PROMO": 70}),
            ("promo covers it exactly", "70", 3, {"CASH": 33, "PROMO": 70}),
            ("some is left", "40", 6, {"CASH": 33, "PROMO": 40, "invoice": 33}),
        ],
    )
    def test_paid_kinds_that_come_before_promo_pay_gross(
        self, _case: str, promo: str, tax: int, who: dict[str, int]
    ) -> None:
        lots = (lot("CASH", "33", 1), lot("PROMO", promo, 2))

        settled = routed("100", *lots, tax_rate=VAT_10, money_order=PROMO_LAST)

        assert (settled.tax, paid(settled)) == (tax, who)
        assert all(p.tax * 10 == p.net for p in settled.payers if p.kind != "PROMO")

    def test_paid_kinds_that_cover_the_gross_amount_leave_promo_alone(self) -> None:
        lots = (lot("CASH", "120", 1), lot("PROMO", "50", 2))

        settled = routed("100", *lots, tax_rate=VAT_10, money_order=PROMO_LAST)

        assert (settled.tax, paid(settled)) == (10, {"CASH": 110})

    @pytest.mark.parametrize(
        ("mode", "tax", "promo"),
        [
            # 30 / 1.1 = 27.272727272727 of the net, taxed with 2.7272727272727.
            ("HYBRID", "2.73", "72.73"),
            ("PREPAID", "2.727272727273", "72.727272727273"),
        ],
    )
    def test_the_residue_of_a_division_goes_to_promo_as_the_last_payer(
        self, mode: str, tax: str, promo: str
    ) -> None:
        lots = (lot("CASH", "30", 1), lot("PROMO", "500", 2))

        settled = routed("100", *lots, mode=mode, tax_rate=VAT_10, money_order=PROMO_LAST)

        assert (settled.tax, paid(settled)) == (D(tax), {"CASH": 30, "PROMO": D(promo)})

    def test_what_trimming_takes_from_promo_is_taxed(self) -> None:
        settled = routed("100", lot("PROMO", "29.9799"), tax_rate=Tax("VAT", D(19)))

        # 29.97 burn. 19 % of 70.03 is 13.3057; of the untrimmed 70.0201 it would be 13.30.
        assert (settled.tax, settled.total) == (D("13.31"), D("113.31"))
        assert shares(settled) == [
            ("PROMO", D("29.97"), D("29.97"), 0),
            ("INVOICE", D("83.34"), D("70.03"), D("13.31")),
        ]

    @pytest.mark.parametrize(
        ("_case", "currency", "percent", "bonus", "promo"),
        [
            # .027 / 1.2 = .0225 of the net, taxed with .0045: less than half a cent.
            ("a cent", "USD", "20", "0.027", "99.973"),
            # .9 / 2 = .45 of the net, taxed with .45: less than half a yen.
            ("a yen", "JPY", "100", "0.9", "99.1"),
        ],
    )
    def test_what_rounding_takes_from_promo_is_not_taxed(
        self, _case: str, currency: str, percent: str, bonus: str, promo: str
    ) -> None:
        """Where credits cover all, nothing was trimmed: no payer takes over a part of promo's."""
        lots = (lot("BONUS", bonus, 1), lot("PROMO", "500", 2))

        settled = routed(
            "100",
            *lots,
            tax_rate=Tax("VAT", D(percent)),
            money_order=("BONUS", "PROMO"),
            currency=currency,
        )

        assert (settled.tax, settled.total) == (0, 100)
        assert shares(settled) == [
            ("BONUS", D(bonus), D(bonus), 0),
            ("PROMO", D(promo), D(promo), 0),
        ]

    def test_the_shares_of_the_tax_sum_to_it_to_the_last_place(self) -> None:
        lots = tuple(lot("CASH", "3", number) for number in (1, 2, 3))

        settled = routed("10", *lots, mode="PREPAID", tax_rate=VAT_10)

        # Running sums: 3/11, 6/11, 9/11 and all of 1.00.
        assert [(p.kind, p.gross, p.tax) for p in settled.payers] == [
            ("CASH", 3, D("0.272727272727")),
            ("CASH", 3, D("0.272727272728")),
            ("CASH", 3, D("0.272727272727")),
            ("ARREARS", 2, D("0.181818181818")),
        ]


class TestOverage:
    """Of wallet debits: the tax is inside, nothing is discounted, whoever pays the rest pays it."""

    def test_the_line_is_net_and_the_tax_inside_is_tax(self) -> None:
        """48 at 20 % are 40 and 8, beside 10 and 2 of usage."""
        vat = Tax("VAT", D(20))

        settled = routed("10", tax_rate=vat, overages=(Overage(UUID(int=8), D(48), vat),))

        assert [(line.kind, line.amount) for line in settled.lines] == [
            ("USAGE", 10),
            ("TAX", 10),
            ("OVERAGE", 40),
        ]
        assert (settled.tax, settled.total) == (10, 60)
        assert shares(settled) == [("INVOICE", 60, 50, 10)]

    def test_each_debit_keeps_the_rate_of_its_moment(self) -> None:
        overages = (
            Overage(UUID(int=7), D(48), Tax("VAT", D(20))),
            Overage(UUID(int=8), D(11), VAT_10),
            Overage(UUID(int=9), D(5)),
        )

        settled = routed("0", overages=overages)

        assert [(line.kind, line.amount) for line in settled.lines] == [
            ("USAGE", 0),
            ("TAX", 8),
            ("TAX", 1),
            ("OVERAGE", 40),
            ("OVERAGE", 10),
            ("OVERAGE", 5),
        ]
        assert settled.total == 64

    def test_promo_pays_it_at_face_and_owes_no_tax(self) -> None:
        vat = Tax("VAT", D(20))

        settled = routed("0", lot("PROMO", "48"), overages=(Overage(UUID(int=9), D(48), vat),))

        assert (settled.tax, settled.bonus, paid(settled)) == (0, 8, {"PROMO": 48})

    def test_it_is_a_line_and_part_of_the_total(self) -> None:
        overages = (Overage(UUID(int=8), D("1.00")), Overage(UUID(int=9), D("0.50")))

        settled = routed("30", tax_rate=VAT_10, overages=overages)

        assert [(line.kind, line.amount) for line in settled.lines] == [
            ("USAGE", 30),
            ("TAX", 3),
            ("OVERAGE", 1),
            ("OVERAGE", D("0.50")),
        ]
        assert (settled.total, paid(settled)) == (D("34.50"), {"invoice": D("34.50")})

    def test_credits_pay_it_too(self) -> None:
        settled = routed(
            "30", lot("PROMO", "40"), tax_rate=VAT_10, overages=(Overage(UUID(int=9), D("1.5")),)
        )

        # Promo pays the net first, so that none of it is taxed, then the overage.
        assert (settled.tax, paid(settled)) == (0, {"PROMO": D("31.5")})

    def test_alone_it_makes_a_document(self) -> None:
        settled = route(draft(overages=(Overage(UUID(int=9), D("1.00")),)))

        assert [line.kind for line in settled.lines] == ["OVERAGE"]
        assert paid(settled) == {"invoice": 1}

    def test_parts_of_a_cent_are_rounded_where_the_document_is(self) -> None:
        overages = (Overage(UUID(int=9), D("1.0049")),)

        hybrid = routed("30", overages=overages)
        prepaid = routed("30", mode="PREPAID", overages=overages)

        assert (hybrid.total, hybrid.rounding) == (D("31.00"), D("-0.0049"))
        assert [(line.kind, line.amount) for line in hybrid.lines[1:]] == [
            ("OVERAGE", D("1.0049")),
            ("ROUNDING", D("-0.0049")),
        ]
        assert (prepaid.total, prepaid.rounding) == (D("31.0049"), 0)


def test_the_trace_says_who_paid() -> None:
    settled = routed("6", lot("CASH", "5", 7))

    assert settled.trace[0].given == {"total": "6"}
    assert settled.trace[0].found == {
        "PROMO": "0",
        "BONUS": "0",
        "CASH": "5",
        "to_invoice": "1",
        "arrears": "0",
    }
    assert settled.trace[0].notes == (f"5 from CASH lot {UUID(int=7)}.",)
