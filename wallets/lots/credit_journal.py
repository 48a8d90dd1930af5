"""Every change of credits passes here: lots, their movements and the entry that explains them.

A `Journal` gathers what one transaction does to the lots of books that it has locked, and writes
all of it in a handful of statements, however much it is. Nothing else moves credits; a dispute
freezes lots beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from aforo import actors, money
from aforo.actors import Actor
from aforo.database.bulk import Writes
from aforo.errors import InvariantBroken
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.exact_json import timestamp
from ledger import posting_rules
from ledger.controls import policies, recognised_breakage
from ledger.entries import entries as ledger_entries
from ledger.entries.chain_state import ChainState
from ledger.entries.hash_chain import MovementLine
from ledger.models import Book, Entry
from ledger.posting_rules import LotPart, PostingLine
from pricing.models import CreditKind
from wallets.budgets import counters
from wallets.budgets.counters import Change, CounterChanges
from wallets.lots import movements
from wallets.lots.consideration_tax import pays_net, tax_owed
from wallets.lots.cost_basis import remaining_carrying
from wallets.models import CreditLot, MovementKind

COUNTERS = ["remaining", "held", "carrying_remaining", "lapsing"]
TERMS = ["expires_at", "rolled", "lapsing_since"]


@dataclass(frozen=True, slots=True)
class Burn:
    """The burn of a lot for one cause: the face, its consideration, the tax in the face, owed as
    far as was paid for it, and the part that pays for a period to come.
    """

    quantity: Decimal = ZERO
    carrying: Decimal = ZERO
    tax: Decimal = ZERO
    advance_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back to a lot whose time was over."""

    book: Book
    lot: UUID
    quantity: Decimal
    expired_at: datetime
    at: datetime


@dataclass(slots=True)
class EntryBuilder:
    """An entry before it is written: its lines and the movements it explains, and who acts as it is
    begun.
    """

    journal: CreditJournal
    book: Book
    event: str
    occurred_at: datetime
    document: dict[str, object]
    at_period_end: bool = False
    id: UUID = field(default_factory=new_id)
    actor: Actor = field(default_factory=actors.current)
    lines: list[PostingLine] = field(default_factory=list)
    movements: list[MovementLine] = field(default_factory=list)
    counted: dict[UUID, Change] = field(default_factory=dict)

    def count(self, changes: Sequence[Change]) -> None:
        """Change counters of budgets; the entry's document has by how much."""
        for change in changes:
            counters.add(self.counted, change)
            self.journal.counters.note(change)
        if changes:
            self.document["budgets"] = counters.described(self.counted.values())

    def _move(
        self, lot: CreditLot, kind: MovementKind, *, quantity: Decimal, carrying: Decimal
    ) -> None:
        self.movements.append(
            MovementLine(lot.id, kind.value, quantity, carrying, lot.remaining, lot.held)
        )
        self.journal.changed[lot.id] = lot

    def _take(self, lot: CreditLot, kind: MovementKind, quantity: Decimal) -> Decimal:
        """Lower what remains of a lot; return the consideration that this releases."""
        if not ZERO < quantity <= lot.remaining - lot.held:
            raise InvariantBroken(f"{kind} of {quantity} from lot {lot.id} with {lot.remaining}.")
        lot.remaining -= quantity
        after = remaining_carrying(carrying=lot.carrying, face=lot.face, remaining=lot.remaining)
        released = lot.carrying_remaining - after
        lot.carrying_remaining = after
        self._move(lot, kind, quantity=quantity, carrying=released)
        return released

    def grant(self, lot: CreditLot) -> None:
        """Issue a new lot; the lines of its consideration are the caller's."""
        self.journal.new_lots.append(lot)
        self._move(lot, MovementKind.GRANT, quantity=lot.face, carrying=lot.carrying)

    def _return(self, lot: CreditLot, quantity: Decimal) -> Decimal:
        """Raise what remains of a lot again; return the consideration that this restores.

        Carrying depends on what remains alone, so this restores what the last burns released.
        """
        lot.remaining += quantity
        after = remaining_carrying(carrying=lot.carrying, face=lot.face, remaining=lot.remaining)
        restored = after - lot.carrying_remaining
        lot.carrying_remaining = after
        self._move(lot, MovementKind.REVERSE, quantity=quantity, carrying=restored)
        return restored

    def burn(self, lot: CreditLot, quantity: Decimal, *, tax: Decimal = ZERO) -> Decimal:
        """Spend part of a lot, with the tax in its face; return its consideration, now revenue."""
        released = self._take(lot, MovementKind.BURN, quantity)
        self.lines += _posted(lot, Burn(quantity, released, tax))
        return released

    def burn_to(self, lot: CreditLot, target: Burn, *, before: Burn) -> Burn:
        """Change what one cause burned of a lot from `before` to `target`, up or down.

        Post the difference; return the burn as it then stands, with the consideration released.
        """
        carrying, more = before.carrying, target.quantity - before.quantity
        if more > 0:
            carrying += self._take(lot, MovementKind.BURN, more)
        elif more < 0:
            carrying -= self._return(lot, -more)
        # Returning this burn may restore a last place that another one released.
        short = max(-carrying, ZERO)
        self.lines += posting_rules.difference(
            before=_posted(lot, replace(before, carrying=before.carrying + short)),
            after=_posted(lot, replace(target, carrying=carrying + short)),
        )
        return replace(target, carrying=carrying)

    def move_expiry(self, lot: CreditLot, expires_at: datetime) -> None:
        """Move the expiry of a lot, later or sooner; the entry's document records it."""
        lot.expires_at = expires_at
        self.document[f"new expiry of {lot.id}"] = timestamp(expires_at)
        self.journal.extended[lot.id] = lot

    def hold(self, lot: CreditLot, quantity: Decimal) -> None:
        """Reserve part of a lot; nothing is posted."""
        if not ZERO < quantity <= lot.remaining - lot.held:
            raise InvariantBroken(f"A hold of {quantity} on lot {lot.id} with {lot.remaining}.")
        lot.held += quantity
        self._move(lot, MovementKind.HOLD, quantity=quantity, carrying=ZERO)

    def release(self, lot: CreditLot, quantity: Decimal) -> Decimal:
        """Release held credits, those with the sooner expiry first; return how much of them had not
        rolled over with the lot. Whether they lapse with an expired lot is the caller's rule.
        """
        if not ZERO < quantity <= lot.held:
            raise InvariantBroken(f"A release of {quantity} on lot {lot.id} that holds {lot.held}.")
        unrolled = min(quantity, lot.lapsing)
        lot.lapsing -= unrolled
        lot.held -= quantity
        self._move(lot, MovementKind.RELEASE, quantity=quantity, carrying=ZERO)
        return unrolled

    def note_return(self, lot: CreditLot, quantity: Decimal, unrolled: Decimal = ZERO) -> None:
        """Record what came back to an expired lot, or had not rolled over with its lot;
        `reservation_holds.lapse_returned` decides on it.
        """
        is_over = lot.expires_at is not None and lot.expires_at <= self.occurred_at
        expired_at = lot.expires_at if is_over else lot.lapsing_since
        returned = quantity if is_over else unrolled
        if returned > 0 and expired_at is not None:
            self.journal.returned.append(
                Returned(self.book, lot.id, returned, expired_at, self.occurred_at)
            )

    def reverse(self, lot: CreditLot, quantity: Decimal, *, tax: Decimal = ZERO) -> Decimal:
        """Restore burned credits and the tax in their face; return the consideration restored."""
        if not ZERO < quantity <= lot.face - lot.remaining:
            raise InvariantBroken(f"A reversal of {quantity} into lot {lot.id} of {lot.face}.")
        restored = self._return(lot, quantity)
        self.lines += posting_rules.reversal(_posted(lot, Burn(quantity, restored, tax)))
        return restored

    def refund(self, lot: CreditLot, quantity: Decimal, *, paid_from: str) -> Decimal:
        """Remove unspent credits for repayment; return the consideration that is repaid."""
        released = self._take(lot, MovementKind.REFUND, quantity)
        self.lines += posting_rules.credits_refunded(
            kind=lot.kind,
            source=lot.source,
            carrying=released,
            currency=lot.currency,
            lot=lot.id,
            paid_from=paid_from,
        )
        return released

    def roll_over(self, lot: CreditLot, *, until: datetime, unrolled: Decimal) -> None:
        """Extend a lot until a later moment, with what it carries; of what it holds, `unrolled`
        keeps its expiry, and lapses when it is released.

        The same lot is extended, so nothing is posted.
        """
        if unrolled > 0:
            lot.lapsing, lot.lapsing_since = lot.lapsing + unrolled, lot.expires_at
        lot.expires_at, lot.rolled = until, lot.rolled + 1
        self._move(
            lot, MovementKind.ROLLOVER, quantity=lot.remaining, carrying=lot.carrying_remaining
        )
        self.journal.extended[lot.id] = lot

    def expire(self, lot: CreditLot, quantity: Decimal | None = None) -> None:
        """Lapse everything that is not held, or a part; its consideration becomes breakage."""
        lapsing = lot.remaining - lot.held if quantity is None else quantity
        released = self._take(lot, MovementKind.EXPIRE, lapsing)
        if released > 0:
            self.journal.lapses.append((self, lot, released))

    def revoke(self, lot: CreditLot, quantity: Decimal) -> LotPart:
        """Revoke free credits, because their payment was taken back or never came; return the
        consideration, for the caller's lines.
        """
        released = self._take(lot, MovementKind.ADJUST, quantity)
        return LotPart(lot.kind, lot.source, released, lot.id)


def _posted(lot: CreditLot, burn: Burn) -> list[PostingLine]:
    owes = not pays_net(kind=lot.kind, taxed_at_sale=lot.taxed_at_sale)
    return posting_rules.burn(
        kind=lot.kind,
        source=lot.source,
        carrying=burn.carrying,
        currency=lot.currency,
        lot=lot.id,
        tax=tax_owed(burn.tax, face=burn.quantity, consideration=burn.carrying) if owes else ZERO,
        advance_fee=burn.advance_fee,
    )


class CreditJournal:
    """The changes of credits in one transaction. The caller must hold the locks of the books."""

    def __init__(self) -> None:
        self.drafts: list[EntryBuilder] = []
        self.new_lots: list[CreditLot] = []
        self.changed: dict[UUID, CreditLot] = {}
        self.extended: dict[UUID, CreditLot] = {}
        self.lapses: list[tuple[EntryBuilder, CreditLot, Decimal]] = []
        self.returned: list[Returned] = []
        self.counters = CounterChanges()

    def entry(
        self,
        *,
        book: Book,
        event: str,
        occurred_at: datetime,
        document: Mapping[str, object],
        attributes: Mapping[str, str] | None = None,
        at_period_end: bool = False,
    ) -> EntryBuilder:
        """Begin an entry; `attributes`, where there are any, become a part of its document."""
        facts = {**document, "attributes": dict(attributes)} if attributes else dict(document)
        draft = EntryBuilder(self, book, event, occurred_at, facts, at_period_end)
        self.drafts.append(draft)
        return draft

    def write(self) -> list[Entry]:
        """Write the entries, the lots and the movements that they explain."""
        writes = Writes()
        entries = self.add_to(writes)
        writes.execute()
        return entries

    def add_to(self, writes: Writes, *, state: ChainState | None = None) -> list[Entry]:
        """Add everything to what one statement is to write; `state` as in `append_to`."""
        if not self.drafts:
            return []
        self._post_lapses()
        self._add_lots(writes)
        drafts = [
            ledger_entries.EntryDraft(
                book=draft.book,
                event=draft.event,
                occurred_at=draft.occurred_at,
                document=draft.document,
                lines=draft.lines,
                movements=draft.movements,
                id=draft.id,
                actor=draft.actor,
                at_period_end=draft.at_period_end,
            )
            for draft in self.drafts
        ]
        entries = ledger_entries.append_to(writes, drafts, state=state)
        movements.write_movements(writes, drafts, self.changed)
        self.counters.add_to(writes)
        self.counters = CounterChanges()
        self.drafts, self.new_lots, self.lapses = [], [], []
        self.changed, self.extended = {}, {}
        return entries

    def _add_lots(self, writes: Writes) -> None:
        """Add the new lots as they are by now, and what has changed of the others."""
        writes.insert_models(CreditLot, self.new_lots)
        fresh = {lot.id for lot in self.new_lots}
        names = COUNTERS + TERMS if self.extended else COUNTERS
        rows = [
            [lot.id, *(getattr(lot, name) for name in names)]
            for lot in {**self.changed, **self.extended}.values()
            if lot.id not in fresh
        ]
        writes.update_rows(CreditLot, "id", names, rows)

    def _post_lapses(self) -> None:
        """Post what lapsed: the state's share, what was recognised before, and the rest now."""
        if not self.lapses:
            return
        accrued = recognised_breakage.accrued_breakage({lot.id for _, lot, _ in self.lapses})
        percents: dict[tuple[bool, date], Decimal] = {}
        for draft, lot, released in self.lapses:
            at = (draft.book.livemode, ledger_entries.day_of(draft.occurred_at))
            if at not in percents:
                percents[at] = policies.policy(livemode=at[0], on=at[1]).unclaimed_percent
            percent = percents[at] if lot.kind == CreditKind.CASH else ZERO
            unclaimed = money.proportion(released, percent, Decimal(100))
            before = min(accrued.get(lot.id, ZERO), released - unclaimed)
            accrued[lot.id] = accrued.get(lot.id, ZERO) - before
            draft.lines += posting_rules.expiry(
                kind=lot.kind,
                source=lot.source,
                carrying=released,
                currency=lot.currency,
                lot=lot.id,
                accrued=before,
                unclaimed=unclaimed,
            )
