"""The journal of credits: given, sold, burned, lapsed, refunded, disputed
(docs/accounting.md#events). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from aforo.errors import InvariantBroken
from aforo.money import ZERO
from ledger.posting_rules.parts import (
    DISPUTE_FEES,
    DISPUTE_LOSSES,
    DISPUTED,
    EXPECTED_BREAKAGE,
    GOODWILL,
    GOODWILL_CREDITS,
    OPENING_EQUITY,
    PLAN_FEES,
    REFUND_LIABILITY,
    ROUNDING,
    TAX_PAYABLE,
    UNCLAIMED_PROPERTY,
    LotPart,
    PostingLine,
    breakage,
    given_up,
    liability,
    mirrored,
    nonzero_lines,
    revenue,
    signed,
)


def goodwill_granted(*, face: Decimal, currency: str, lot: UUID) -> list[PostingLine]:
    """Post goodwill, which reduces revenue when it is given (ASC 606-10-32-25;
    docs/accounting.md#e9).
    """
    return nonzero_lines(PostingLine(GOODWILL, GOODWILL_CREDITS, face, currency, lot))


def credits_sold(
    *, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID, paid_into: str
) -> list[PostingLine]:
    """Post what was paid as a contract liability, lot by lot (docs/accounting.md#e1, #e3 and #e7).

    `paid_into` is 1010 for a payment, 1100 for a sale on account, 2220 where its credits were held
    back until the invoice was paid. The fee of a plan that sells
    credits with its period (docs/decisions.md#d29) comes from 2120.
    """
    account = liability(kind=kind, source=source)
    return nonzero_lines(PostingLine(paid_into, account, carrying, currency, lot))


def sale_taxed(*, tax: Decimal, currency: str, paid_into: str) -> list[PostingLine]:
    """Post tax that is due at sale: owed, and never revenue (docs/accounting.md#e1)."""
    return nonzero_lines(PostingLine(paid_into, TAX_PAYABLE, tax, currency))


def sale_tax_returned(*, tax: Decimal, currency: str, paid_from: str) -> list[PostingLine]:
    """Post that tax due at sale goes back with what was paid for credits (docs/accounting.md#e27
    and #e32).
    """
    return nonzero_lines(PostingLine(TAX_PAYABLE, paid_from, tax, currency))


def opening_balance(
    *, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID
) -> list[PostingLine]:
    """Post a lot of the system that is being replaced (docs/accounting.md#e49)."""
    return nonzero_lines(
        PostingLine(OPENING_EQUITY, liability(kind=kind, source=source), carrying, currency, lot)
    )


def burn(
    *,
    kind: str,
    source: str,
    carrying: Decimal,
    currency: str,
    lot: UUID,
    tax: Decimal = ZERO,
    advance_fee: Decimal = ZERO,
) -> list[PostingLine]:
    """Post the consideration that is released as earned, less the tax that it holds
    (docs/accounting.md#e14 to #e17).

    `advance_fee` of what is left pays for a period to come, and is earned by day
    (docs/decisions.md#d28).
    """
    account = liability(kind=kind, source=source)
    deferred = min(advance_fee, carrying - tax)
    return nonzero_lines(
        PostingLine(account, revenue(kind=kind), carrying - tax - deferred, currency, lot),
        PostingLine(account, PLAN_FEES, deferred, currency, lot),
        PostingLine(account, TAX_PAYABLE, tax, currency, lot),
    )


def tax_rounded(*, residue: Decimal, currency: str) -> list[PostingLine]:
    """Post what the tax of a document, rounded, is above what its payments hold, or below it."""
    return signed(ROUNDING, TAX_PAYABLE, residue, currency)


def loss_repaid(lines: Sequence[PostingLine]) -> list[PostingLine]:
    """Post a burn as paying back what a dispute took: the loss is lower, nothing is sold
    (docs/accounting.md#e32).
    """
    return [replace(line, credit=DISPUTE_LOSSES) for line in lines]


def expiry(
    *,
    kind: str,
    source: str,
    carrying: Decimal,
    currency: str,
    lot: UUID,
    accrued: Decimal = ZERO,
    unclaimed: Decimal = ZERO,
) -> list[PostingLine]:
    """Post a lapse as breakage; goodwill that lapses was no reduction (docs/accounting.md#e21 to
    #e25).

    `accrued` was recognised before (2190); `unclaimed` has to be handed to a state and never
    becomes revenue.
    """
    account = liability(kind=kind, source=source)
    if unclaimed + accrued > carrying:
        raise InvariantBroken(f"Lot {lot} lapses with less than was accrued and is unclaimed.")
    gain = carrying - unclaimed - accrued
    return nonzero_lines(
        PostingLine(account, UNCLAIMED_PROPERTY, unclaimed, currency, lot),
        PostingLine(account, EXPECTED_BREAKAGE, accrued, currency, lot),
        PostingLine(account, breakage(kind=kind, source=source), gain, currency, lot),
    )


def reversal(lines: Sequence[PostingLine]) -> list[PostingLine]:
    """Mirror what was posted, which opens the same lots again (docs/accounting.md#e18 and #e47)."""
    return mirrored(lines)


def returned(
    *, kind: str, source: str, carrying: Decimal, currency: str, lot: UUID, tax: Decimal = ZERO
) -> list[PostingLine]:
    """Post the return of a part of a burn's consideration to its lot (docs/accounting.md#e18)."""
    return mirrored(
        burn(kind=kind, source=source, carrying=carrying, currency=currency, lot=lot, tax=tax)
    )


def credits_refunded(
    *,
    kind: str,
    source: str,
    carrying: Decimal,
    currency: str,
    lot: UUID,
    paid_from: str,
) -> list[PostingLine]:
    """Post the pay-out of unused credits, and of the bonus that came with them
    (docs/accounting.md#e27).

    The pay-out is the sum of what the lots give up: with 100 + 20 for 100.00, refunding 50 takes
    41.67 of cash and 8.33 of bonus; a bonus that is spent cuts it by as much. `paid_from` is the
    account that the payment came into.
    """
    parts = [LotPart(kind, source, carrying, lot)]
    return given_up(parts, credit=paid_from, currency=currency)


def refund_rounded(*, residue: Decimal, currency: str, paid_from: str) -> list[PostingLine]:
    """Post what a pay-out in whole cents keeps (residue above zero) of the consideration that was
    taken back, or pays beyond it.
    """
    return signed(paid_from, ROUNDING, residue, currency)


def refund_failed(*, amount: Decimal, currency: str, paid_from: str) -> list[PostingLine]:
    """Post a pay-out that the gateway declined: the money is still there, and owed to the customer
    (docs/accounting.md#e27).
    """
    return nonzero_lines(PostingLine(paid_from, REFUND_LIABILITY, amount, currency))


def dispute_opened(*, amount: Decimal, currency: str, paid_into: str) -> list[PostingLine]:
    """Post what the processor, or the bank, holds back of what was paid (docs/accounting.md#e32).

    `paid_into` is the account that the payment came into.
    """
    return nonzero_lines(PostingLine(DISPUTED, paid_into, amount, currency))


def dispute_won(*, amount: Decimal, currency: str, paid_into: str) -> list[PostingLine]:
    """Post that it is paid after all (docs/accounting.md#e32)."""
    return mirrored(dispute_opened(amount=amount, currency=currency, paid_into=paid_into))


def dispute_fee(*, change: Decimal, currency: str, paid_into: str) -> list[PostingLine]:
    """Post what a dispute costs, or, below zero, what is given back of it."""
    return signed(DISPUTE_FEES, paid_into, change, currency)


def dispute_lost(
    *,
    unused: Sequence[LotPart],
    earned: Decimal,
    currency: str,
    kept: Decimal = ZERO,
) -> list[PostingLine]:
    """Post unused credits as taken back, and what was earned as a loss (docs/accounting.md#e32).

    `kept` is what earlier refunds kept by rounding (below zero: paid beyond), which the bank takes
    back too. The parts, `earned` and `kept` sum to what was disputed.
    """
    return [
        *given_up(unused, credit=DISPUTED, currency=currency),
        *signed(ROUNDING, DISPUTED, kept, currency),
        *nonzero_lines(PostingLine(DISPUTE_LOSSES, DISPUTED, earned, currency)),
    ]
