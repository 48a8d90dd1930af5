from decimal import Decimal

import pytest

from aforo.errors import Invalid
from pricing import terms
from pricing.terms import Rollover, RolloverMode


@pytest.mark.parametrize(
    ("data", "parsed"),
    [
        ({"mode": "NONE"}, Rollover()),
        ({"mode": "ALL"}, Rollover(mode=RolloverMode.ALL)),
        ({"mode": "ALL", "cycles": 2}, Rollover(mode=RolloverMode.ALL, cycles=2)),
        (
            {"mode": "PERCENT", "percent": "50"},
            Rollover(mode=RolloverMode.PERCENT, percent=Decimal(50)),
        ),
        (
            {"mode": "CAPPED", "maximum": "5000"},
            Rollover(mode=RolloverMode.CAPPED, maximum=Decimal(5000)),
        ),
        (
            {"mode": "CAPPED", "minimum": "100"},
            Rollover(mode=RolloverMode.CAPPED, minimum=Decimal(100)),
        ),
    ],
)
def test_a_rule_stands_by_itself_for_grants(data: dict[str, object], parsed: Rollover) -> None:
    assert terms.parse_rollover(data) == parsed
    assert terms.rollover_to_json(parsed) == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, ("/mode", "required")),
        ({"mode": "SOME"}, ("/mode", "unknown_mode")),
        ({"mode": ["ALL"]}, ("/mode", "unknown_mode")),
        ({"mode": "NONE", "cycles": 1}, ("/cycles", "not_combinable")),
        ({"mode": "ALL", "percent": 50}, ("/percent", "not_combinable")),
        ({"mode": "ALL", "maximum": 50}, ("/maximum", "not_combinable")),
        ({"mode": "PERCENT"}, ("/percent", "required")),
        ({"mode": "PERCENT", "percent": 101}, ("/percent", "too_large")),
        ({"mode": "PERCENT", "percent": 0}, ("/percent", "not_positive")),
        ({"mode": "CAPPED"}, ("/maximum", "required")),
        (
            {"mode": "CAPPED", "minimum": 9, "maximum": 8},
            ("/minimum", "minimum_above_maximum"),
        ),
        ({"mode": "ALL", "cycles": 0}, ("/cycles", "out_of_range")),
        ({"mode": "ALL", "cycles": "1.5"}, ("/cycles", "out_of_range")),
        ({"mode": "ALL", "cycles": 1001}, ("/cycles", "out_of_range")),
        ({"mode": "ALL", "forever": True}, ("/forever", "unknown_field")),
        (["ALL"], ("", "invalid_type")),
    ],
)
def test_a_rule_refuses_what_its_mode_does_not_know(
    data: object, expected: tuple[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        terms.parse_rollover(data)

    (error,) = refused.value.errors
    assert (error.pointer, error.code) == expected
