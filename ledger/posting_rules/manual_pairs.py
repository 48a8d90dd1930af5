"""What a correction by hand may move, by its reason (docs/accounting.md#matrix). Pure.

Control accounts equal what documents and lots say, so nobody posts to them by hand: a correction of
credits goes through the wallets, one of a receivable through its documents. The one exception is an
accrual at a month's end, which takes itself back on the first of the next month.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final

from ledger.posting_rules.parts import (
    BANK,
    BONUS_BREAKAGE,
    BONUS_DISCOUNT,
    BONUS_REVENUE,
    CASH_BREAKAGE,
    CASH_REVENUE,
    CLEARING,
    COMMITMENT_REVENUE,
    CREDIT_LOSSES,
    CREDIT_NOTES,
    CUSTOMER_CREDIT,
    DISPUTE_FEES,
    DISPUTE_LOSSES,
    EXPECTED_BREAKAGE,
    FEE_REVENUE,
    GOODWILL,
    LOSS_ALLOWANCE,
    LOT_LIABILITIES,
    OPENING_EQUITY,
    OVERAGE_REVENUE,
    PLAN_FEES,
    PROCESSING_FEES,
    PROMO_DISCOUNT,
    PROMO_REVENUE,
    REALISED_FX,
    RECEIVABLE,
    RECOVERIES,
    REFUND_LIABILITY,
    REFUNDS,
    ROUNDING,
    TAX_PAYABLE,
    UNAPPLIED_PAYMENTS,
    UNBILLED,
    UNCLAIMED_PROPERTY,
    UNREALISED_FX,
)

Pairs = frozenset[tuple[str, str]]

CONTROL: Final = frozenset({RECEIVABLE, UNBILLED, *LOT_LIABILITIES, EXPECTED_BREAKAGE})
# These are kept by customer, so a correction of one names whose it is.
OF_CUSTOMER: Final = frozenset({PLAN_FEES, REFUND_LIABILITY, CUSTOMER_CREDIT, UNAPPLIED_PAYMENTS})
_SALES = (CASH_REVENUE, BONUS_REVENUE, OVERAGE_REVENUE, COMMITMENT_REVENUE, PROMO_REVENUE)
_BREAKAGE = (CASH_BREAKAGE, BONUS_BREAKAGE)
_REVENUE = (*_SALES, FEE_REVENUE, *_BREAKAGE)
_CONTRA = (PROMO_DISCOUNT, BONUS_DISCOUNT, CREDIT_NOTES, REFUNDS, GOODWILL, DISPUTE_LOSSES)
# In a customer's book nothing is taken from these that is not there.
BORNE: Final = OF_CUSTOMER | {TAX_PAYABLE, UNCLAIMED_PROPERTY, *_REVENUE}

ACCRUAL: Final = "ACCRUAL"
_MONEY = (BANK, CLEARING)
_OWED_TO = (REFUND_LIABILITY, CUSTOMER_CREDIT)
_OWED = (*_OWED_TO, PLAN_FEES, UNAPPLIED_PAYMENTS, TAX_PAYABLE, UNCLAIMED_PROPERTY)


def _pairs(debited: Iterable[str], credited: Iterable[str]) -> Pairs:
    return frozenset(pair for pair in product(debited, credited) if pair[0] != pair[1])


def _both_ways(one: Iterable[str], other: Iterable[str]) -> Pairs:
    return _pairs(one, other) | _pairs(other, one)


MANUAL: Final[dict[str, Pairs]] = {
    # Fees are earned as fees and as nothing else; what is unearned may be owed to the customer.
    "BILLING_ERROR": _pairs((*_REVENUE, *_CONTRA), (*_REVENUE, *_CONTRA))
    | _both_ways((*_REVENUE, *_CONTRA), (*_OWED_TO, TAX_PAYABLE))
    | _both_ways((PLAN_FEES,), (FEE_REVENUE, *_OWED_TO))
    | _both_ways((UNAPPLIED_PAYMENTS, TAX_PAYABLE), _OWED_TO)
    | _both_ways((REFUND_LIABILITY,), (CUSTOMER_CREDIT,))
    | _both_ways(_BREAKAGE, (UNCLAIMED_PROPERTY,)),
    ACCRUAL: _pairs((UNBILLED,), (OVERAGE_REVENUE, FEE_REVENUE, COMMITMENT_REVENUE)),
    "PROCESSOR": _pairs((PROCESSING_FEES, DISPUTE_FEES, BANK), (CLEARING,))
    | _pairs((CLEARING,), (BANK, PROCESSING_FEES, DISPUTE_FEES)),
    "REMITTANCE": _pairs((*_OWED_TO, UNAPPLIED_PAYMENTS, TAX_PAYABLE, UNCLAIMED_PROPERTY), _MONEY),
    "CREDIT_LOSS": _both_ways((CREDIT_LOSSES,), (LOSS_ALLOWANCE,))
    | {(LOSS_ALLOWANCE, RECOVERIES)}
    | _pairs(_MONEY, (RECOVERIES, LOSS_ALLOWANCE)),
    "EXCHANGE": _both_ways((REALISED_FX, UNREALISED_FX), (*_MONEY, *_OWED)),
    "MIGRATION": _both_ways((OPENING_EQUITY,), (*_MONEY, LOSS_ALLOWANCE, *_OWED)),
    "UNEXPLAINED": _both_ways((ROUNDING,), (*_MONEY, *_OWED)),
}


def is_of_customer(reason: str, pair: tuple[str, str]) -> bool:
    """Return whether a correction stands in the book of the customer whom it is about."""
    return reason == ACCRUAL or bool(OF_CUSTOMER & set(pair))
