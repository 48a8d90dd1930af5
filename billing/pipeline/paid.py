"""What credits have paid for a cycle, lot by lot, and how it is brought to what a draft says.

Each call posts only the difference to what stands, up or down, so that a cycle whose usage was
burned in ten parts ends with the same burns and postings as one that was settled at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
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
    found: dict[UUID, Burn] = {}
    taxes: dict[UUID, Decimal] = {}
    for payer in draft.payers:
        if payer.lot is not None:
            taxes[payer.lot] = taxes.get(payer.lot, ZERO) + payer.tax
    units = [burn for burned in draft.unit_burns.values() for burn in burned]
    for burn in (*units, *draft.money_burns):
        before = found.get(burn.lot, Burn())
        tax = taxes.get(burn.lot, ZERO)
        found[burn.lot] = Burn(before.quantity + burn.quantity, tax=tax)
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """What bringing a cycle up to date took of a lot (below zero: gave back)."""

    lot: CreditLot
    quantity: Decimal


def bring_to(
    entry: EntryDraft,
    *,
    subscription: Subscription,
    cycle: int,
    draft: Draft,
    may_lower: Callable[[CreditLot], bool],
    given_back: Callable[[CreditLot], None] = lambda lot: None,
    keep: bool = False,
) -> list[Change]:
    """Burn, or give back, what parts a cycle from what its draft takes. The book must be locked.

    A lot that `may_lower` refuses keeps what it paid even where the draft takes less of it.
    `given_back` is told of each lot that got something back. With `keep`, what is burned now keeps
    its payer for the rest of the cycle.
    """
    before = by_lot(subscription_id=subscription.pk, cycle=cycle)
    after = targets(draft)
    rows, changes = [], []
    lots = CreditLot.objects.select_related("unit_wallet__metric").in_bulk({*before, *after})
    for lot_id in {**after, **before}:
        lot, row = lots[lot_id], before.get(lot_id)
        old = Burn() if row is None else Burn(row.quantity, row.carrying, row.tax)
        new = after.get(lot_id, Burn())
        if (old.quantity, old.tax) == (new.quantity, new.tax):
            continue
        if new.quantity < old.quantity and not may_lower(lot):
            continue
        stands = entry.burn_to(lot, new.quantity, before=old, tax=new.tax)
        if new.quantity < old.quantity:
            given_back(lot)
        taken = new.quantity - old.quantity
        kept = (ZERO if row is None else row.kept) + (taken if keep else ZERO)
        rows.append(
            CycleBurn(
                subscription=subscription,
                cycle=cycle,
                lot=lot,
                quantity=stands.quantity,
                kept=max(min(kept, stands.quantity), ZERO),
                carrying=stands.carrying,
                tax=stands.tax,
            )
        )
        if taken != 0:
            changes.append(Change(lot, taken))
    CycleBurn.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["subscription", "cycle", "lot"],
        update_fields=["quantity", "kept", "carrying", "tax"],
    )
    return changes


def return_to_lapsed(entry: EntryDraft, lot: CreditLot, *, ends_at: datetime) -> None:
    """Decide on what came back to a lot that had lapsed within the cycle.

    A paid lot lives on until `ends_at`, for our own overcharge is never breakage; what was given
    for nothing lapses at once (DECISIONS 16, 33).
    """
    if lot.carrying > 0:
        entry.extend(lot, ends_at)
    else:
        entry.expire(lot)
