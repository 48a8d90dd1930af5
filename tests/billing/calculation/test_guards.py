"""The invariants after every stage: a wrong calculation is refused."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aforo.errors import InvariantBroken
from billing import calculation
from billing.calculation import STAGES, guards
from billing.calculation.calculation import CalculatedLine, Calculation, CouponTerms, Payer, Tax
from tests.billing.calculation.calculations import charge, draft, lot, metered
from wallets.lots.waterfall import Allocation

ONE = Decimal(1)
# 30.00 less 3.00, 10 % tax on 27.00 less 1.00 of promo: 29.60, of which cash pays 5.00.
FULL = draft(
    charges=(charge(),),
    usage=metered("15000"),
    coupons=(CouponTerms("TEN", percent=Decimal(10)),),
    tax_rate=Tax("VAT", Decimal(10)),
    money_lots=(lot("PROMO", "1", 1), lot("CASH", "5", 2)),
)


def payers(invoice: str) -> tuple[Payer, ...]:
    """Return payers: promo pays 1.00 and cash 5.00, and the invoice the gross, net and tax
    given.
    """
    gross, net, tax = (Decimal(amount) for amount in invoice.split())
    return (
        Payer("PROMO", ONE, ONE, Decimal(0)),
        Payer("CASH", Decimal(5), Decimal(5), Decimal(0)),
        Payer("INVOICE", gross, net, tax),
    )


def after(stages: int) -> Calculation:
    found = FULL
    for stage in STAGES[:stages]:
        found = stage(found)
        guards.check(found)
    return found


@pytest.mark.parametrize(
    ("stages", "wrong", "rule"),
    [
        (5, {"subtotal": Decimal(-1)}, "nothing is negative"),
        (5, {"subtotal": Decimal(31)}, "the lines sum to the subtotal"),
        (6, {"lines": ()}, "the lines sum to the subtotal"),
        (7, {"discount": Decimal(31)}, "a discount is at most the subtotal"),
        (7, {"discount": Decimal(2)}, "the lines sum to the net"),
        (8, {"lines": ()}, "the lines sum to the net"),
        (8, {"tax": Decimal(-1)}, "nothing is negative"),
        (9, {"lines": (CalculatedLine("USAGE", "Tokens", ONE),)}, "the lines sum to the total"),
        (9, {"to_invoice": ONE}, "the total is paid by credits, invoice and arrears"),
        (9, {"arrears": -ONE}, "no payer pays less than nothing"),
        (9, {"payers": ()}, "the payers hold the tax"),
        (9, {"payers": payers("23.60 21.01 2.60")}, "what a payer holds is its gross"),
        (9, {"payers": payers("23.60 24.60 -1")}, "no part of a payer is below zero"),
        (9, {"payers": payers("23.60 -1 24.60")}, "no part of a payer is below zero"),
        (9, {"payers": payers("27.60 25 2.60")}, "the payers pay the total"),
        (9, {"money_lots": (lot("PROMO", "1", 1), lot("CASH", "4", 2))}, "no lot gives more"),
    ],
)
def test_a_wrong_bill_stops_and_names_the_rule(
    stages: int, wrong: dict[str, Any], rule: str
) -> None:
    broken = replace(after(stages), **wrong)

    with pytest.raises(InvariantBroken, match=rule):
        guards.check(broken)


@pytest.mark.parametrize(
    ("included", "from_units", "rule"),
    [
        (ONE, Decimal(0), "what is included is at most the quota"),
        (Decimal(0), Decimal(15001), "what is billable is not negative"),
    ],
)
def test_an_allowance_beyond_what_there_is_stops(
    included: Decimal, from_units: Decimal, rule: str
) -> None:
    right = after(4)
    asked = replace(right.demands[0], included=included, from_units=from_units)

    with pytest.raises(InvariantBroken, match=rule):
        guards.check(replace(right, demands=(asked,)))


@pytest.mark.parametrize(
    ("stages", "wrong", "rule"),
    [
        (3, {"usage": metered("14999")}, "no more is billed than was ingested"),
        (
            4,
            {"unit_burns": {"tokens": (Allocation(UUID(int=1), "PROMO", Decimal(15001)),)}},
            "no more units burn than were ingested",
        ),
    ],
)
def test_more_than_was_ingested_stops(stages: int, wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvariantBroken, match=rule):
        guards.check(replace(after(stages), **wrong))


def test_the_message_names_the_stage() -> None:
    with pytest.raises(InvariantBroken, match=r"^After stage Discount: "):
        guards.check(replace(after(7), discount=Decimal(31)))


def test_run_checks_after_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(found: Calculation) -> Calculation:
        return replace(STAGES[4](found), lines=())

    monkeypatch.setattr(calculation, "STAGES", (*STAGES[:4], forgetful, *STAGES[5:]))

    with pytest.raises(InvariantBroken, match=r"^After stage Rate: the lines sum to the subtotal"):
        calculation.run(FULL)
