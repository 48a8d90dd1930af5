"""Stage 6: the plan's minimum and maximum spend."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.calculation.calculation import CalculatedLine, Calculation, Consideration
from billing.calculation.stages.commit import commit
from tests.billing.calculation.calculations import draft
from wallets.lots.waterfall import Allocation


def rated(*amounts: str, mode: str = "HYBRID", **context: Any) -> Calculation:
    lines = tuple(CalculatedLine("USAGE", "Tokens", Decimal(amount)) for amount in amounts)
    subtotal = sum((line.amount for line in lines), Decimal(0))
    return draft(mode, lines=lines, subtotal=subtotal, **context)


def added(committed: Calculation) -> list[tuple[str, Decimal]]:
    return [(line.kind, line.amount) for line in committed.lines if line.kind != "USAGE"]


@pytest.mark.parametrize(
    ("_case", "minimum", "maximum", "subtotal", "line"),
    [
        ("neither", None, None, "30", None),
        ("below the minimum", "50", None, "50", ("COMMIT", 20)),
        ("exactly the minimum", "30", None, "30", None),
        ("above the maximum", None, "20", "20", ("ADJUSTMENT", -10)),
        ("exactly the maximum", None, "30", "30", None),
        ("between", "10", "40", "30", None),
        ("a maximum of nothing", None, "0", "0", ("ADJUSTMENT", -30)),
    ],
)
def test_spend_is_kept_between_minimum_and_maximum(
    _case: str,
    minimum: str | None,
    maximum: str | None,
    subtotal: str,
    line: tuple[str, int] | None,
) -> None:
    committed = commit(
        rated(
            "30",
            minimum_spend=None if minimum is None else Decimal(minimum),
            maximum_spend=None if maximum is None else Decimal(maximum),
        )
    )

    assert committed.subtotal == Decimal(subtotal)
    assert added(committed) == ([] if line is None else [line])


def test_a_minimum_is_owed_without_any_usage() -> None:
    committed = commit(rated(minimum_spend=Decimal(50)))

    assert (committed.subtotal, committed.commitment) == (50, 50)
    assert added(committed) == [("COMMIT", 50)]


@pytest.mark.parametrize(
    ("_case", "kind", "remaining", "commitment"),
    [
        # 1,000 units cost 50.00; burning 400 releases 20.00.
        ("bought", "CASH", "1000", 20),
        ("came with a purchase", "BONUS", "1000", 20),
        ("partly used before", "CASH", "700", 20),
        ("given", "PROMO", "1000", 40),
    ],
)
def test_paid_units_count_toward_a_minimum_at_what_they_cost(
    _case: str, kind: str, remaining: str, commitment: int
) -> None:
    """Paid unit lots count at carrying, promo at zero (docs/decisions.md#d35)."""
    bought = Consideration(carrying=Decimal(50), face=Decimal(1000), remaining=Decimal(remaining))
    committed = commit(
        rated(
            "10",
            minimum_spend=Decimal(50),
            unit_burns={"tokens": (Allocation(UUID(int=1), kind, Decimal(400)),)},
            considerations={UUID(int=1): bought},
        )
    )

    assert committed.commitment == commitment
    assert committed.subtotal == 10 + commitment


def test_paid_units_alone_can_reach_the_minimum() -> None:
    committed = commit(
        rated(
            "0",
            minimum_spend=Decimal(20),
            unit_burns={"tokens": (Allocation(UUID(int=1), "CASH", Decimal(400)),)},
            considerations={UUID(int=1): Consideration(Decimal(50), Decimal(1000), Decimal(1000))},
        )
    )

    assert (committed.subtotal, added(committed)) == (0, [])


@pytest.mark.parametrize(
    ("_case", "currency", "exact", "subtotal", "residue"),
    [
        ("half up, from even", "USD", "2.505", "2.51", "0.005"),
        ("half up, from odd", "USD", "2.515", "2.52", "0.005"),
        ("nothing to round", "USD", "2.51", "2.51", None),
        ("no decimals", "JPY", "100.5", "101", "0.5"),
        ("three decimals", "KWD", "1.2345", "1.235", "0.0005"),
    ],
)
@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
def test_the_subtotal_of_a_document_is_rounded_and_shows_the_residue(
    mode: str, _case: str, currency: str, exact: str, subtotal: str, residue: str | None
) -> None:
    committed = commit(rated(exact, mode=mode, currency=currency))

    assert committed.subtotal == Decimal(subtotal)
    assert added(committed) == ([] if residue is None else [("ROUNDING", Decimal(residue))])
    assert committed.rounding == Decimal(residue or 0)


def test_lines_are_rounded_together_and_not_one_by_one() -> None:
    # One by one they would be 0.00 + 0.00 + 0.00; together 0.012 is 0.01.
    committed = commit(rated("0.004", "0.004", "0.004"))

    assert committed.subtotal == Decimal("0.01")
    assert added(committed) == [("ROUNDING", Decimal("-0.002"))]


def test_prepaid_is_not_rounded_to_the_currency() -> None:
    committed = commit(rated("2.5025", mode="PREPAID"))

    assert (committed.subtotal, added(committed)) == (Decimal("2.5025"), [])


def test_prepaid_keeps_the_12_places_that_lots_have() -> None:
    # Exactly 2.000000000003; each line by itself is half even 1.000000000002.
    committed = commit(rated("1.0000000000015", "1.0000000000015", mode="PREPAID"))

    assert committed.subtotal == Decimal("2.000000000003")
    assert [line.amount for line in committed.lines] == [
        Decimal("1.000000000002"),
        Decimal("1.000000000002"),
        Decimal("-0.000000000001"),
    ]


def test_the_trace_says_why() -> None:
    low = commit(rated("30.004", minimum_spend=Decimal("50.004")))
    high = commit(rated("30", maximum_spend=Decimal(20)))
    between = commit(rated("30"))

    assert low.trace[0].given == {"subtotal": "30.004"}
    assert low.trace[0].found == {"subtotal": "50"}
    assert low.trace[0].notes == (
        "Raised to the minimum spend of 50.004.",
        "Rounded by -0.004.",
    )
    assert high.trace[0].notes == ("Cut to the maximum spend of 20.",)
    assert between.trace[0].notes == ("Within the plan's minimum and maximum.",)
