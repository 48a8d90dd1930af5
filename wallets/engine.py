"""The debit engine: a list of requests in one transaction, in a handful of statements.

Each request succeeds or fails alone, in order. The books are locked first; replays, wallets and
lots are read in a later statement than the lock (DECISIONS 2). A key is unique in its book for
ever: the same content gives the first answer again, other content is refused, and a refusal does
not use the key up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from django.db import transaction
from django.db.models import F, Sum

from aforo import bulk, money
from aforo.api.idempotency import canonical, check_same
from aforo.errors import Conflict, DomainError, FieldError, Invalid, NotCovered
from aforo.ids import new_id
from aforo.sandbox.services import now_for
from ledger import services as ledger
from ledger.models import Book, Event
from pricing.models import BillingMode, Kind, Metric
from wallets import reads, waterfall
from wallets.answers import Answer, answer, debit_answer
from wallets.journal import Draft, Journal
from wallets.models import (
    CreditLot,
    Debit,
    Operation,
    SpendState,
    Strategy,
    UnitWallet,
    Wallet,
)
from wallets.waterfall import Allocated

ZERO = Decimal(0)
DEBIT = "POST /v1/wallets/debit"


class Suspended(Conflict):
    default_code = "suspended"


class Paused(Conflict):
    default_code = "paused"


@dataclass(frozen=True, slots=True)
class DebitRequest:
    """One debit: `amount` of money (in `currency`, or the customer's only one), or `quantity` units
    of `metric`.
    """

    customer_id: str
    key: str
    strategy: str = Strategy.WATERFALL
    amount: Decimal | None = None
    currency: str | None = None
    metric: str | None = None
    quantity: Decimal | None = None

    @property
    def content(self) -> dict[str, object]:
        """What was asked, in the form in which repeats are compared."""
        asked = canonical(
            {
                "customer_id": self.customer_id,
                "strategy": self.strategy,
                "amount": self.amount,
                "currency": self.currency,
                "metric": self.metric,
                "quantity": self.quantity,
            }
        )
        assert isinstance(asked, dict)
        return asked

    @property
    def need(self) -> Decimal:
        need = self.amount if self.metric is None else self.quantity
        assert need is not None, "the edge validates that one of both is given"
        return need


Result = Answer | DomainError


@money.exact
def debit(requests: Sequence[DebitRequest], *, livemode: bool) -> list[Result]:
    """Take a list of debits; give an answer or a refusal for each, in order.

    One transaction: locks the books by primary key, commits before it returns (unless the caller
    holds a transaction open). Raises: Busy when a lock is not had in time; then nothing happened.
    """
    books = ledger.find_books(livemode=livemode, keys={r.customer_id for r in requests})
    with transaction.atomic():
        locked = ledger.lock_books(ids=[book.pk for book in books.values()])
        batch = _Batch.read(
            {key: locked[book.pk] for key, book in books.items()}, requests, livemode=livemode
        )
        results = [batch.take(request) for request in requests]
        batch.write()
    return results


@dataclass(slots=True, eq=False)
class _Account:
    """One wallet of one book while a list runs: its lots change in place from debit to debit."""

    book: Book
    wallet: Wallet | UnitWallet
    now: datetime
    lots: dict[object, CreditLot] = field(default_factory=dict)
    open_overage: Decimal = ZERO

    def order(self, strategy: str) -> list[str]:
        """Give the kinds that may pay; POSTPAID has no cash step (DESIGN 3)."""
        kinds = [
            kind
            for kind in self.wallet.burn_order
            if not (self.wallet.billing_mode == BillingMode.POSTPAID and kind == Kind.CASH)
        ]
        if strategy == Strategy.WATERFALL:
            return kinds
        return [kind for kind in kinds if kind == strategy]

    def allocate(self, request: DebitRequest) -> Allocated:
        """Run the waterfall over the lots alive now."""
        alive = (reads.seen_by_waterfall(lot) for lot in self.lots.values())
        return waterfall.allocate(
            (lot for lot in alive if lot.spendable_at(self.now)),
            request.need,
            self.order(request.strategy),
        )

    def check_covered(self, request: DebitRequest, outcome: Allocated) -> None:
        """Refuse what is not covered; only a money waterfall of HYBRID or POSTPAID may overrun.

        Raises: Suspended, Paused, NotCovered (`insufficient_funds` or `overage_limit`).
        """
        if self.wallet.spend_state == SpendState.SUSPENDED:
            raise Suspended("The customer is suspended: arrears are open.")
        if self.wallet.spend_state == SpendState.PAUSED:
            raise Paused("The subscription is paused.")
        if outcome.shortfall == 0:
            return
        facts = {
            "shortfall": money.plain(outcome.shortfall),
            "available": money.plain(outcome.covered),
        }
        may_overrun = (
            isinstance(self.wallet, Wallet)
            and self.wallet.billing_mode != BillingMode.PREPAID
            and request.strategy == Strategy.WATERFALL
        )
        if not may_overrun:
            raise NotCovered(
                f"{facts['available']} of {money.plain(request.need)} is available.", extra=facts
            )
        limit = self.wallet.overage_limit
        if limit is not None and self.open_overage + outcome.shortfall > limit:
            raise NotCovered(
                f"The overage would pass the limit of {money.plain(limit)}.",
                code="overage_limit",
                extra=facts,
            )


class _Batch:
    """Everything that a list of requests reads and writes."""

    def __init__(self, books: Mapping[str, Book], *, livemode: bool) -> None:
        self.books = books
        self.livemode = livemode
        self.operations: dict[tuple[int, str], Operation] = {}
        self.money: dict[tuple[int, str], _Account] = {}
        self.units: dict[tuple[int, str], _Account] = {}
        self.journal = Journal()
        self.debits: list[Debit] = []
        self.new_operations: list[Operation] = []

    @classmethod
    def read(
        cls, books: Mapping[str, Book], requests: Sequence[DebitRequest], *, livemode: bool
    ) -> _Batch:
        """Read replays, wallets and open lots of the locked books, in constant statements."""
        batch = cls(books, livemode=livemode)
        ids = [book.pk for book in books.values()]
        by_id = {book.pk: book for book in books.values()}
        keys = [request.key for request in requests]
        for operation in Operation.objects.filter(book_id__in=ids, key__in=keys):
            batch.operations[operation.book_id, operation.key] = operation
        by_wallet: dict[tuple[bool, int], _Account] = {}
        for wallet in Wallet.objects.filter(book_id__in=ids):
            account = _Account(by_id[wallet.book_id], wallet, now_for(by_id[wallet.book_id]))
            batch.money[wallet.book_id, wallet.currency] = by_wallet[True, wallet.pk] = account
        if any(request.metric is not None for request in requests):
            for units in UnitWallet.objects.filter(book_id__in=ids).select_related("metric"):
                account = _Account(by_id[units.book_id], units, now_for(by_id[units.book_id]))
                batch.units[units.book_id, units.metric.code] = account
                by_wallet[False, units.pk] = account
        for lot in reads.open_lots(ids):
            is_money = lot.wallet_id is not None
            found = by_wallet.get((is_money, lot.wallet_id or lot.unit_wallet_id or 0))
            if found is not None:
                found.lots[lot.id] = lot
        batch._read_open_overage()
        return batch

    def _read_open_overage(self) -> None:
        """Sum what the open cycle has run up, only where a limit asks for it."""
        limited = {
            account.wallet.pk: account
            for account in self.money.values()
            if account.wallet.overage_limit is not None
        }
        if limited:
            rows = (
                Debit.objects.filter(wallet__in=limited, overage__gt=F("overage_billed"))
                .values_list("wallet")
                .annotate(unbilled=Sum(F("overage") - F("overage_billed")))
            )
            for wallet_id, total in rows:
                limited[wallet_id].open_overage = total

    @cached_property
    def known_metrics(self) -> set[str]:
        codes = Metric.objects.filter(livemode=self.livemode).values_list("code", flat=True)
        return set(codes)

    def take(self, request: DebitRequest) -> Result:
        """Decide one request; what it changes is written later, with the rest of the list."""
        try:
            return self._replay(request) or self._accept(request)
        except DomainError as refusal:
            return refusal

    def _book(self, request: DebitRequest) -> Book:
        book = self.books.get(request.customer_id)
        if book is None:
            raise ledger.UnknownCustomer(f"There is no customer {request.customer_id}.")
        return book

    def _replay(self, request: DebitRequest) -> Answer | None:
        operation = self.operations.get((self._book(request).pk, request.key))
        if operation is None:
            return None
        check_same(
            key=request.key,
            first=(operation.endpoint, operation.content),
            again=(DEBIT, request.content),
        )
        return Answer(operation.status, operation.body, replayed=True)

    def _account(self, request: DebitRequest) -> _Account:
        """Find the wallet that a request means.

        Raises: Invalid (`unknown_metric`, `currency_required`).
        """
        book = self._book(request)
        if request.metric is not None:
            account = self.units.get((book.pk, request.metric))
            if account is None and request.metric not in self.known_metrics:
                detail = f"There is no metric {request.metric}."
                raise Invalid([FieldError("/metric", "unknown_metric", detail)])
            return account or _Account(book, UnitWallet(book=book), now_for(book))
        if request.currency is not None:
            account = self.money.get((book.pk, request.currency))
            return account or _Account(
                book, Wallet(book=book, currency=request.currency), now_for(book)
            )
        return self._only_account(book)

    def _only_account(self, book: Book) -> _Account:
        accounts = [a for (book_id, _), a in self.money.items() if book_id == book.pk]
        preferred = [a for a in accounts if isinstance(a.wallet, Wallet) and a.wallet.preferred_at]
        candidates = accounts if len(accounts) == 1 else preferred
        if len(candidates) != 1:
            detail = "Name the currency: the customer has no single wallet."
            raise Invalid([FieldError("/currency", "currency_required", detail)])
        return candidates[0]

    def _accept(self, request: DebitRequest) -> Answer:
        account = self._account(request)
        outcome = account.allocate(request)
        account.check_covered(request, outcome)
        draft = self.journal.entry(
            book=account.book,
            event=Event.DEBIT,
            occurred_at=account.now,
            document=_document(request, account, outcome),
        )
        paid = [(a, account.lots[a.lot]) for a in outcome.allocations]
        for allocation, lot in paid:
            draft.burn(lot, allocation.quantity)
        account.open_overage += outcome.shortfall
        return self._record(request, account, outcome, draft)

    def _record(
        self, request: DebitRequest, account: _Account, outcome: Allocated, draft: Draft
    ) -> Answer:
        """Keep the debit, and its answer under its key."""
        wallet = account.wallet
        operation_id = new_id()
        made = Debit(
            book=account.book,
            operation_id=operation_id,
            entry_id=draft.id,
            wallet=wallet if isinstance(wallet, Wallet) else None,
            unit_wallet=wallet if isinstance(wallet, UnitWallet) else None,
            quantity=request.need,
            overage=outcome.shortfall,
            overage_billed=ZERO,
            strategy=request.strategy,
            occurred_at=account.now,
        )
        given = answer(
            200,
            debit_answer(
                debit=made,
                book=account.book,
                wallet=account.wallet,
                allocations=[(a, account.lots[a.lot]) for a in outcome.allocations],
                balance=reads.balance(account.lots.values(), account.now),
            ),
        )
        operation = Operation(
            id=operation_id,
            book=account.book,
            key=request.key,
            endpoint=DEBIT,
            content=request.content,
            status=given.status,
            body=given.body,
            created_at=account.now,
        )
        self.debits.append(made)
        self.new_operations.append(operation)
        self.operations[account.book.pk, request.key] = operation
        return given

    def write(self) -> None:
        """Write what the accepted requests changed."""
        if not self.debits:
            return
        self.journal.write()
        bulk.insert_models(Operation, self.new_operations)
        bulk.insert_models(Debit, self.debits)


def _document(request: DebitRequest, account: _Account, outcome: Allocated) -> dict[str, object]:
    """Say in the journal what was asked and who paid."""
    wallet = account.wallet
    unit = (
        {"currency": wallet.currency}
        if isinstance(wallet, Wallet)
        else {"metric": wallet.metric.code}
    )
    return {
        "key": request.key,
        "strategy": str(request.strategy),
        "quantity": money.plain(request.need),
        "overage": money.plain(outcome.shortfall),
        **unit,
    }
