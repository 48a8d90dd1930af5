"""Credits sold on account whose sale is undone, because nobody pays for them."""

from __future__ import annotations

from ledger.posting_rules import LotPart
from wallets.lots.credit_journal import EntryBuilder
from wallets.models import CreditLot, TopUp, TopUpStatus
from wallets.top_ups import disputes


def is_untouched(bought: TopUp) -> bool:
    """Return whether all that was sold is still there and free; credits held back are."""
    lots = CreditLot.objects.filter(top_up=bought)
    return not bought.dispute and all(
        lot.remaining == lot.face and lot.held == 0 and lot.frozen_at is None for lot in lots
    )


def undo(entry: EntryBuilder, bought: TopUp) -> tuple[LotPart, ...]:
    """Revoke all of an untouched sale, bonus included, or, where it waits for its payment, let it
    fail; return what the credits carried, for the caller's lines. The book must be locked.
    """
    if bought.status == TopUpStatus.PENDING:
        bought.status, bought.failed_at = TopUpStatus.FAILED, entry.occurred_at
        bought.save(update_fields=["status", "failed_at"])
        return ()
    lots = list(
        CreditLot.objects.filter(top_up=bought).select_related("unit_wallet__metric").order_by("id")
    )
    disputes.return_to_campaigns({lot.id: lot.remaining for lot in lots})
    return tuple(entry.revoke(lot, lot.remaining) for lot in lots)
