"""The journal of each event, as docs/accounting.md#events has it; every sum can be done by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.errors import InvariantBroken
from ledger import posting_rules
from ledger.chart import VARIANTS
from ledger.models import LedgerEvent
from ledger.posting_rules import PostingLine, allowed_pairs, manual_pairs
from tests.ledger.postings import CHART, LOT, Short, amounts, short


@pytest.mark.parametrize(
    ("kind", "source", "carrying", "tax", "expected"),
    [
        ("PROMO", "MANUAL", "0", "0", []),
        ("PROMO", "GOODWILL", "10", "0", [("2130", "4000", "10")]),
        ("BONUS", "TOP_UP", "16.67", "0", [("2110", "4010", "16.67")]),
        ("CASH", "TOP_UP", "5", "0", [("2100", "4000", "5")]),
        # 12 gross at 20 %: 10 earned, 2 owed to the state.
        ("CASH", "TOP_UP", "12", "2", [("2100", "4000", "10"), ("2100", "2300", "2")]),
        ("BONUS", "TOP_UP", "3", "0.5", [("2110", "4010", "2.5"), ("2110", "2300", "0.5")]),
    ],
)
def test_a_burn_earns_what_the_lot_releases_less_the_tax(
    kind: str, source: str, carrying: str, tax: str, expected: Short
) -> None:
    lines = posting_rules.burn(
        kind=kind,
        source=source,
        carrying=Decimal(carrying),
        currency="USD",
        lot=LOT,
        tax=Decimal(tax),
    )

    assert short(lines) == expected
    assert all((line.lot, line.currency) == (LOT, "USD") for line in lines)


@pytest.mark.parametrize(
    ("kind", "source", "carrying", "expected"),
    [
        ("PROMO", "CAMPAIGN", "0", []),
        ("PROMO", "GOODWILL", "4", [("2130", "4930", "4")]),
        ("BONUS", "TOP_UP", "4", [("2110", "4210", "4")]),
        ("CASH", "TOP_UP", "4", [("2100", "4200", "4")]),
    ],
)
def test_a_lapse_is_breakage(kind: str, source: str, carrying: str, expected: Short) -> None:
    lines = posting_rules.expiry(
        kind=kind, source=source, carrying=Decimal(carrying), currency="USD", lot=LOT
    )

    assert short(lines) == expected


@pytest.mark.parametrize(
    ("kind", "paid_into", "expected"),
    [
        ("CASH", "1010", [("1010", "2100", "83.33")]),
        ("BONUS", "1010", [("1010", "2110", "83.33")]),
        ("CASH", "1100", [("1100", "2100", "83.33")]),
    ],
)
def test_a_sale_is_a_liability(kind: str, paid_into: str, expected: Short) -> None:
    lines = posting_rules.credits_sold(
        kind=kind,
        source="TOP_UP",
        carrying=Decimal("83.33"),
        currency="USD",
        lot=LOT,
        paid_into=paid_into,
    )

    assert short(lines) == expected


def test_goodwill_reduces_revenue_when_it_is_given() -> None:
    lines = posting_rules.goodwill_granted(face=Decimal(10), currency="USD", lot=LOT)

    assert short(lines) == [("4930", "2130", "10")]


def test_uncovered_usage_is_unbilled_then_receivable_then_paid() -> None:
    """108 gross: 100 net, of which 20 are fees and 30 commitment; 8 tax, owed with the invoice."""
    accrued = posting_rules.usage_uncovered(
        net=Decimal(100), fees=Decimal(20), commitment=Decimal(30), currency="USD"
    )
    issued = posting_rules.invoice_issued(net=Decimal(100), tax=Decimal(8), currency="USD")
    paid = posting_rules.payment_received(amount=Decimal(108), currency="USD")

    assert short(accrued) == [
        ("1200", "4020", "50"),
        ("1200", "4030", "20"),
        ("1200", "4040", "30"),
    ]
    assert short(issued) == [("1100", "1200", "100"), ("1100", "2300", "8")]
    assert short(paid) == [("1000", "1100", "108")]


@pytest.mark.parametrize(
    ("residue", "expected"),
    [
        ("0.004", [("1200", "7900", "0.004")]),
        ("-0.004", [("7900", "1200", "0.004")]),
        ("0", []),
    ],
)
def test_a_residue_of_rounding_has_its_own_account(residue: str, expected: Short) -> None:
    assert short(posting_rules.rounding(residue=Decimal(residue), currency="USD")) == expected


def test_an_amount_below_zero_stops_here() -> None:
    with pytest.raises(InvariantBroken):
        posting_rules.payment_received(amount=Decimal("-0.01"), currency="USD")


@given(
    kind=st.sampled_from(["PROMO", "BONUS", "CASH"]),
    source=st.sampled_from(["PLAN", "TOP_UP", "GOODWILL", "MANUAL"]),
    carrying=amounts,
    tax=amounts,
)
def test_a_burn_releases_the_lot_owes_the_tax_and_can_be_mirrored(
    kind: str, source: str, carrying: Decimal, tax: Decimal
) -> None:
    tax = min(tax, carrying)
    lines = posting_rules.burn(
        kind=kind, source=source, carrying=carrying, currency="USD", lot=LOT, tax=tax
    )

    liability = posting_rules.liability(kind=kind, source=source)
    assert _moved(lines, liability) == carrying
    assert _moved(lines, posting_rules.TAX_PAYABLE) == -tax
    assert {line.debit for line in lines} | {line.credit for line in lines} <= CHART
    undone = [*lines, *posting_rules.reversal(lines)]
    assert all(_moved(undone, account) == 0 for account in CHART)


def _moved(lines: list[PostingLine], account: str) -> Decimal:
    """Sum what an account was debited, less what it was credited."""
    debited = sum((line.amount for line in lines if line.debit == account), Decimal(0))
    return debited - sum((line.amount for line in lines if line.credit == account), Decimal(0))


def test_a_lapse_of_less_than_was_recognised_before_stops_here() -> None:
    with pytest.raises(InvariantBroken, match="less than was accrued"):
        posting_rules.expiry(
            kind="CASH",
            source="TOP_UP",
            carrying=Decimal(10),
            currency="USD",
            lot=LOT,
            accrued=Decimal(11),
        )


@pytest.mark.parametrize(
    ("days", "earned"), [(-1, "0"), (0, "0"), (20, "60"), (30, "90"), (31, "90")]
)
def test_a_fee_is_earned_by_day(days: int, earned: str) -> None:
    assert posting_rules.fee_earned_to_date(fee=Decimal(90), days=days, of_days=30) == Decimal(
        earned
    )


def test_a_plan_change_on_day_21_keeps_60_of_the_old_fee_and_takes_40_of_the_new() -> None:
    """90 and 120 for 30 days; 20 are over (docs/accounting.md#e37)."""
    old = posting_rules.fee_earned_to_date(fee=Decimal(90), days=20, of_days=30)
    new = Decimal(120) - posting_rules.fee_earned_to_date(fee=Decimal(120), days=20, of_days=30)

    assert (old, new) == (60, 40)


@given(fee=amounts, of_days=st.integers(1, 366))
def test_the_days_of_a_fee_sum_to_it(fee: Decimal, of_days: int) -> None:
    to_date = [
        posting_rules.fee_earned_to_date(fee=fee, days=day, of_days=of_days)
        for day in range(of_days + 1)
    ]

    assert (to_date[0], to_date[-1]) == (0, fee)
    assert to_date == sorted(to_date)


class TestRules:
    def test_every_event_has_a_rule_and_every_rule_an_event(self) -> None:
        assert set(allowed_pairs.RULES) == set(LedgerEvent.values)

    def test_rules_name_accounts_of_the_chart_only(self) -> None:
        named = {code for pairs in allowed_pairs.RULES.values() for pair in pairs for code in pair}

        assert named <= CHART

    @pytest.mark.parametrize(
        ("event", "debit", "credit"),
        [
            ("DEBIT", "1010", "4000"),  # Cash never moves revenue.
            ("TOP_UP", "1010", "4000"),
            ("EXPIRY", "2100", "4000"),
            ("ROLLOVER", "2100", "4200"),
            ("PAYMENT", "1000", "4020"),
            ("MANUAL", "2100", "4000"),  # Credits are corrected through their lots.
            ("MANUAL", "4000", "1100"),
        ],
    )
    def test_a_balanced_entry_can_still_be_wrong(self, event: str, debit: str, credit: str) -> None:
        with pytest.raises(InvariantBroken, match=f"{event} never moves {debit} / {credit}"):
            allowed_pairs.check(event, [PostingLine(debit, credit, Decimal(1), "USD")])

    def test_nobody_posts_to_a_control_account_by_hand(self) -> None:
        """An accrual is the exception: it takes itself back."""
        by_hand = {
            code
            for reason, pairs in manual_pairs.MANUAL.items()
            for pair in pairs
            for code in pair
            if reason != "ACCRUAL"
        }

        assert by_hand & manual_pairs.CONTROL == set()
        assert manual_pairs.MANUAL["ACCRUAL"] == {
            ("1200", "4020"), ("1200", "4030"), ("1200", "4040"),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("reason", "debit", "credit"),
        [
            ("BILLING_ERROR", "2120", "4020"),  # Fees are never overage.
            ("BILLING_ERROR", "2220", "4000"),  # A payment is not revenue.
            ("BILLING_ERROR", "2400", "4000"),
            ("ACCRUAL", "4020", "1200"),
            ("REMITTANCE", "2120", "1000"),
            ("CREDIT_LOSS", "6200", "1100"),
        ],
    )
    def test_a_reason_moves_its_own_accounts_only(
        self, reason: str, debit: str, credit: str
    ) -> None:
        assert (debit, credit) not in manual_pairs.MANUAL[reason]

    @given(
        kind=st.sampled_from(["PROMO", "BONUS", "CASH"]),
        source=st.sampled_from(["PLAN", "TOP_UP", "GOODWILL", "MANUAL"]),
        carrying=amounts,
        tax=amounts,
        advance_fee=amounts,
    )
    def test_whatever_burns_or_lapses_keeps_to_its_pairs(
        self, kind: str, source: str, carrying: Decimal, tax: Decimal, advance_fee: Decimal
    ) -> None:
        lot = {"kind": kind, "source": source, "currency": "USD", "lot": LOT}
        tax = min(tax, carrying)
        burned = posting_rules.burn(**lot, carrying=carrying, tax=tax, advance_fee=advance_fee)  # type: ignore[arg-type]

        allowed_pairs.check("DEBIT", burned)
        allowed_pairs.check("REVERSAL", posting_rules.reversal(burned))
        allowed_pairs.check("EXPIRY", posting_rules.expiry(**lot, carrying=carrying))  # type: ignore[arg-type]


class TestChart:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_a_variant_names_every_account_once(self, variant: str) -> None:
        named = VARIANTS[variant]

        assert set(named) == CHART
        assert len({code for code, _ in named.values()}) == len(named)
        assert all(name for _, name in named.values())
