"""What an invoice bills and nobody has delivered yet: fees in advance that are not earned, credits
sold on account that are not spent. Taken back, it is neither revenue lost nor an expense
(docs/accounting.md#e29 and #e40).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum

from aforo import money
from aforo.money import ZERO
from billing.models import AdvanceFee, Invoice
from billing.subscriptions import advance_fees
from ledger.models import LedgerEvent, Posting
from ledger.posting_rules import PLAN_FEES, LotPart
from wallets.lots import queries
from wallets.lots.credit_journal import EntryBuilder


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What was taken back: fees not yet earned, and parts of lots with what they carried."""

    unearned_fees: Decimal = ZERO
    unused: tuple[LotPart, ...] = ()

    @property
    def total(self) -> Decimal:
        return sum((part.carrying for part in self.unused), self.unearned_fees)


def take_back(
    entry: EntryBuilder, invoice: Invoice, *, net: Decimal, of_fee: Decimal | None = None
) -> Undelivered:
    """Remove what is undelivered of a part of an invoice, an amount before tax: lower its fee in
    advance, or revoke its unspent credits as far as the amount reaches. The lines are the caller's.

    `of_fee` is how much of the amount is the fee in advance, where that is known; else it is the
    fee's share in the document. The book must be locked.
    """
    if invoice.top_up_id is not None:
        return Undelivered(unused=_unspent(entry, invoice, net))
    fee = AdvanceFee.objects.filter(settlement=invoice.settlement_id).first()
    if invoice.settlement_id is None or fee is None:
        return Undelivered()
    part = min(_fee_within(invoice, fee, net) if of_fee is None else of_fee, net)
    unearned = advance_fees.give_up(book=entry.book, fee=fee, amount=part, now=entry.occurred_at)
    return Undelivered(unearned)


def _fee_within(invoice: Invoice, fee: AdvanceFee, net: Decimal) -> Decimal:
    """Return how much of an amount is the fee in advance, by its share in the document."""
    billed = Posting.objects.filter(
        credit=PLAN_FEES,
        entry__book=fee.book_id,
        entry__event=LedgerEvent.SETTLEMENT,
        entry__document__settlement=str(fee.settlement_id),
    ).aggregate(billed=Sum("amount"))["billed"]
    whole = invoice.subtotal - invoice.discount
    return money.proportion(net, billed or ZERO, whole) if whole > 0 else ZERO


def _unspent(entry: EntryBuilder, invoice: Invoice, net: Decimal) -> tuple[LotPart, ...]:
    """Revoke the same part of each unspent lot that the invoice sold."""
    lots = queries.open_lots([entry.book.pk]).filter(top_up=invoice.top_up_id)
    free = {lot: _carried(lot.carrying, lot.available, lot.face) for lot in lots if lot.available}
    worth = sum(free.values(), ZERO)
    parts = []
    for lot in free:
        quantity = lot.available if worth <= net else money.proportion(lot.available, net, worth)
        if quantity > 0:
            parts.append(entry.revoke(lot, quantity))
    return tuple(parts)


def _carried(carrying: Decimal, part: Decimal, face: Decimal) -> Decimal:
    return money.proportion(carrying, part, face)
