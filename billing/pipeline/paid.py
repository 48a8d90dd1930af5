"""What credits have paid for a cycle, lot by lot, and how it is brought to what a draft says.

Each call posts only the difference to what stands, up or down, so that a cycle whose usage was
burned in ten parts ends with the same burns and postings as one that was settled at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from aforo.money import ZERO
from billing.models import CycleBurn, Subscription
from billing.pipeline.draft import Draft
from wallets.journal import Burn
from wallets.journal import Draft as EntryDraft
from wallets.models import CreditLot


def by_lot(*, subscription_id: UUID, cycle: int) -> dict[UUID, CycleBurn]:
    """Give what a cycle has burned so far, by lot, in the order in which lots first paid."""
    burns = CycleBurn.objects.filter(subscription=subscription_id, cycle=cycle)
    return {burn.lot_id: burn for burn in burns.order_by("pk")}


def targets(draft: Draft) -> dict[UUID, Burn]:
    """Say what the whole cycle takes of each lot, with the tax that its part holds."""
    found = {burn.lot: Burn(burn.quantity) for burns in draft.unit_burns.values() for burn in burns}
    taxes = {payer.lot: payer.tax for payer in draft.payers if payer.lot is not None}
    return found | {
        burn.lot: Burn(burn.quantity, tax=taxes.get(burn.lot, ZERO)) for burn in draft.money_burns
    }


def bring_to(
    entry: EntryDraft,
    *,
    subscription: Subscription,
    cycle: int,
    draft: Draft,
    may_lower: Callable[[CreditLot], bool],
    given_back: Callable[[CreditLot], None],
) -> None:
    """Burn, or give back, what parts a cycle from what its draft takes. The book must be locked.

    A lot that `may_lower` refuses keeps what it paid even where the draft takes less of it.
    `given_back` is told of each lot that got something back.
    """
    before = by_lot(subscription_id=subscription.pk, cycle=cycle)
    after = targets(draft)
    rows = []
    lots = CreditLot.objects.in_bulk({*before, *after})
    for lot_id in {**after, **before}:
        lot = lots[lot_id]
        row = before.get(lot.id)
        old = Burn() if row is None else Burn(row.quantity, row.carrying, row.tax)
        new = after.get(lot.id, Burn())
        if (old.quantity, old.tax) == (new.quantity, new.tax):
            continue
        if new.quantity < old.quantity and not may_lower(lot):
            continue
        stands = entry.burn_to(lot, new.quantity, before=old, tax=new.tax)
        if new.quantity < old.quantity:
            given_back(lot)
        rows.append(
            CycleBurn(
                subscription=subscription,
                cycle=cycle,
                lot=lot,
                quantity=stands.quantity,
                carrying=stands.carrying,
                tax=stands.tax,
            )
        )
    CycleBurn.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["subscription", "cycle", "lot"],
        update_fields=["quantity", "carrying", "tax"],
    )


def return_to_lapsed(entry: EntryDraft, lot: CreditLot, *, ends_at: datetime) -> None:
    """Decide on what came back to a lot that had lapsed within the cycle.

    A paid lot lives on until `ends_at`, for our own overcharge is never breakage; what was given
    for nothing lapses at once (DECISIONS 16, 33).
    """
    if lot.carrying > 0:
        entry.extend(lot, ends_at)
    else:
        entry.expire(lot)
