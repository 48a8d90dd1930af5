"""The journal of usage and documents: accrual, invoice, payment, fee, credit note
(docs/accounting.md#events).

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from aforo import money
from aforo.money import ZERO
from ledger.posting_rules.parts import (
    BANK,
    COMMITMENT_REVENUE,
    CREDIT_LOSSES,
    CREDIT_NOTES,
    CUSTOMER_CREDIT,
    FEE_REVENUE,
    LOSS_ALLOWANCE,
    OVERAGE_REVENUE,
    PLAN_FEES,
    RECEIVABLE,
    RECOVERIES,
    REFUND_LIABILITY,
    ROUNDING,
    TAX_PAYABLE,
    UNAPPLIED_PAYMENTS,
    UNBILLED,
    LotPart,
    PostingLine,
    given_up,
    nonzero_lines,
    signed,
)


def usage_uncovered(
    *,
    net: Decimal,
    fees: Decimal,
    commitment: Decimal,
    currency: str,
    advance_fees: Decimal = ZERO,
) -> list[PostingLine]:
    """Post what no credit covered, not yet invoiced (docs/accounting.md#e33, #e35 and #e36). Of
    `net`, the parts of plan fees in arrears and of commitment are revenue of their own kind, and
    the fees of a period to come are owed until they are earned.

    The tax is payable with the invoice, so it is no part of this.
    """
    return nonzero_lines(
        PostingLine(UNBILLED, OVERAGE_REVENUE, net - fees - commitment - advance_fees, currency),
        PostingLine(UNBILLED, FEE_REVENUE, fees, currency),
        PostingLine(UNBILLED, COMMITMENT_REVENUE, commitment, currency),
        PostingLine(UNBILLED, PLAN_FEES, advance_fees, currency),
    )


def unbilled_accrued(*, usage: Decimal, fees: Decimal, currency: str) -> list[PostingLine]:
    """Post what open cycles have earned by a month's end and not billed, net of tax: usage that no
    credit covers, and fees in arrears (docs/accounting.md#e33 and #e35). A change below zero takes
    back what was accrued before.
    """
    return [
        *signed(UNBILLED, OVERAGE_REVENUE, usage, currency),
        *signed(UNBILLED, FEE_REVENUE, fees, currency),
    ]


def invoice_issued(*, net: Decimal, tax: Decimal, currency: str) -> list[PostingLine]:
    """Post an invoice: unbilled becomes a receivable, and the tax is owed
    (docs/accounting.md#e34).
    """
    return nonzero_lines(
        PostingLine(RECEIVABLE, UNBILLED, net, currency),
        PostingLine(RECEIVABLE, TAX_PAYABLE, tax, currency),
    )


def fee_earned(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post what is earned of a fee paid in advance, by day (docs/accounting.md#e36)."""
    return nonzero_lines(PostingLine(PLAN_FEES, FEE_REVENUE, amount, currency))


def fee_returned(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post what a change of plan gives back beyond what its fees in advance still hold."""
    return nonzero_lines(PostingLine(FEE_REVENUE, PLAN_FEES, amount, currency))


def fee_earned_to_date(*, fee: Decimal, days: int, of_days: int) -> Decimal:
    """Return how much of a fee is earned after so many days of its period, cumulatively.

    Differences of this always sum to the fee, because the last day takes the rounding: 90 over 30
    days is 60 after 20.
    """
    if days >= of_days:
        return fee
    return money.proportion(fee, Decimal(max(days, 0)), Decimal(of_days))


def payment_received(
    *, amount: Decimal, currency: str, surplus: Decimal = ZERO, paid_into: str = BANK
) -> list[PostingLine]:
    """Post a payment: cash never moves revenue; what exceeds the invoice is unapplied
    (docs/accounting.md#e5).

    `amount` is what the invoice takes; `surplus` came on top.
    """
    return nonzero_lines(
        PostingLine(paid_into, RECEIVABLE, amount, currency),
        PostingLine(paid_into, UNAPPLIED_PAYMENTS, surplus, currency),
    )


def surplus_applied(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post the payment of an invoice from what was paid too much before."""
    return nonzero_lines(PostingLine(UNAPPLIED_PAYMENTS, RECEIVABLE, amount, currency))


def credit_note(
    *,
    earned: Decimal,
    tax: Decimal,
    currency: str,
    unearned_fees: Decimal = ZERO,
    unused: Sequence[LotPart] = (),
    given_to: str | Sequence[tuple[str, Decimal]] = RECEIVABLE,
) -> list[PostingLine]:
    """Post a credit note: what is not yet earned leaves its liability, the rest reduces revenue on
    the note's own date (docs/accounting.md#e29 and #e30).

    `given_to` is 1100 while the invoice is open; once it is paid, 2210 (credit for later
    invoices), 2200 (to be refunded) or 1000 (refunded); of one that is paid in part, each account
    with its amount. What credits carried more than that, by the last place, is rounding.
    """
    lines = [
        *given_up(unused, credit=RECEIVABLE, currency=currency),
        *nonzero_lines(
            PostingLine(PLAN_FEES, RECEIVABLE, unearned_fees, currency),
            PostingLine(TAX_PAYABLE, RECEIVABLE, tax, currency),
            PostingLine(CREDIT_NOTES, RECEIVABLE, max(earned, ZERO), currency),
        ),
    ]
    if isinstance(given_to, str):
        return [replace(line, credit=given_to) for line in lines]
    return _spread(lines, [*given_to, (ROUNDING, max(-earned, ZERO))])


def _spread(
    lines: Sequence[PostingLine], accounts: Sequence[tuple[str, Decimal]]
) -> list[PostingLine]:
    """Credit each account its amount, in turn, from the lines as they come."""
    left = [amount for _, amount in accounts]
    found = list[PostingLine]()
    for line in lines:
        rest = line.amount
        for n, (account, _) in enumerate(accounts):
            part = min(rest, left[n])
            found += nonzero_lines(replace(line, credit=account, amount=part))
            left[n] -= part
            rest -= part
    return found


def credit_owed(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post what is owed to a customer because late usage made cheaper what was invoiced, net: the
    tax goes back with the document that uses it.
    """
    return nonzero_lines(PostingLine(OVERAGE_REVENUE, REFUND_LIABILITY, amount, currency))


def unserved_fee_owed(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post what is owed to a customer of an invoiced fee in advance that a change of plan leaves
    unserved, net (docs/accounting.md#e37).
    """
    return nonzero_lines(PostingLine(PLAN_FEES, REFUND_LIABILITY, amount, currency))


def owed_credit_used(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post what is owed to a customer as paying for what is unbilled."""
    return nonzero_lines(PostingLine(REFUND_LIABILITY, UNBILLED, amount, currency))


def owed_credit_paid_out(
    *, net: Decimal, tax: Decimal, currency: str, given_to: str
) -> list[PostingLine]:
    """Post the pay-out, by credit note, of what is owed to a customer and no document used."""
    return nonzero_lines(
        PostingLine(REFUND_LIABILITY, given_to, net, currency),
        PostingLine(TAX_PAYABLE, given_to, tax, currency),
    )


def customer_credit_applied(*, amount: Decimal, currency: str) -> list[PostingLine]:
    """Post the credit of a note as paying a later invoice (docs/accounting.md#e31)."""
    return nonzero_lines(PostingLine(CUSTOMER_CREDIT, RECEIVABLE, amount, currency))


def customer_credit_paid_out(
    *, account: str, amount: Decimal, currency: str, paid_from: str = BANK
) -> list[PostingLine]:
    """Post what is owed to a customer (2210 or 2220) as paid out."""
    return nonzero_lines(PostingLine(account, paid_from, amount, currency))


def write_off(
    *,
    earned: Decimal,
    currency: str,
    loss: Decimal = ZERO,
    tax: Decimal = ZERO,
    unearned_fees: Decimal = ZERO,
    unused: Sequence[LotPart] = (),
) -> list[PostingLine]:
    """Post a write-off: what was earned uses up the allowance, `loss` is what exceeds that, what
    was never delivered is taken back, and `tax` is relieved where the law allows it
    (docs/accounting.md#e40).
    """
    return [
        *given_up(unused, credit=RECEIVABLE, currency=currency),
        *nonzero_lines(
            PostingLine(PLAN_FEES, RECEIVABLE, unearned_fees, currency),
            PostingLine(LOSS_ALLOWANCE, RECEIVABLE, earned, currency),
            PostingLine(CREDIT_LOSSES, RECEIVABLE, loss, currency),
            PostingLine(TAX_PAYABLE, RECEIVABLE, tax, currency),
        ),
    ]


def loss_recovered(
    *, net: Decimal, tax: Decimal, currency: str, paid_into: str = BANK
) -> list[PostingLine]:
    """Post a payment of what was written off; relieved tax is owed again
    (docs/accounting.md#e41).
    """
    return nonzero_lines(
        PostingLine(paid_into, RECOVERIES, net, currency),
        PostingLine(paid_into, TAX_PAYABLE, tax, currency),
    )


def receivable_rounded(*, residue: Decimal, currency: str) -> list[PostingLine]:
    """Post the last place by which credits that were taken back carried more than the receivable
    (below zero), or less.
    """
    return signed(ROUNDING, RECEIVABLE, residue, currency)


def rounding(*, residue: Decimal, currency: str) -> list[PostingLine]:
    """Post what rounding a document gave (residue above zero) or took, against the unbilled."""
    return signed(UNBILLED, ROUNDING, residue, currency)
