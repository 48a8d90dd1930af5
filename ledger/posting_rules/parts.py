"""The parts of every posting rule: the accounts, a posting to be, and the parts of lots. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final
from uuid import UUID

from aforo.errors import InvariantBroken
from aforo.money import ZERO

BANK = "1000"
CLEARING = "1010"
DISPUTED = "1020"
RECEIVABLE = "1100"
LOSS_ALLOWANCE = "1150"
UNBILLED = "1200"
CASH_CREDITS = "2100"
BONUS_CREDITS = "2110"
PLAN_FEES = "2120"
GOODWILL_CREDITS = "2130"
EXPECTED_BREAKAGE = "2190"
REFUND_LIABILITY = "2200"
CUSTOMER_CREDIT = "2210"
UNAPPLIED_PAYMENTS = "2220"
TAX_PAYABLE = "2300"
UNCLAIMED_PROPERTY = "2400"
OPENING_EQUITY = "3900"
CASH_REVENUE = "4000"
BONUS_REVENUE = "4010"
OVERAGE_REVENUE = "4020"
FEE_REVENUE = "4030"
COMMITMENT_REVENUE = "4040"
PROMO_REVENUE = "4100"
CASH_BREAKAGE = "4200"
BONUS_BREAKAGE = "4210"
PROMO_DISCOUNT = "4900"
BONUS_DISCOUNT = "4901"
CREDIT_NOTES = "4910"
REFUNDS = "4920"
GOODWILL = "4930"
DISPUTE_LOSSES = "4940"
PROCESSING_FEES = "6100"
CREDIT_LOSSES = "6200"
RECOVERIES = "6210"
DISPUTE_FEES = "6300"
REALISED_FX = "7100"
UNREALISED_FX = "7110"
ROUNDING = "7900"

# What lots carry is owed on these, so together they equal the lots at any moment.
LOT_LIABILITIES: Final = (CASH_CREDITS, BONUS_CREDITS, GOODWILL_CREDITS)


@dataclass(frozen=True, slots=True)
class PostingLine:
    """A posting to be: an amount moved from the credited account to the debited one."""

    debit: str
    credit: str
    amount: Decimal
    currency: str
    lot: UUID | None = None


@dataclass(frozen=True, slots=True)
class LotPart:
    """What one lot gives up of the consideration it holds."""

    kind: str
    source: str
    carrying: Decimal
    lot: UUID


def nonzero_lines(*lines: PostingLine) -> list[PostingLine]:
    """Return the lines that move something; an amount below zero raises."""
    if any(line.amount < 0 for line in lines):
        raise InvariantBroken(f"A posting below zero: {lines}.")
    return [line for line in lines if line.amount > 0]


def signed(
    debit: str, credit: str, amount: Decimal, currency: str, lot: UUID | None = None
) -> list[PostingLine]:
    """Post an amount, or its mirror where it is below zero."""
    if amount < 0:
        debit, credit = credit, debit
    return nonzero_lines(PostingLine(debit, credit, abs(amount), currency, lot))


def liability(*, kind: str, source: str) -> str:
    """Return the account that carries what a lot still owes the customer."""
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
    """Return the revenue account of a burn."""
    return BONUS_REVENUE if kind == "BONUS" else CASH_REVENUE


def breakage(*, kind: str, source: str) -> str:
    """Return the account that a lapse goes to; goodwill that lapses was no price reduction."""
    account = liability(kind=kind, source=source)
    if account == GOODWILL_CREDITS:
        return GOODWILL
    if account == BONUS_CREDITS:
        return BONUS_BREAKAGE
    return CASH_BREAKAGE


def given_up(parts: Iterable[LotPart], *, credit: str, currency: str) -> list[PostingLine]:
    """Debit each lot's liability for its part."""
    return nonzero_lines(
        *(
            PostingLine(
                liability(kind=p.kind, source=p.source), credit, p.carrying, currency, p.lot
            )
            for p in parts
        )
    )


def mirrored(lines: Sequence[PostingLine]) -> list[PostingLine]:
    """Return the lines with their sides exchanged."""
    return [replace(line, debit=line.credit, credit=line.debit) for line in lines]


def difference(*, before: Sequence[PostingLine], after: Sequence[PostingLine]) -> list[PostingLine]:
    """Post what leads from one state to another, account pair by account pair, either way."""
    changes: dict[PostingLine, Decimal] = {}
    for sign, lines in ((Decimal(-1), before), (Decimal(1), after)):
        for line in lines:
            pair = replace(line, amount=ZERO)
            changes[pair] = changes.get(pair, ZERO) + sign * line.amount
    up = [replace(pair, amount=change) for pair, change in changes.items() if change > 0]
    down = [replace(pair, amount=-change) for pair, change in changes.items() if change < 0]
    return [*up, *mirrored(down)]
