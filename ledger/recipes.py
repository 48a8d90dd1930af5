"""Which accounts move, per event (FINANCE 3). Pure.

Amounts are exact and never negative; an amount of zero makes no line, so an unbundled promo, which
holds no consideration, is recorded without postings (FINANCE 1, rule 9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from aforo.errors import InvariantBroken

ZERO = Decimal(0)

CLEARING = "1010"
RECEIVABLE = "1100"
UNBILLED = "1200"
CASH_CREDITS = "2100"
BONUS_CREDITS = "2110"
PLAN_FEES = "2120"
GOODWILL_CREDITS = "2130"
TAX_PAYABLE = "2300"
CASH_REVENUE = "4000"
BONUS_REVENUE = "4010"
OVERAGE_REVENUE = "4020"
FEE_REVENUE = "4030"
COMMITMENT_REVENUE = "4040"
CASH_BREAKAGE = "4200"
BONUS_BREAKAGE = "4210"
PROMO_DISCOUNT = "4900"
BONUS_DISCOUNT = "4901"
GOODWILL = "4930"
BANK = "1000"
ROUNDING = "7900"


@dataclass(frozen=True, slots=True)
class Line:
    """A posting to be: an amount moved from the credited account to the debited one."""

    debit: str
    credit: str
    amount: Decimal
    currency: str
    lot: UUID | None = None


def _lines(*lines: Line) -> list[Line]:
    """Drop the lines of nothing; refuse the impossible."""
    if any(line.amount < 0 for line in lines):
        raise InvariantBroken(f"A posting below zero: {lines}.")
    return [line for line in lines if line.amount > 0]


def liability(*, kind: str, source: str) -> str:
    """Give the account that carries what a lot still owes the customer."""
    match kind, source:
        case "PROMO", "GOODWILL":
            return GOODWILL_CREDITS
        case "BONUS", _:
            return BONUS_CREDITS
        case (("CASH" | "PROMO"), _):
            # A promo lot holds consideration only where it came with a purchase.
            return CASH_CREDITS
    raise InvariantBroken(f"There is no credit kind {kind}.")


def revenue(*, kind: str) -> str:
    """Give the revenue account of a burn."""
    return BONUS_REVENUE if kind == "BONUS" else CASH_REVENUE


def discount(*, kind: str, source: str) -> str:
    """Give the contra-revenue account of what a lot pays without consideration."""
    if source == "GOODWILL":
        return GOODWILL
    return BONUS_DISCOUNT if kind == "BONUS" else PROMO_DISCOUNT


def goodwill_granted(*, face: Decimal, currency: str, lot: UUID) -> list[Line]:
    """FINANCE 3, event 9: goodwill reduces revenue when it is given (ASC 606-10-32-25)."""
    return _lines(Line(GOODWILL, GOODWILL_CREDITS, face, currency, lot))


def credits_sold(
    *, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID, paid_into: str
) -> list[Line]:
    """FINANCE 3, events 1, 3 and 7: what was paid becomes a contract liability, lot by lot.

    `paid_into` is 1010 for a payment, 1100 for a sale on account.
    """
    account = liability(kind=kind, source=source)
    return _lines(Line(paid_into, account, carrying, currency, lot))


def burn(
    *, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID, tax: Decimal = ZERO
) -> list[Line]:
    """FINANCE 3, events 14 to 17: the consideration released is earned, less the tax in it.

    Credits pay gross at face, so a lot that cost less than its face, or nothing, may hold less
    than the tax: the rest of the tax is owed all the same, and is part of the discount given.
    """
    account = liability(kind=kind, source=source)
    held = min(tax, carrying)
    return _lines(
        Line(account, revenue(kind=kind), carrying - held, currency, lot),
        Line(account, TAX_PAYABLE, held, currency, lot),
        Line(discount(kind=kind, source=source), TAX_PAYABLE, tax - held, currency, lot),
    )


def expiry(*, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID) -> list[Line]:
    """FINANCE 3, events 21 to 24: a lapse is breakage; goodwill that lapses was no reduction."""
    account = liability(kind=kind, source=source)
    match account:
        case "2130":
            gain = GOODWILL
        case "2110":
            gain = BONUS_BREAKAGE
        case _:
            gain = CASH_BREAKAGE
    return _lines(Line(account, gain, carrying, currency, lot))


def credits_refunded(
    *, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID
) -> list[Line]:
    """FINANCE 3, event 27: unused credits, and the bonus that came with them, are paid back."""
    return _lines(Line(liability(kind=kind, source=source), CLEARING, carrying, currency, lot))


def refund_rounded(*, residue: Decimal, currency: str) -> list[Line]:
    """Post what a pay-out in whole cents keeps of the consideration that was taken back."""
    return _lines(Line(CLEARING, ROUNDING, residue, currency))


def usage_uncovered(
    *, net: Decimal, fees: Decimal, commitment: Decimal, currency: str
) -> list[Line]:
    """FINANCE 3, events 33, 35 and 36: what no credit covered, not yet invoiced; of `net`, the
    parts of plan fees in arrears and of commitment are revenue of their own kind.

    The tax is payable with the invoice, so it is no part of this.
    """
    return _lines(
        Line(UNBILLED, OVERAGE_REVENUE, net - fees - commitment, currency),
        Line(UNBILLED, FEE_REVENUE, fees, currency),
        Line(UNBILLED, COMMITMENT_REVENUE, commitment, currency),
    )


def invoice_issued(*, net: Decimal, tax: Decimal, currency: str) -> list[Line]:
    """FINANCE 3, event 34: unbilled becomes a receivable, and the tax is owed."""
    return _lines(
        Line(RECEIVABLE, UNBILLED, net, currency), Line(RECEIVABLE, TAX_PAYABLE, tax, currency)
    )


def payment_received(*, amount: Decimal, currency: str) -> list[Line]:
    """FINANCE 3, event 5: cash never moves revenue."""
    return _lines(Line(BANK, RECEIVABLE, amount, currency))


def rounding(*, residue: Decimal, currency: str) -> list[Line]:
    """Post what rounding a document gave (residue above zero) or took, against the unbilled."""
    if residue >= 0:
        return _lines(Line(UNBILLED, ROUNDING, residue, currency))
    return _lines(Line(ROUNDING, UNBILLED, -residue, currency))


def reversal(lines: Sequence[Line]) -> list[Line]:
    """FINANCE 3, events 18 and 47: mirror what was posted."""
    return [replace(line, debit=line.credit, credit=line.debit) for line in lines]
