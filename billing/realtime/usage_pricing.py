"""The prices of a list of real-time usage: what the wallets' engine asks of billing for one list.

It reads the open cycles of the list's books in a few statements, decides each request in memory
with the lots and the journal of the engine's batch, and writes events and burns at its end. So a
list costs hardly more statements than one request does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from aforo import actors
from aforo.database.bulk import Writes
from aforo.database.together import AnyPart, Part, among
from aforo.errors import DomainError, FieldError
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from billing.calculation.calculation import Calculation
from billing.models import CycleBurn, ForgivenUsage, UsageEvent, UsageReservation
from billing.realtime import (
    open_cycles,
    usage_captures,
    usage_debits,
    usage_extensions,
    usage_reservations,
)
from billing.realtime.open_cycles import OpenCycle, Pays
from billing.realtime.snapshots import Snapshot
from billing.realtime.usage_requests import (
    KeyMetered,
    UsageRequest,
    UsageReserveRequest,
    event_keys,
)
from billing.settlement import cycle_burns, usage_burn
from ledger.models import Book
from pricing.models import Metric
from wallets.debits import engine
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.batch import Batch
from wallets.holds import usage_holds
from wallets.holds.over_capture import check_capturable, check_not_ended
from wallets.holds.reservation_holds import Held
from wallets.holds.reservations import UnknownReservation
from wallets.lots import provisioning
from wallets.models import CreditLot, Debit, ReservationStatus, UnitWallet, Wallet


class UsagePricing:
    """The usage of one list: its books' open cycles and lots, as the list has changed them."""

    @classmethod
    def parts(cls, books: Mapping[str, Book], requests: Sequence[engine.Request]) -> list[AnyPart]:
        """Return what is to be read of the books: their open cycles, and named reservations."""
        ids = [book.pk for book in books.values()]
        cycles = open_cycles.parts(books=ids, keys=event_keys(books, requests))
        named = [r.reservation for r in requests if not isinstance(r, engine.CustomerRequest)]
        mine, asked = among("t.reservation_id", named)
        return [*cycles, Part(UsageReservation, f"WHERE {mine}", asked)]

    def __init__(
        self, batch: Batch, requests: Sequence[engine.Request], rows: Sequence[Sequence[Any]]
    ) -> None:
        self.batch = batch
        *cycles, reserved = rows
        self.cycles = open_cycles.read(cycles, books=batch.by_id, now=batch.now)
        # What has to be rolled up first leaves the list as what has to be renewed does.
        batch.renewing |= self.cycles.long
        self.lots: dict[int, dict[UUID, CreditLot]] = {book_id: {} for book_id in batch.by_id}
        self.units: dict[int, list[UnitWallet]] = {book_id: [] for book_id in batch.by_id}
        self.burns: dict[tuple[UUID, UUID], CycleBurn] = {}
        self.events: list[UsageEvent] = []
        self.reservations: list[UsageReservation] = []
        self.forgiven: list[ForgivenUsage] = []
        self.changed: list[UsageReservation] = []
        self.named: dict[UUID, UsageReservation] = {made.pk: made for made in reserved}
        self._gather()

    def _gather(self) -> None:
        """Sort lots and unit wallets by book."""
        for account in self.batch.units.values():
            assert isinstance(account.wallet, UnitWallet), "these are of units"
            self.units[account.book.pk].append(account.wallet)
        lots = [*self.batch.lots.values(), *self.cycles.spent.values()]
        for lot in sorted(lots, key=lambda lot: (lot.granted_at, lot.id)):
            self.lots[lot.book_id][lot.id] = lot
            if lot.unit_wallet_id is not None:
                wallet = self.batch.wallets[False, lot.unit_wallet_id].wallet
                assert isinstance(wallet, UnitWallet), "its lots are of units"
                lot.unit_wallet = wallet

    @actors.acting(actors.job("usage_burn"))
    def catch_up(self) -> bool:
        """Lapse what is due and burn for the cycles that wait, book by book, where there are
        any.
        """
        behind = [book_id for book_id in self.batch.by_id if self.is_behind(book_id)]
        for book_id in behind:
            usage_burn.burn_through(book=self.batch.by_id[book_id], until=self.batch.now[book_id])
        return bool(behind)

    def is_behind(self, book_id: int) -> bool:
        """Return whether lapses and cycles that wait come first."""
        if self._is_over(book_id):
            return False
        now = self.batch.now[book_id]
        return book_id in self.cycles.waiting or any(
            lot.expires_at is not None and lot.expires_at <= now and lot.available > 0
            for lot in self.lots[book_id].values()
        )

    def _is_over(self, book_id: int) -> bool:
        """Return whether a cycle of a customer is over and the next has not begun."""
        now = self.batch.now[book_id]
        accounts = self.batch.money.values()
        ends = (each.wallet.renews_at for each in accounts if each.book.pk == book_id)
        return any(end is not None and end <= now for end in ends)

    def decide(self, request: engine.Request) -> Answer:
        """Debit usage, reserve it, or capture, extend or void such a reservation.

        Raises: what `usage_calls.execute` raises; then nothing has changed.
        """
        book = self.batch.book_of(request)
        # A void only gives back, and asks for no cycle.
        if self._is_over(book.pk) and not isinstance(request, engine.VoidRequest):
            raise engine.NeedsRenewal(book.pk)
        with self.unless_refused(book, request):
            match request:
                case UsageReserveRequest():
                    return usage_reservations.reserve(self, book, request)
                case UsageRequest():
                    return usage_debits.debit(self, book, request)
                case engine.CaptureRequest():
                    return usage_captures.capture(self, *self._reserved(request), request)
                case engine.ExtendRequest():
                    return usage_extensions.extend(self, *self._reserved(request), request)
                case engine.VoidRequest():
                    return usage_reservations.void(self, *self._reserved(request), request)
                case _:
                    raise AssertionError("Only these are of usage.")

    def _reserved(self, request: engine.ReservationRequest) -> tuple[UsageReservation, Held]:
        """Return an open reservation of usage, with its holds.

        Raises: UnknownReservation, ReservationExpired, ReservationClosed.
        """
        made, held = self.named.get(request.reservation), self.batch.held_by(request.reservation)
        if made is None:
            raise UnknownReservation(f"There is no reservation {request.reservation} of usage.")
        if isinstance(request, engine.CaptureRequest):
            check_capturable(held.reservation, self.now(held.reservation.book))
        else:
            check_not_ended(held.reservation)
        wallet = self.batch.account_of(held.reservation).wallet
        assert isinstance(wallet, Wallet), "usage is reserved on a money wallet"
        held.reservation.wallet = wallet
        made.reservation = held.reservation
        known = (
            metric
            for cycle in self.cycles.by_book.get(held.reservation.book_id, ())
            for metric in cycle.metrics
            if metric.pk == made.metric_id
        )
        if (metric := next(known, None)) is not None:
            made.metric = metric
        return made, held

    @contextmanager
    def unless_refused(self, book: Book, request: engine.Request) -> Iterator[None]:
        """Restore everything where a request is refused after credits paid what was metered before
        it, or after its holds were released.
        """
        batch, cycles = self.batch, self.cycles.by_book.get(book.pk, ())
        before = Snapshot()
        before.keep(
            self.lots[book.pk].values(), "remaining", "held", "carrying_remaining", "lapsing"
        )
        for cycle in cycles:
            before.keep([cycle], "burns", copied=dict)
            before.keep(cycle.burns.values(), "quantity", "kept", "carrying", "tax", "advance_fee")
        before.keep([self], "burns", copied=dict)
        before.keep([batch], "changed", copied=dict)
        before.keep([batch], "released", copied=set)
        before.keep([batch.journal], "drafts", "returned", copied=list)
        if not isinstance(request, engine.CustomerRequest):
            held = batch.held_by(request.reservation)
            before.keep([held.reservation], "status", "ended_at", "promised", "captured", "counted")
            before.keep([hold for hold, _ in held.holds], "captured", "released")
            before.keep([batch.account_of(held.reservation)], "promised", "open_overage")
        try:
            yield
        except DomainError:
            before.restore()
            raise

    def check_free(self, book: Book, key: str) -> None:
        """Check that no event has the key.

        Raises: KeyMetered.
        """
        if (book.pk, key) in self.cycles.taken:
            raise key_metered(key)

    def now(self, book: Book) -> datetime:
        return self.batch.now[book.pk]

    def price(
        self,
        book: Book,
        cycle: OpenCycle,
        *,
        until: datetime,
        pays: Pays,
        more: UsageEvent | None = None,
        forgiven: Decimal = ZERO,
    ) -> Calculation:
        """Price what a cycle owes for its usage before a moment, as the list has changed it."""
        return cycle.price(
            until=until,
            lots=self.lots[book.pk].values(),
            units=self.units[book.pk],
            pays=pays,
            more=more,
            forgiven=forgiven,
        )

    def burn(
        self,
        book: Book,
        cycle: OpenCycle,
        draft: Calculation,
        *,
        event: str,
        occurred_at: datetime,
        document: dict[str, object],
        attributes: Mapping[str, str] | None = None,
        keep: bool,
    ) -> tuple[Sequence[cycle_burns.BurnChange], UUID | None]:
        """Adjust a cycle's burns to a calculation; return the changes and the entry, if there is
        anything to write. What is burned with `keep` keeps its payer, and no burn is lowered.
        """
        journal = self.batch.journal
        entry = journal.entry(
            book=book,
            event=event,
            occurred_at=occurred_at,
            document=document,
            attributes=attributes,
            at_period_end=not keep,
        )
        changed, changes = cycle_burns.adjust(
            entry,
            settlement=cycle.settlement,
            draft=draft,
            rows=cycle.burns,
            lots=self.lots[book.pk],
            may_lower=lambda lot: not keep,
            keep=keep,
        )
        for row in changed:
            cycle.burns.setdefault(row.lot_id, row)
            self.burns[row.subscription_id, row.lot_id] = row
        if entry.movements or entry.lines:
            return changes, entry.id
        journal.drafts.pop()
        return changes, None

    def money_account(self, book: Book, currency: str) -> WalletState:
        """Return the account of a customer's money, opened if need be."""
        account = self.batch.money.get((book.pk, currency))
        if account is None:
            wallet = provisioning.money_wallet(book=book, currency=currency)
            account = self.batch.add_account(wallet)
        return account

    def unit_account(self, book: Book, metric: Metric) -> WalletState:
        """Return the account of a customer's units, opened if need be."""
        account = self.batch.units.get((book.pk, metric.code))
        if account is None:
            wallet = provisioning.unit_wallet(book=book, metric=metric)
            account = self.batch.add_account(wallet)
            self.units[book.pk].append(wallet)
        return account

    def reserve(self, account: WalletState, held: Held, made: UsageReservation) -> None:
        """Add a reservation, with its holds and what it promises of overage."""
        self.batch.reservations.append(held.reservation)
        self.batch.holds += [hold for hold, _ in held.holds]
        self.batch.held[held.reservation.id] = held
        self.reservations.append(made)
        account.promised += held.reservation.promised

    def release(self, held: Held, status: ReservationStatus) -> usage_holds.ReleasedHolds:
        """Release what a reservation holds, with what it promises of overage."""
        account = self.batch.account_of(held.reservation)
        account.promised -= held.reservation.promised
        return usage_holds.release_all(
            self.batch.journal, held, status=status, now=self.now(held.reservation.book)
        )

    def promise(self, held: Held, overage: Decimal) -> None:
        """Set the overage that a reservation may still come to."""
        self.batch.account_of(held.reservation).promised += overage
        held.reservation.promised = overage

    def note(self, held: Held, *, released: Decimal) -> None:
        """Record that a reservation was changed, and whether this set credits free."""
        self.batch.note(held, released=released)

    def sell(
        self, held: Held, quantity: Decimal, *, is_money: bool, document: Mapping[str, object]
    ) -> tuple[Debit, usage_holds.Parts]:
        """Sell what is held of money or units; free credits pay what was promised beyond."""
        reservation = held.reservation
        account, promised = self.batch.account_of(reservation), reservation.promised
        short = max(quantity - held.open_of(is_money=is_money), ZERO)
        free = account.allocate(short, reservation.strategy).allocations if is_money else ()
        sold, parts = usage_holds.sell(
            self.batch.journal,
            held,
            quantity=quantity,
            is_money=is_money,
            free=[(account.lots[each.lot], each.quantity) for each in free],
            now=self.now(reservation.book),
            document=document,
            rate=account.tax,
        )
        account.promised += reservation.promised - promised
        account.open_overage += sold.overage
        self.batch.debits.append(sold)
        self.batch.note(held, released=ZERO)
        return sold, parts

    def change(self, made: UsageReservation) -> None:
        """Record that more of a reservation's usage was captured, or reserved."""
        self.changed.append(made)

    def answer(
        self,
        request: engine.ReservationRequest,
        held: Held,
        operation_id: UUID,
        shown: Callable[[], Mapping[str, object]],
    ) -> Answer:
        """Record the answer about a reservation: as things are now, and again after what its
        credits have paid.
        """
        reservation = held.reservation

        def again() -> Mapping[str, object]:
            self._read_lots_again(reservation.book)
            return shown()

        return self.batch.record(
            request,
            operation_id=operation_id,
            account=self.batch.account_of(reservation),
            status=200,
            body=shown(),
            again=again,
        )

    def _read_lots_again(self, book: Book) -> None:
        """Update the lots in place, and add those that were granted since."""
        known = self.lots[book.pk]
        for lot in CreditLot.objects.filter(Q(pk__in=known) | Q(book=book, remaining__gt=0)):
            mine = known.setdefault(lot.id, lot)
            for name in ("remaining", "held", "expires_at", "frozen_at"):
                setattr(mine, name, getattr(lot, name))
            key = (lot.wallet_id is not None, lot.wallet_id or lot.unit_wallet_id or 0)
            if (account := self.batch.wallets.get(key)) is not None:
                account.lots[lot.id] = mine

    def add_to(self, writes: Writes) -> None:
        """Add burns, events and reservations of usage to what the list writes, with their books.

        Writing raises: KeyMetered, where an event of that key was metered meanwhile.
        """
        cycle_burns.add_to(writes, list(self.burns.values()))
        writes.insert_models(UsageReservation, self.reservations)
        writes.insert_models(ForgivenUsage, self.forgiven)
        rows = [[made.pk, made.quantity, made.captured] for made in self.changed]
        writes.update_rows(UsageReservation, "reservation_id", ["quantity", "captured"], rows)
        metered = key_metered("; ".join(event.key for event in self.events))
        writes.insert_last(UsageEvent, self.events, or_raise=metered)
        self.batch.fallen.update(event.book_id for event in self.events)
        self.batch.fallen.update(made.reservation.book_id for made in self.reservations)


def key_metered(key: str) -> KeyMetered:
    detail = f"The key {key} was used by a metered event."
    return KeyMetered([FieldError("/idempotency_key", "key_reused", detail)])
