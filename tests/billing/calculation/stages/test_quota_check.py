"""Stage 1: the plan's caps."""

from decimal import Decimal

import pytest

from billing import calculation
from billing.calculation.stages.quota_check import quota_check
from pricing.terms import Beyond, Cap
from tests.billing.calculation.calculations import charge, draft, metered

PRICED = {"tokens": Cap(Decimal(1000))}
REFUSED = {"tokens": Cap(Decimal(1000), Beyond.REFUSED)}


@pytest.mark.parametrize(
    ("_case", "used", "note"),
    [
        ("below", "999.5", "No cap was passed."),
        ("exactly the cap", "1000", "No cap was passed."),
        ("beyond", "1250.5", "tokens: 250.5 beyond the cap of 1000, priced."),
    ],
)
def test_usage_beyond_a_cap_is_noted(_case: str, used: str, note: str) -> None:
    before = draft(usage=metered(used), caps=PRICED)

    checked = quota_check(before)

    assert checked.trace[0].notes == (note,)
    assert checked.usage == before.usage


@pytest.mark.parametrize("caps", [PRICED, REFUSED])
def test_a_cap_on_a_metric_without_usage_is_not_passed(caps: dict[str, Cap]) -> None:
    checked = quota_check(draft(caps=caps))

    assert checked.trace[0].notes == ("No cap was passed.",)
    assert checked.usage == {}


@pytest.mark.parametrize(
    ("_case", "used", "kept", "note"),
    [
        ("below", "999.5", "999.5", "No cap was passed."),
        ("exactly the cap", "1000", "1000", "No cap was passed."),
        (
            "beyond",
            "1250.5",
            "1000",
            "tokens: 250.5 beyond the cap of 1000, refused: not billed.",
        ),
    ],
)
def test_usage_beyond_a_refused_cap_is_cut(_case: str, used: str, kept: str, note: str) -> None:
    checked = quota_check(draft(usage=metered(used, events=3), caps=REFUSED))

    assert checked.trace[0].notes == (note,)
    assert checked.usage == metered(kept, events=3)


@pytest.mark.parametrize(("caps", "subtotal"), [({}, "3.00"), (PRICED, "3.00"), (REFUSED, "2.00")])
def test_a_cap_decides_what_is_charged(caps: dict[str, Cap], subtotal: str) -> None:
    """1,500 tokens at 0.002 are 3.00; the first 1,000 of them are 2.00."""
    run = calculation.run(draft(usage=metered("1500"), charges=(charge(),), caps=caps))

    assert run.subtotal == Decimal(subtotal)
