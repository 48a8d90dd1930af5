"""Stage 2: the included quantity of each charge."""

from decimal import Decimal

import pytest

from billing.calculation.stages.rollover import rollover
from pricing.terms import FlatRate, IncludedQuota, Percentage, PerUnit, Terms, UnitOverage
from tests.billing.calculation.calculations import charge, draft

QUOTA = IncludedQuota(
    included_quantity=Decimal(3000), overage=UnitOverage(unit_price=Decimal("0.5"))
)


def quota(included: str) -> PerUnit:
    return PerUnit(unit_price=Decimal(1), included_quantity=Decimal(included))


@pytest.mark.parametrize(
    ("_case", "terms", "served", "rolled_in", "expected"),
    [
        ("its own", QUOTA, "30", None, "3000"),
        ("what rolled in comes on top", QUOTA, "30", "250", "3250"),
        ("a third of the time, a third of the quantity", QUOTA, "10", None, "1000"),
        ("what rolled in is not cut by time", QUOTA, "10", "250", "1250"),
        ("to the 12 places of the books", quota("10000"), "10", None, "3333.333333333333"),
        ("what rolled in alone", quota("0"), "30", "250", "250"),
    ],
)
def test_a_charge_includes_its_own_quantity_by_time_and_what_rolled_in(
    _case: str, terms: Terms, served: str, rolled_in: str | None, expected: str
) -> None:
    rolled = rollover(
        draft(
            charges=(charge(terms),),
            served=Decimal(served),
            of_full=Decimal(30),
            rolled_in={} if rolled_in is None else {"tokens": Decimal(rolled_in)},
        )
    )

    assert rolled.quotas == {"tokens": Decimal(expected)}


@pytest.mark.parametrize(
    "terms", [quota("0"), FlatRate(flat_fee=Decimal(9)), Percentage(percent=Decimal(2))]
)
def test_a_charge_that_includes_nothing_has_no_quota(terms: Terms) -> None:
    assert rollover(draft(charges=(charge(terms),))).quotas == {}


def test_the_trace_says_what_rolled_in() -> None:
    rolled = rollover(draft(charges=(charge(QUOTA),), rolled_in={"tokens": Decimal(250)}))

    assert rolled.trace[0].given == {"tokens": "250"}
    assert rolled.trace[0].found == {"tokens": "3250"}
    assert rolled.trace[0].notes == ("tokens: 250 rolled in.",)
