"""Burns of a cycle, lot by lot, and their adjustment to a calculation.

Each call posts only the difference to the burns so far, up or down, so that a cycle whose usage was
burned in ten parts ends with the same burns and postings as one that was settled at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from uuid import UUID

from aforo.database import bulk, joined
from aforo.database.bulk import Writes
from aforo.money import ZERO
from billing.calculation import credit_application
from billing.calculation.calculation import Calculation, Tax
from billing.models import CycleBurn, Settlement
from wallets.lots.consideration_tax import tax_within
from wallets.lots.credit_journal import Burn
from wallets.lots.credit_journal import EntryBuilder as EntryDraft
from wallets.models import CreditLot


def by_lot(*, settlement: Settlement) -> dict[UUID, CycleBurn]:
    """Return what a cycle has burned so far, by lot, in the order in which lots first paid.

    The settlement need not be saved: while the cycle is open, it stands in for the one to come.
    """
    burns = bulk.select_models(
        CycleBurn,
        "WHERE subscription_id = %s AND cycle = %s AND kind = %s ORDER BY id",
        [settlement.subscription_id, settlement.cycle, str(settlement.kind)],
    )
    return {burn.lot_id: burn for burn in burns}


def targets(draft: Calculation, *, ahead: bool = True) -> dict[UUID, Burn]:
    """Return the burn of each lot by the whole cycle, with the tax and the advance fee in it; not
    `ahead`: without what pays the fees of the next cycle.
    """
    found: dict[UUID, Burn] = {}
    for burn in chain(*draft.unit_burns.values(), draft.money_burns):
        before = found.get(burn.lot, Burn())
        found[burn.lot] = Burn(before.quantity + burn.quantity)
    for burn in chain(*draft.unit_burns.values()):
        found[burn.lot] = of_units(found[burn.lot].quantity, draft.tax_rate)
    for payer in draft.payers:
        if payer.lot is not None:
            burned, part = found[payer.lot], credit_application.ahead_of(draft, payer)
            burned = replace(burned, tax=burned.tax + payer.tax)
            found[payer.lot] = (
                replace(burned, advance_fee=burned.advance_fee + part.net)
                if ahead
                else replace(
                    burned, quantity=burned.quantity - part.gross, tax=burned.tax - part.tax
                )
            )
    return {lot: burn for lot, burn in found.items() if burn.quantity > 0}


def of_units(quantity: Decimal, rate: Tax | None) -> Burn:
    """Return a burn of units: the tax in it is the part of them that stands for tax."""
    return Burn(quantity, tax=ZERO if rate is None else tax_within(quantity, rate.percent))


@dataclass(frozen=True, slots=True)
class BurnChange:
    """How much an adjustment burned of a lot (below zero: returned to it)."""

    lot: CreditLot
    quantity: Decimal


def adjust_to(
    entry: EntryDraft,
    *,
    settlement: Settlement,
    draft: Calculation,
    may_lower: Callable[[CreditLot], bool],
    given_back: Callable[[CreditLot], None] = lambda lot: None,
    keep: bool = False,
    spares_kept: bool = True,
    ahead: bool = True,
) -> list[BurnChange]:
    """Burn or return the difference between a cycle's burns so far and its calculation. The book
    must be locked.

    The burn of a lot that `may_lower` refuses stays even where the calculation burns less of it.
    `given_back` is called with each lot that credits returned to. With `keep`, what is burned now
    keeps its payer for the rest of the cycle, below which only a call without `spares_kept` lowers
    it. Not `ahead`, what pays the fees of the next cycle is left to `burn_ahead`.
    """
    rows = by_lot(settlement=settlement)
    lots = read_lots({*rows, *targets(draft, ahead=ahead)})
    changed, changes = adjust(
        entry,
        settlement=settlement,
        draft=draft,
        rows=rows,
        lots=lots,
        may_lower=may_lower,
        given_back=given_back,
        keep=keep,
        spares_kept=spares_kept,
        ahead=ahead,
    )
    write_rows(changed)
    return changes


def adjust(
    entry: EntryDraft,
    *,
    settlement: Settlement,
    draft: Calculation,
    rows: Mapping[UUID, CycleBurn],
    lots: Mapping[UUID, CreditLot],
    may_lower: Callable[[CreditLot], bool],
    given_back: Callable[[CreditLot], None] = lambda lot: None,
    keep: bool = False,
    spares_kept: bool = True,
    ahead: bool = True,
) -> tuple[list[CycleBurn], list[BurnChange]]:
    """Do what `adjust_to` does with the rows and lots that were read; return the rows that have
    changed, new ones among them, which the caller writes.
    """
    after = targets(draft, ahead=ahead)
    changed, changes = [], []
    for lot_id in {**after, **rows}:
        lot, row = lots[lot_id], rows.get(lot_id) or new_row(settlement, lots[lot_id])
        old = Burn(row.quantity, row.carrying, row.tax, row.advance_fee)
        new = after.get(lot_id, Burn())
        taken = new.quantity - old.quantity
        stays = not may_lower(lot) or (spares_kept and new.quantity < row.kept)
        if replace(new, carrying=old.carrying) == old or (taken < 0 and stays):
            continue
        stands = entry.burn_to(lot, new, before=old)
        if taken < 0:
            given_back(lot)
        row.kept = max(min(row.kept + (taken if keep else ZERO), stands.quantity), ZERO)
        row.quantity, row.carrying = stands.quantity, stands.carrying
        row.tax, row.advance_fee = stands.tax, stands.advance_fee
        changed.append(row)
        if taken != 0:
            changes.append(BurnChange(lot, taken))
    return changed, changes


def increases(draft: Calculation, rows: Mapping[UUID, CycleBurn]) -> dict[UUID, Decimal]:
    """Return what `adjust` would burn of each lot if it lowered none."""
    before = {lot: row.quantity for lot, row in rows.items()}
    more = {lot: burn.quantity - before.get(lot, ZERO) for lot, burn in targets(draft).items()}
    return {lot: quantity for lot, quantity in more.items() if quantity > 0}


def burn_ahead(entry: EntryDraft, *, settlement: Settlement, draft: Calculation) -> None:
    """Burn what pays the fees of the cycle that follows a settled one; a burn of its own, because
    that cycle earns it. The book must be locked.
    """
    paid = [(payer, credit_application.ahead_of(draft, payer)) for payer in draft.payers]
    parts = {payer.lot: part for payer, part in paid if payer.lot and part.gross > 0}
    rows, before = [], by_lot(settlement=settlement)
    lots = read_lots(parts)
    for lot_id, part in parts.items():
        row = before.get(lot_id) or new_row(settlement, lots[lot_id])
        burn = Burn(part.gross, tax=part.tax, advance_fee=part.net)
        row.carrying += entry.burn_to(lots[lot_id], burn, before=Burn()).carrying
        row.quantity += burn.quantity
        row.tax += burn.tax
        row.advance_fee += burn.advance_fee
        rows.append(row)
    write_rows(rows)


def read_lots(ids: Collection[UUID]) -> dict[UUID, CreditLot]:
    """Read lots with their metrics."""
    if not ids:
        return {}
    found = joined.select(CreditLot, ["unit_wallet__metric"], "WHERE t.id = ANY(%s)", [list(ids)])
    return {lot.id: lot for lot in found}


def burn_more(
    entry: EntryDraft,
    *,
    settlement: Settlement,
    lots: Mapping[UUID, CreditLot],
    burned: Mapping[UUID, Burn],
    is_late: bool = False,
) -> None:
    """Burn what a settled cycle still owes, or owes more, and record who paid it; burns of late
    usage are recorded apart. The book must be locked.
    """
    rows, before = [], by_lot(settlement=settlement)
    for lot_id, more in burned.items():
        row = before.get(lot_id) or new_row(settlement, lots[lot_id])
        row.carrying += entry.burn(lots[lot_id], more.quantity, tax=more.tax)
        row.quantity += more.quantity
        row.late += more.quantity if is_late else ZERO
        row.tax += more.tax
        rows.append(row)
    write_rows(rows)


def take_back(
    entry: EntryDraft,
    row: CycleBurn,
    *,
    quantity: Decimal,
    tax: Decimal = ZERO,
    is_late: bool = False,
) -> CreditLot:
    """Return part of what a settled cycle burned of a lot, with the tax in it, to that lot.

    Fees in advance are still earned by day. The book must be locked.
    """
    lot = CreditLot.objects.select_related("unit_wallet__metric").get(pk=row.lot_id)
    restored = entry.reverse(lot, quantity, tax=tax)
    row.quantity -= quantity
    row.late -= quantity if is_late else ZERO
    row.kept = min(row.kept, row.quantity)
    row.carrying -= restored
    row.tax -= tax
    write_rows([row])
    return lot


def new_row(settlement: Settlement, lot: CreditLot) -> CycleBurn:
    """Return the burn of a lot by a cycle, which has burned nothing of it."""
    return CycleBurn(
        subscription_id=settlement.subscription_id,
        cycle=settlement.cycle,
        kind=settlement.kind,
        lot=lot,
        quantity=ZERO,
        kept=ZERO,
        late=ZERO,
        carrying=ZERO,
        tax=ZERO,
        advance_fee=ZERO,
    )


def write_rows(rows: Sequence[CycleBurn]) -> None:
    """Write what cycles burned of lots, new or changed."""
    writes = Writes()
    add_to(writes, rows)
    writes.execute()


def add_to(writes: Writes, rows: Sequence[CycleBurn]) -> None:
    """Add what cycles burned of lots to what one statement is to write."""
    figures = ["quantity", "kept", "late", "carrying", "tax", "advance_fee"]
    known = [row for row in rows if row.pk is not None]
    changed = [[row.pk, *(getattr(row, name) for name in figures)] for row in known]
    writes.update_rows(CycleBurn, "id", figures, changed)
    columns = ["subscription_id", "cycle", "kind", "lot_id", *figures]
    new = [[getattr(row, name) for name in columns] for row in rows if row.pk is None]
    writes.insert_rows(CycleBurn, columns, new)


def return_to_lapsed(entry: EntryDraft, lot: CreditLot, *, ends_at: datetime) -> None:
    """Extend or lapse what came back to a lot that had lapsed within the cycle.

    A paid lot lives on until `ends_at`, because our own overcharge is never breakage; free credits
    lapse at once (docs/decisions.md#d16, #d33).
    """
    if lot.carrying > 0:
        entry.move_expiry(lot, ends_at)
    else:
        entry.expire(lot)
