"""Which account pairs an event may move: a balanced entry can still be wrong
(docs/accounting.md#pairs). Pure.

`check` is asked before anything is appended. What people may move by hand is `manual_pairs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final

from aforo.errors import InvariantBroken
from ledger.posting_rules import manual_pairs
from ledger.posting_rules.parts import (
    BANK,
    BONUS_BREAKAGE,
    BONUS_CREDITS,
    BONUS_REVENUE,
    CASH_BREAKAGE,
    CASH_CREDITS,
    CASH_REVENUE,
    CLEARING,
    COMMITMENT_REVENUE,
    CREDIT_LOSSES,
    CREDIT_NOTES,
    CUSTOMER_CREDIT,
    DISPUTE_FEES,
    DISPUTE_LOSSES,
    DISPUTED,
    EXPECTED_BREAKAGE,
    FEE_REVENUE,
    GOODWILL,
    GOODWILL_CREDITS,
    LOSS_ALLOWANCE,
    LOT_LIABILITIES,
    OPENING_EQUITY,
    OVERAGE_REVENUE,
    PLAN_FEES,
    RECEIVABLE,
    RECOVERIES,
    REFUND_LIABILITY,
    ROUNDING,
    TAX_PAYABLE,
    UNAPPLIED_PAYMENTS,
    UNBILLED,
    UNCLAIMED_PROPERTY,
    PostingLine,
)

Pairs = frozenset[tuple[str, str]]

NOTHING: Final[Pairs] = frozenset()


def _pairs(debited: Iterable[str], credited: Iterable[str]) -> Pairs:
    return frozenset(pair for pair in product(debited, credited) if pair[0] != pair[1])


def _mirror(pairs: Pairs) -> Pairs:
    return frozenset((credit, debit) for debit, credit in pairs)


_MONEY = (BANK, CLEARING)
_BURN: Pairs = frozenset(
    {(CASH_CREDITS, CASH_REVENUE), (BONUS_CREDITS, BONUS_REVENUE), (GOODWILL_CREDITS, CASH_REVENUE)}
    | _pairs(LOT_LIABILITIES, (PLAN_FEES, TAX_PAYABLE))
)
_LAPSE: Pairs = frozenset(
    {(CASH_CREDITS, CASH_BREAKAGE), (BONUS_CREDITS, BONUS_BREAKAGE), (GOODWILL_CREDITS, GOODWILL)}
    | _pairs((CASH_CREDITS, BONUS_CREDITS), (EXPECTED_BREAKAGE, UNCLAIMED_PROPERTY))
)
_UNCOVERED: Pairs = frozenset(
    _pairs((UNBILLED,), (OVERAGE_REVENUE, FEE_REVENUE, COMMITMENT_REVENUE, PLAN_FEES, ROUNDING))
    | {(ROUNDING, UNBILLED)}
)
_USAGE = frozenset({(UNBILLED, OVERAGE_REVENUE), (OVERAGE_REVENUE, UNBILLED)})
_FEE = frozenset({(PLAN_FEES, FEE_REVENUE), (FEE_REVENUE, PLAN_FEES)})
_INVOICE = _pairs((RECEIVABLE,), (UNBILLED, PLAN_FEES, TAX_PAYABLE))
_NOTE = _pairs(
    (*LOT_LIABILITIES, PLAN_FEES, CREDIT_NOTES, TAX_PAYABLE),
    (RECEIVABLE, REFUND_LIABILITY, CUSTOMER_CREDIT, *_MONEY),
)
# The last places of credits that are taken back by a part.
_ROUNDED = frozenset({(ROUNDING, RECEIVABLE), (RECEIVABLE, ROUNDING)})
_APPLIED = _pairs((CUSTOMER_CREDIT, UNAPPLIED_PAYMENTS), (RECEIVABLE,))
_BURNED = _BURN | _USAGE
_TAX_ROUNDED = frozenset({(ROUNDING, TAX_PAYABLE), (TAX_PAYABLE, ROUNDING)})

RULES: Final[dict[str, Pairs]] = {
    "GRANT": frozenset(
        {(GOODWILL, GOODWILL_CREDITS), (PLAN_FEES, CASH_CREDITS), (PLAN_FEES, BONUS_CREDITS)}
    ),
    # From unapplied payments where credits on account were held back until their invoice was paid.
    "TOP_UP": _pairs(
        (*_MONEY, RECEIVABLE, UNAPPLIED_PAYMENTS), (CASH_CREDITS, BONUS_CREDITS, TAX_PAYABLE)
    ),
    "DEBIT": _BURNED,
    "HOLD": NOTHING,
    # What is released, captured or returned after its lot expired lapses at once.
    "CAPTURE": _BURNED | _LAPSE,
    "RELEASE": _LAPSE,
    "REVERSAL": _mirror(_BURNED) | _LAPSE,
    "EXPIRY": _LAPSE,
    "ROLLOVER": NOTHING,
    "REFUND": _pairs((*LOT_LIABILITIES, CUSTOMER_CREDIT, UNAPPLIED_PAYMENTS, TAX_PAYABLE), _MONEY)
    | _pairs(_MONEY, (ROUNDING, REFUND_LIABILITY))
    | _pairs((ROUNDING,), _MONEY),
    "DISPUTE": _pairs((*LOT_LIABILITIES, TAX_PAYABLE, DISPUTE_LOSSES, ROUNDING), (DISPUTED,))
    | {(DISPUTED, ROUNDING)}
    | _pairs((DISPUTED, DISPUTE_FEES), _MONEY)
    | _pairs(_MONEY, (DISPUTED, DISPUTE_FEES)),
    "ADJUSTMENT": _BURN
    | _TAX_ROUNDED
    | _mirror(_BURN)
    | _UNCOVERED
    | _mirror(_UNCOVERED)
    | _NOTE
    | _LAPSE
    | {(OVERAGE_REVENUE, REFUND_LIABILITY)}
    # What voids an invoice takes back all that its cycle and the invoice posted.
    | _FEE
    | {(UNBILLED, REFUND_LIABILITY), (UNBILLED, RECEIVABLE)},
    "USAGE_BURNED": _BURN | _mirror(_BURN),
    "SETTLEMENT": _BURN
    | _pairs((CASH_CREDITS, BONUS_CREDITS), (DISPUTE_LOSSES,))
    | _TAX_ROUNDED
    | _mirror(_BURN)
    | _UNCOVERED
    | _mirror(_UNCOVERED)
    | _LAPSE
    | _FEE
    | {(REFUND_LIABILITY, UNBILLED)},
    "USAGE_ACCRUED": _USAGE | {(UNBILLED, FEE_REVENUE), (FEE_REVENUE, UNBILLED)},
    "FEE_RECOGNISED": _FEE,
    "BREAKAGE_ACCRUED": _pairs((EXPECTED_BREAKAGE,), (CASH_BREAKAGE, BONUS_BREAKAGE))
    | _pairs((CASH_BREAKAGE, BONUS_BREAKAGE), (EXPECTED_BREAKAGE,)),
    "ALLOWANCE_ADJUSTED": frozenset(
        {(CREDIT_LOSSES, LOSS_ALLOWANCE), (LOSS_ALLOWANCE, CREDIT_LOSSES)}
    ),
    "INVOICE": _INVOICE | _APPLIED | _USAGE,
    # What was written off and is paid after all is no receivable any more.
    "PAYMENT": _pairs(_MONEY, (RECEIVABLE, UNAPPLIED_PAYMENTS, RECOVERIES, TAX_PAYABLE)) | _APPLIED,
    "CREDIT_NOTE": _NOTE
    | _pairs((*LOT_LIABILITIES, PLAN_FEES, TAX_PAYABLE), (ROUNDING,))
    | _mirror(_INVOICE)
    | _APPLIED
    | _pairs((REFUND_LIABILITY,), (RECEIVABLE, CUSTOMER_CREDIT)),
    "WRITE_OFF": _pairs(
        (*LOT_LIABILITIES, PLAN_FEES, LOSS_ALLOWANCE, CREDIT_LOSSES, TAX_PAYABLE), (RECEIVABLE,)
    )
    | _ROUNDED,
    # An accrual by hand takes itself back.
    "MANUAL": frozenset().union(*manual_pairs.MANUAL.values())
    | _mirror(manual_pairs.MANUAL[manual_pairs.ACCRUAL]),
    "OPENING_BALANCE": _pairs((OPENING_EQUITY,), LOT_LIABILITIES),
}


def check(event: str, lines: Iterable[PostingLine]) -> None:
    """Check that an event may move the accounts of its lines.

    Raises: InvariantBroken.
    """
    allowed = RULES[event]
    for line in lines:
        if (line.debit, line.credit) not in allowed:
            raise InvariantBroken(f"{event} never moves {line.debit} / {line.credit}.")
