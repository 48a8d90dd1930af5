"""The JSON that the API and the invoice page show."""

import json
from decimal import Decimal
from uuid import UUID

from billing import calculation
from billing.calculation import presentation
from billing.calculation.calculation import CouponTerms, Overage, Tax
from tests.billing.calculation.calculations import charge, draft, lot, metered

TITLES = [
    "Quota check", "Rollover", "Aggregate", "Allowance", "Rate", "Commit", "Discount", "Tax",
    "Route",
]  # fmt: skip


def test_totals_are_positive_decimals_in_plain_strings() -> None:
    settled = calculation.run(
        draft(
            charges=(charge(),),
            usage=metered("27000"),
            coupons=(CouponTerms("TEN", percent=Decimal(10)),),
            tax_rate=Tax("VAT", Decimal(10)),
            unit_lots={"tokens": (lot("PROMO", "10000", 1), lot("BONUS", "2000", 2))},
            money_lots=(lot("PROMO", "7", 3), lot("CASH", "12", 4)),
            overages=(Overage(UUID(int=9), Decimal(2)),),
        )
    )

    # 15,000 x 0.002 = 30.00; less 3.00; taxed on 27.00 less 7.00 of promo. Cash and the invoice
    # share the tax by what they pay: 12.00 each.
    assert presentation.totals(settled) == {
        "subtotal": "30",
        "discount": "3",
        "coupons": [{"code": "TEN", "amount": "3", "period": 0}],
        "tax": "2",
        "bonus": "0",
        "overage": "2",
        "tax_in_units": "0",
        "total": "31",
        "from_units": [
            {"metric": "tokens", "kind": "PROMO", "quantity": "10000"},
            {"metric": "tokens", "kind": "BONUS", "quantity": "2000"},
        ],
        "from_wallet": {"PROMO": "7", "BONUS": "0", "CASH": "12"},
        "to_invoice": "12",
        "arrears": "0",
        "due": {"net": "11", "tax": "1"},
        "tax_rate": {"name": "VAT", "jurisdiction": "", "percent": "10"},
        "taxes": [{"name": "VAT", "jurisdiction": "", "percent": "10", "net": "20", "tax": "2"}],
    }


def test_a_cycle_without_anything_is_all_zeros() -> None:
    assert presentation.totals(calculation.run(draft("PREPAID"))) == {
        "subtotal": "0",
        "discount": "0",
        "coupons": [],
        "tax": "0",
        "bonus": "0",
        "overage": "0",
        "tax_in_units": "0",
        "total": "0",
        "from_units": [],
        "from_wallet": {"PROMO": "0", "BONUS": "0", "CASH": "0"},
        "to_invoice": "0",
        "arrears": "0",
        "due": {"net": "0", "tax": "0"},
        "tax_rate": None,
        "taxes": [],
    }


def test_stages_tell_what_went_in_what_came_out_and_why() -> None:
    shown = presentation.stages(
        calculation.run(draft(charges=(charge(),), usage=metered("15000", 3)))
    )

    assert [(stage["stage"], stage["title"]) for stage in shown] == list(enumerate(TITLES, start=1))
    assert shown[4] == {
        "stage": 5,
        "title": "Rate",
        "in": {"tokens": "15000"},
        "out": {"tokens": "30"},
        "notes": ["tokens: Units, 15000 x 0.002 = 30"],
    }
    assert json.loads(json.dumps(shown)) == shown
