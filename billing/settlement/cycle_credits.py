"""What there is to pay for a cycle, and what did, read in one statement."""

from __future__ import annotations

from typing import NamedTuple

from aforo.database.together import Part, select_together
from billing.models import CycleBurn, ForgivenUsage, Settlement
from ledger.models import Book
from pricing.models import Metric
from wallets.lots import queries
from wallets.models import CreditLot, Debit, UnitWallet

_BURNED = "t.subscription_id = %s AND t.cycle = %s AND t.kind = %s"
_SPENT = f"""
    JOIN billing_cycleburn AS b ON b.lot_id = t.id
    WHERE t.remaining = 0 AND {_BURNED.replace("t.", "b.")}
"""
# Usage is of the cycle, never of its opening.
_FORGIVEN = "WHERE t.subscription_id = %s AND t.cycle = %s AND %s = 'CYCLE'"
_OF_UNITS = "WHERE t.id IN (SELECT metric_id FROM wallets_unitwallet WHERE book_id = %s)"


class CycleCredits(NamedTuple):
    """The burns of a cycle, the lots with something left and those that it has spent, the unit
    wallets with their metrics, the debits with open overage that it will bill, and what of its
    usage it will not; each in order.
    """

    burns: list[CycleBurn]
    lots: list[CreditLot]
    units: list[UnitWallet]
    debits: list[Debit]
    forgiven: list[ForgivenUsage]


def read(*, book: Book, settlement: Settlement, currency: str) -> CycleCredits:
    """Read what pays for a cycle. The book must be locked.

    The settlement need not be saved: while the cycle is open, it stands in for the one to come.
    """
    cycle = [settlement.subscription_id, settlement.cycle, str(settlement.kind)]
    overage = [book.pk, currency, settlement.counted_until]
    found = select_together(
        [
            Part(CycleBurn, f"WHERE {_BURNED}", cycle),
            Part(CreditLot, "WHERE t.book_id = %s AND t.remaining > 0", [book.pk]),
            Part(CreditLot, _SPENT, cycle),
            Part(UnitWallet, "WHERE t.book_id = %s", [book.pk]),
            Part(Metric, _OF_UNITS, [book.pk]),
            Part(Debit, queries.OPEN_OVERAGE_BEFORE, overage),
            Part(ForgivenUsage, _FORGIVEN, cycle),
        ]
    )
    burns, left, spent, units, metrics, debits, forgiven = found.rows
    by_key = {metric.pk: metric for metric in metrics}
    for wallet in units:
        wallet.metric = by_key[wallet.metric_id]
    return CycleCredits(
        sorted(burns, key=lambda burn: burn.pk),
        sorted([*left, *spent], key=lambda lot: (lot.granted_at, lot.id)),
        units,
        sorted(debits, key=lambda debit: (debit.occurred_at, debit.id)),
        forgiven,
    )
