"""Everything that a list of requests reads and writes, in a handful of statements each.

The books are locked before it reads. Reservations whose time is over are released before the first
request is decided; that is written only if a request is accepted, so a list of refusals changes
nothing, unless what was released is owed, or lapses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from django.db.models import Sum

from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.errors import DomainError, FieldError, Invalid, NotCovered
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from ledger.entries import books as ledger_books
from ledger.entries.chain_state import ChainState
from ledger.models import Book
from pricing.models import Metric
from wallets import outbox, port
from wallets.budgets.counting import BudgetExceeded
from wallets.debits.engine import reading
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.budgeting import ListBudgets
from wallets.debits.engine.latest import Latest, ReadAgain, asked_by
from wallets.debits.engine.pricing import OpenPricing, Pricing
from wallets.debits.engine.requests import (
    CreditRequest,
    CustomerRequest,
    DebitRequest,
    Request,
    keyed,
)
from wallets.holds import reservation_holds
from wallets.holds.reservation_holds import Held
from wallets.holds.reservations import UnknownReservation
from wallets.lots import provisioning, queries
from wallets.lots.credit_journal import CreditJournal
from wallets.models import (
    CreditLot,
    Debit,
    Hold,
    Operation,
    Reservation,
    UnitWallet,
    Wallet,
)
from wallets.operations import idempotency
from wallets.outbox import BalanceDrop, DeclinedDebit, Unpaid


class Batch:
    """The state of a list: what was read, as the requests taken so far have changed it."""

    def __init__(self, books: Mapping[str, Book], *, livemode: bool) -> None:
        self.books = books
        self.by_id = {book.pk: book for book in books.values()}
        # One moment a book, so that a list sees every lot and hold on the same side of its end.
        self.now = {book.pk: now_for(book) for book in books.values()}
        self.livemode = livemode
        self.state: ChainState | None = None
        self.operations: dict[tuple[int, str], Operation] = {}
        self.money: dict[tuple[int, str], WalletState] = {}
        self.units: dict[tuple[int, str], WalletState] = {}
        self.wallets: dict[tuple[bool, int], WalletState] = {}
        self.lots: dict[UUID, CreditLot] = {}
        self.held: dict[UUID, Held] = {}
        self.journal = CreditJournal()
        self.new_operations: list[Operation] = []
        self.debits: list[Debit] = []
        self.reservations: list[Reservation] = []
        self.holds: list[Hold] = []
        self.changed: dict[UUID, Held] = {}
        self.released: set[int] = set()
        self.latest: Latest | None = None
        self.declines: list[DeclinedDebit] = []
        # The books that have fewer credits, and those of which a wallet fills itself.
        self.fallen: set[int] = set()
        self.refilled: set[int] = set()
        self.unpaid: list[Unpaid] = []
        self.renewing: set[int] = set()
        self.pricing: Pricing | None = None
        self.budgets = ListBudgets(books, self.now)

    @classmethod
    def read(
        cls,
        books: Mapping[str, Book],
        requests: Sequence[Request],
        asked_of: Sequence[str],
        pricing: OpenPricing | None = None,
        *,
        livemode: bool,
        is_locked: bool = True,
    ) -> Batch:
        """Read replays, wallets, open lots and holds of the locked books; `asked_of` names the
        customer of each request. `pricing` prices their usage. Of books that are not locked nothing
        may be written.
        """
        batch = cls(books, livemode=livemode)
        if not books:
            return batch
        named = [r.reservation for r in requests if not isinstance(r, CustomerRequest)]
        keys = [
            (books[customer].pk, request.key)
            for customer, request in zip(asked_of, requests, strict=True)
            if customer in books
        ]
        with_units = bool(named or pricing) or any(_asks_units(r) for r in requests)
        values = batch.budgets.values(requests)
        also = [] if pricing is None else pricing.parts(books, requests)
        asked = reading.Asked(keys, named, with_units, values, also)
        found = reading.read(batch.by_id.values(), batch.now, asked, is_locked=is_locked)
        batch.state = found.state
        batch.operations = {(each.book_id, each.key): each for each in found.operations}
        batch.refilled = {rule.book_id for rule in found.refills}
        batch._open_accounts(found)
        batch._sort_lots(found.lots)
        wallets: list[Wallet | UnitWallet] = [*found.wallets, *found.units]
        batch.budgets.open(found.budgets, wallets, batch.journal.counters)
        batch._read_open_overage()
        batch._take_held(found.held, named)
        if pricing is not None:
            batch.pricing = pricing(batch, requests, found.also)
        return batch

    def _open_accounts(self, found: reading.Found) -> None:
        for wallet in found.wallets:
            account = self.add_account(wallet)
            if wallet.renews_at is not None and wallet.renews_at <= account.now:
                self.renewing.add(wallet.book_id)
        for units in found.units:
            self.add_account(units)

    def add_account(self, wallet: Wallet | UnitWallet) -> WalletState:
        """Return the account of a wallet that was read or opened now."""
        account = self._open(wallet)
        if isinstance(wallet, Wallet):
            self.money[wallet.book_id, wallet.currency] = account
        else:
            self.units[wallet.book_id, wallet.metric.code] = account
        self.wallets[isinstance(wallet, Wallet), wallet.pk] = account
        return account

    def _open(self, wallet: Wallet | UnitWallet) -> WalletState:
        return WalletState(self.by_id[wallet.book_id], wallet, self.now[wallet.book_id])

    def _sort_lots(self, lots: Sequence[CreditLot]) -> None:
        for lot in lots:
            self.lots[lot.id] = lot
            is_money = lot.wallet_id is not None
            account = self.wallets.get((is_money, lot.wallet_id or lot.unit_wallet_id or 0))
            if account is not None:
                account.lots[lot.id] = lot

    def _read_open_overage(self) -> None:
        """Sum what the open cycle has run up, and what reservations may add, only where a limit
        asks for it.
        """
        limited = {
            account.wallet.pk: account
            for account in self.money.values()
            if account.wallet.overage_limit is not None
        }
        if limited:
            rows = (
                queries.overage_of_cycle()
                .filter(wallet__in=limited)
                .values_list("wallet")
                .annotate(total=Sum(queries.OPEN_OVERAGE))
                .order_by()
            )
            for wallet_id, total in rows:
                limited[wallet_id].open_overage = total
            for wallet_id, total in queries.promised_overage(limited, self.now).items():
                limited[wallet_id].promised = total

    def _take_held(self, found: Sequence[Held], named: Sequence[UUID]) -> None:
        """Note the reservations, and end those whose time is over."""
        holding = {lot.book_id for lot in self.lots.values() if lot.held > 0}
        for held in found:
            reservation = held.reservation
            book = self.by_id.get(reservation.book_id)
            if book is None or (book.pk not in holding and reservation.id not in named):
                continue
            reservation.book = book
            self.held[reservation.id] = held
            if held.is_due(self.now[book.pk]):
                reservation_holds.time_out(self.journal, held)
                self.note(held, released=held.reservation.held)

    def note(self, held: Held, *, released: Decimal) -> None:
        """Record that a reservation was changed, and whether this released credits."""
        self.changed[held.reservation.id] = held
        if released > 0:
            self.released.add(held.reservation.book_id)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        return {metric.code: metric for metric in Metric.objects.filter(livemode=self.livemode)}

    def book_of(self, request: Request | CustomerRequest) -> Book:
        """Return the customer's book.

        Raises: UnknownCustomer, UnknownReservation.
        """
        if not isinstance(request, CustomerRequest):
            return self.held_by(request.reservation).reservation.book
        book = self.books.get(request.customer_id)
        if book is None:
            raise ledger_books.UnknownCustomer(f"There is no customer {request.customer_id}.")
        return book

    def held_by(self, reservation: UUID) -> Held:
        """Return a reservation.

        Raises: UnknownReservation.
        """
        held = self.held.get(reservation)
        if held is None:
            raise UnknownReservation(f"There is no reservation {reservation}.")
        return held

    def replay(self, request: Request) -> Answer | None:
        """Return the first answer to the same request again.

        Raises: KeyReused when the key was used for another request.
        """
        operation = self.operations.get((self.book_of(request).pk, request.key))
        return None if operation is None else keyed(request).replay(operation)

    def account_for(self, request: CreditRequest) -> WalletState:
        """Return the account of the wallet that a request means.

        Raises: Invalid (`unknown_metric`, `currency_required`).
        """
        book = self.book_of(request)
        if request.metric is not None:
            return self.units.get((book.pk, request.metric)) or self._unopened(book, request.metric)
        if request.currency is not None:
            account = self.money.get((book.pk, request.currency))
            return account or self._open(provisioning.unopened_wallet(book, request.currency))
        return self._only_account(book)

    def _unopened(self, book: Book, code: str) -> WalletState:
        """Return the empty account of a metric of which the customer never had a unit.

        Raises: Invalid (`unknown_metric`).
        """
        metric = self.metrics.get(code)
        if metric is None:
            raise Invalid([FieldError("/metric", "unknown_metric", f"There is no metric {code}.")])
        return self._open(UnitWallet(book=book, metric=metric))

    def _only_account(self, book: Book) -> WalletState:
        accounts = [a for (book_id, _), a in self.money.items() if book_id == book.pk]
        preferred = [a for a in accounts if isinstance(a.wallet, Wallet) and a.wallet.preferred_at]
        candidates = accounts if len(accounts) == 1 else preferred
        if len(candidates) != 1:
            detail = "Name the currency: the customer has no single wallet."
            raise Invalid([FieldError("/currency", "currency_required", detail)])
        return candidates[0]

    def account_of(self, reservation: Reservation) -> WalletState:
        """Return the account that a reservation is on."""
        is_money = reservation.wallet_id is not None
        return self.wallets[is_money, reservation.wallet_id or reservation.unit_wallet_id or 0]

    def record(
        self,
        request: Request,
        *,
        operation_id: UUID,
        account: WalletState,
        status: int,
        body: Mapping[str, object],
        again: ReadAgain | None = None,
    ) -> Answer:
        """Record an accepted request's answer under its key, for ever. `again` gives it after all
        consequences, where more than balances may change.
        """
        given = Answer.fresh(status, body)
        operation = idempotency.recorded(
            book=account.book,
            id=operation_id,
            asked=keyed(request),
            given=given,
            now=account.now,
        )
        self.new_operations.append(operation)
        self.latest = Latest(operation, body, account, again)
        self.operations[account.book.pk, request.key] = operation
        return given

    @property
    def is_followed(self) -> bool:
        """Return whether the changes so far have consequences that come before the next request:
        released credits pay what is owed, or lapse with their lot, and who owes is suspended.
        """
        return bool(self.journal.returned or self._paying or self._debts)

    @property
    def _debts(self) -> list[Unpaid]:
        return [each for each in self.unpaid if each.debit.debt > 0]

    @property
    def _paying(self) -> list[int]:
        """Return the books in which released credits pay for something."""
        return sorted(self.released & self._waiting) if self.released else []

    @cached_property
    def _waiting(self) -> set[int]:
        return port.billing().waiting_for_credits(list(self.by_id))

    def follow(self) -> Answer | None:
        """Write the changes so far with their consequences; return the latest answer as it then is.
        The caller reads the state anew afterwards.
        """
        self._write_changes()
        self._notify()
        return None if self.latest is None else self.latest.answer

    def decline(self, request: Request, refusal: DomainError) -> None:
        """Record that a debit was refused for lack of credits, or a request by a budget."""
        if isinstance(refusal, BudgetExceeded):
            self.budgets.decline(self.book_of(request), refusal.extra)
        if isinstance(request, DebitRequest) and isinstance(refusal, NotCovered):
            account = self.account_for(request)
            facts = {
                "code": refusal.code,
                **account.wallet.unit,
                "asked": request.need,
                **refusal.extra,
            }
            self.declines.append(DeclinedDebit(account.book, facts, account.now))

    def write(self) -> None:
        """Write the changes of the accepted requests, then the notices about them."""
        if self.new_operations:
            self._write_changes()
        self._notify()

    def _notify(self) -> None:
        outbox.debits_declined(self.declines)
        outbox.captures_uncovered(self.unpaid)
        self.budgets.notify()
        fallen = [a for a in self.wallets.values() if a.before is not None]
        outbox.balances_fell(
            BalanceDrop(a.book, a.wallet, a.before or ZERO, a.available, a.now) for a in fallen
        )
        books = self.fallen.union(
            (account.book.pk for account in fallen), (decline.book.pk for decline in self.declines)
        )
        # A rule is set under the lock on its book, and looks at the balance by itself then.
        if books := books & self.refilled:
            port.billing().credits_fell(books)

    def _write_changes(self) -> None:
        """Write journal, operations and reservations; released credits pay arrears, or lapse."""
        is_followed, writes = self.is_followed, Writes()
        self.budgets.note_alerts()
        self.journal.add_to(writes, state=self.state)
        writes.insert_models(Debit, self.debits)
        writes.insert_models(Reservation, self.reservations)
        writes.insert_models(Hold, self.holds)
        reservation_holds.add_to(writes, self.changed.values())
        if not is_followed:
            writes.insert_models(Operation, self.new_operations)
        if self.pricing is not None:
            self.pricing.add_to(writes)
        writes.execute()
        if is_followed:
            self._write_consequences()

    def _write_consequences(self) -> None:
        """Claim debts, lapse what came back to lapsed lots, pay what is owed; store answers."""
        for debt in self._debts:
            with asked_by(self.new_operations, debt.book.pk):
                owed = debt.debit.debt
                port.billing().credits_owed(debt.book, debt.debit.pk, debt.currency, owed)
        reservation_holds.lapse_returned(self.journal.returned)
        for book_id in self._paying:
            with asked_by(self.new_operations, book_id):
                port.billing().credits_arrived(self.by_id[book_id])
        if self.latest is not None:
            self.latest.read_again()
        bulk.insert_models(Operation, self.new_operations)


def _asks_units(request: Request) -> bool:
    return isinstance(request, CreditRequest) and request.metric is not None
