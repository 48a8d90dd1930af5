"""Settled cycles whose invoice is voided: what they posted and burned is taken back.

What settlement posted without a lot is mirrored, line by line; what lots paid is lowered to
nothing, with the burns of the time when the cycle was open.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Sum

from aforo.money import ZERO
from billing.adjustments import returned_lots
from billing.models import (
    AdvanceFee,
    LateCredit,
    Settlement,
    SettlementAdjustment,
    SettlementStatus,
    SubscriptionStatus,
)
from billing.settlement import cycle_burns, late_credits
from billing.subscriptions import advance_fees
from ledger import posting_rules
from ledger.models import Entry, LedgerEvent, Posting
from ledger.posting_rules import PLAN_FEES, REFUND_LIABILITY, PostingLine
from wallets.lots.credit_journal import Burn, EntryBuilder
from wallets.models import CreditLot


def fault_of(settlement: Settlement) -> str:
    """Return what rests on a settled cycle, so that it cannot be taken back; else nothing."""
    if settlement.status != SettlementStatus.SETTLED:
        return f"its settlement is {settlement.status}"
    if settlement.arrears > 0:
        return "its settlement has arrears"
    if SettlementAdjustment.objects.filter(settlement=settlement).exists():
        return "its settlement was corrected"
    if settlement.late_adjusted != 0 or LateCredit.objects.filter(settlement=settlement).exists():
        return "late usage of its cycle is on another document"
    fee = AdvanceFee.objects.filter(settlement=settlement).first()
    if fee is not None and fee.amount != _billed_ahead(settlement):
        return "its fee in advance was paid for credits of the plan, or lowered since"
    return ""


def _billed_ahead(settlement: Settlement) -> Decimal:
    lines = Posting.objects.filter(entry__in=_entries(settlement), credit=PLAN_FEES)
    return lines.aggregate(billed=Sum("amount"))["billed"] or ZERO


def _entries(settlement: Settlement) -> list[Entry]:
    found = Entry.objects.filter(
        book=settlement.book_id,
        event=LedgerEvent.SETTLEMENT,
        document__settlement=str(settlement.pk),
    )
    return list(found.order_by("sequence"))


def take_back(entry: EntryBuilder, settlement: Settlement) -> list[tuple[CreditLot, Decimal]]:
    """Undo what a cycle posted and burned, and mark it VOIDED; return what came back to which
    lot. The book must be locked.
    """
    written = _entries(settlement)
    entry.document |= {
        name: written[0].document[name]
        for name in ("settlement", "subscription", "kind", "cycle", "product")
        if name in written[0].document
    }
    lines = _without_lots(written)
    entry.lines += posting_rules.reversal(lines)
    returned = _give_back_burns(entry, settlement)
    _give_up_fee(entry, settlement)
    used = (x.amount for x in lines if x.debit == REFUND_LIABILITY)
    _owe_again(settlement.subscription_id, sum(used, ZERO))
    for other in written[0].document.get("late", ()):
        # Late usage of other cycles is billed by the next document instead.
        Settlement.objects.filter(pk=other["settlement"]).update(
            late_adjusted=F("late_adjusted") - Decimal(other["net"])
        )
    settlement.status = SettlementStatus.VOIDED
    settlement.save(update_fields=["status"])
    return returned


def _without_lots(written: Sequence[Entry]) -> list[PostingLine]:
    found = Posting.objects.filter(entry__in=written, lot=None).order_by("entry", "position")
    return [PostingLine(x.debit_id, x.credit_id, x.amount, x.currency) for x in found]


def _give_back_burns(
    entry: EntryBuilder, settlement: Settlement
) -> list[tuple[CreditLot, Decimal]]:
    """Lower the burns of a cycle to nothing."""
    rows = cycle_burns.by_lot(settlement=settlement)
    lots = cycle_burns.read_lots(rows)
    returned = []
    for lot_id, row in rows.items():
        lot, quantity = lots[lot_id], row.quantity
        before = Burn(row.quantity, row.carrying, row.tax, row.advance_fee)
        row.carrying = entry.burn_to(lot, Burn(), before=before).carrying
        row.quantity = row.kept = row.late = row.tax = row.advance_fee = ZERO
        if quantity == 0:
            continue
        returned.append((lot, quantity))
        returned_lots.note(entry, lot, quantity, settlement.subscription)
    cycle_burns.write_rows([*rows.values()])
    return returned


def _give_up_fee(entry: EntryBuilder, settlement: Settlement) -> None:
    """Reverse what was earned of the fee in advance; the lines that billed it are mirrored."""
    fee = AdvanceFee.objects.filter(settlement=settlement).first()
    if fee is None:
        return
    amount = fee.amount
    unearned = advance_fees.give_up(book=entry.book, fee=fee, amount=amount, now=entry.occurred_at)
    earned = posting_rules.fee_earned(amount=amount - unearned, currency=fee.currency)
    entry.lines += posting_rules.reversal(earned)


def _owe_again(subscription_id: UUID, amount: Decimal) -> None:
    """Owe the customer again what the document had used of credits for late usage, the one that
    was used last first.
    """
    used = LateCredit.objects.filter(settlement__subscription=subscription_id, used__gt=0)
    for credit in used.order_by("-created_at", "-pk"):
        part = min(credit.used, amount)
        credit.used -= part
        amount -= part
        if part > 0:
            credit.save(update_fields=["used"])


def follow_up(entry: EntryBuilder, settlement: Settlement) -> None:
    """Pay out what is owed again to the customer of a subscription that has ended: no document will
    use it.
    """
    subscription = settlement.subscription
    if subscription.status == SubscriptionStatus.CANCELLED:
        late_credits.pay_out(book=entry.book, subscription_id=subscription.pk, at=entry.occurred_at)
