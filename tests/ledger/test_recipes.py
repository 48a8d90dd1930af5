"""The journal of each event, as FINANCE 3 has it; every sum can be done by hand."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.errors import InvariantBroken
from ledger import recipes
from ledger.chart import DEFAULT_CHART
from ledger.recipes import Line

LOT = UUID("018f0000-0000-7000-8000-000000000001")
CHART = {code for code, _, _, _ in DEFAULT_CHART}

Short = list[tuple[str, str, str]]


def short(lines: list[Line]) -> Short:
    return [(line.debit, line.credit, f"{line.amount:f}") for line in lines]


@pytest.mark.parametrize(
    ("kind", "source", "carrying", "tax", "expected"),
    [
        ("PROMO", "MANUAL", "0", "0", []),
        ("PROMO", "GOODWILL", "10", "0", [("2130", "4000", "10")]),
        ("BONUS", "TOP_UP", "16.67", "0", [("2110", "4010", "16.67")]),
        ("CASH", "TOP_UP", "5", "0", [("2100", "4000", "5")]),
        # 12 gross at 20 %: 10 earned, 2 owed to the state.
        ("CASH", "TOP_UP", "12", "2", [("2100", "4000", "10"), ("2100", "2300", "2")]),
        # A lot that cost nothing still pays gross: its tax is part of the discount.
        ("CASH", "PLAN", "0", "2", [("4900", "2300", "2")]),
        ("BONUS", "PLAN", "1.5", "2", [("2110", "2300", "1.5"), ("4901", "2300", "0.5")]),
    ],
)
def test_a_burn_earns_what_the_lot_releases_less_the_tax(
    kind: str, source: str, carrying: str, tax: str, expected: Short
) -> None:
    lines = recipes.burn(
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
    lines = recipes.expiry(
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
    lines = recipes.credits_sold(
        kind=kind,
        source="TOP_UP",
        carrying=Decimal("83.33"),
        currency="USD",
        lot=LOT,
        paid_into=paid_into,
    )

    assert short(lines) == expected


def test_goodwill_reduces_revenue_when_it_is_given() -> None:
    lines = recipes.goodwill_granted(face=Decimal(10), currency="USD", lot=LOT)

    assert short(lines) == [("4930", "2130", "10")]


def test_uncovered_usage_is_unbilled_then_receivable_then_paid() -> None:
    """108 gross: 100 net, of which 20 are fees and 30 commitment; 8 tax, owed with the invoice."""
    accrued = recipes.usage_uncovered(
        net=Decimal(100), fees=Decimal(20), commitment=Decimal(30), currency="USD"
    )
    issued = recipes.invoice_issued(net=Decimal(100), tax=Decimal(8), currency="USD")
    paid = recipes.payment_received(amount=Decimal(108), currency="USD")

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
    assert short(recipes.rounding(residue=Decimal(residue), currency="USD")) == expected


def test_an_amount_below_zero_stops_here() -> None:
    with pytest.raises(InvariantBroken):
        recipes.payment_received(amount=Decimal("-0.01"), currency="USD")


amounts = st.decimals(min_value=0, max_value=10**12, places=12)


@given(
    kind=st.sampled_from(["PROMO", "BONUS", "CASH"]),
    source=st.sampled_from(["PLAN", "TOP_UP", "GOODWILL", "MANUAL"]),
    carrying=amounts,
    tax=amounts,
)
def test_a_burn_releases_the_lot_owes_the_tax_and_can_be_mirrored(
    kind: str, source: str, carrying: Decimal, tax: Decimal
) -> None:
    lines = recipes.burn(
        kind=kind, source=source, carrying=carrying, currency="USD", lot=LOT, tax=tax
    )

    liability = recipes.liability(kind=kind, source=source)
    assert _moved(lines, liability) == carrying
    assert _moved(lines, recipes.TAX_PAYABLE) == -tax
    assert {line.debit for line in lines} | {line.credit for line in lines} <= CHART
    undone = [*lines, *recipes.reversal(lines)]
    assert all(_moved(undone, account) == 0 for account in CHART)


def _moved(lines: list[Line], account: str) -> Decimal:
    """Sum what an account was debited, less what it was credited."""
    debited = sum((line.amount for line in lines if line.debit == account), Decimal(0))
    return debited - sum((line.amount for line in lines if line.credit == account), Decimal(0))
