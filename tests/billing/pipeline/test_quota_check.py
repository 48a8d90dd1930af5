from decimal import Decimal

import pytest

from billing.pipeline.quota_check import quota_check
from tests.billing.pipeline.drafts import draft, metered


@pytest.mark.parametrize(
    ("_case", "used", "note"),
    [
        ("below", "999.5", "No cap was passed."),
        ("exactly the cap", "1000", "No cap was passed."),
        ("beyond", "1250.5", "tokens: 250.5 beyond the cap of 1000, priced."),
    ],
)
def test_usage_beyond_a_cap_is_noted(_case: str, used: str, note: str) -> None:
    checked = quota_check(draft(usage=metered(used), caps={"tokens": Decimal(1000)}))

    assert checked.trace[0].notes == (note,)


def test_a_cap_on_a_metric_without_usage_is_not_passed() -> None:
    checked = quota_check(draft(caps={"tokens": Decimal(1000)}))

    assert checked.trace[0].notes == ("No cap was passed.",)


def test_usage_beyond_a_cap_stays_to_be_priced() -> None:
    before = draft(usage=metered("1500"), caps={"tokens": Decimal(1000)})

    assert quota_check(before).usage == before.usage
