"""Refusals for lack of credits: where a request looked for them, noted before the list goes on."""

from __future__ import annotations

from wallets.budgets.counting import BudgetExceeded
from wallets.debits import shortages
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.requests import CreditRequest, CustomerRequest, Request, UsageRequest
from wallets.debits.shortages import Asked, Refusal, Shortage
from wallets.holds.reservation_holds import Held
from wallets.models import BurnStrategy, Wallet


def shortage(batch: Batch, request: Request, refusal: Refusal) -> Shortage:
    """Note a refusal with what the customer has now."""
    book = batch.book_of(request)
    if isinstance(refusal, BudgetExceeded):
        return shortages.limited(refusal, book, batch.now[book.pk])
    held = None if isinstance(request, CustomerRequest) else batch.held_by(request.reservation)
    if held is not None:
        account, strategy = batch.account_of(held.reservation), held.reservation.strategy
    elif isinstance(request, CreditRequest):
        account, strategy = batch.account_for(request), request.strategy
    else:
        wallet = Wallet(book=book, currency=refusal.currency)
        opened = WalletState(book, wallet, batch.now[book.pk])
        account = batch.money.get((book.pk, refusal.currency), opened)
        strategy = BurnStrategy.WATERFALL
    asked = Asked(
        book=book,
        now=account.now,
        currency=account.wallet.unit.get("currency", ""),
        kinds=account.order(strategy),
        wallets={_name(account), *_units(batch, request, held)},
        mine={} if held is None else held.by_lot,
        ends_at=None if held is None else held.reservation.expires_at,
    )
    lots = (lot for lot in batch.lots.values() if lot.book_id == book.pk)
    return shortages.note(refusal, asked, lots)


def _name(account: WalletState) -> tuple[bool, int | None]:
    return isinstance(account.wallet, Wallet), account.wallet.pk


def _units(batch: Batch, request: Request, held: Held | None) -> set[tuple[bool, int | None]]:
    """Return the wallets of units that pay for usage before money does."""
    if held is not None:
        return {(False, lot.unit_wallet_id) for _, lot in held.holds if lot.wallet_id is None}
    if not isinstance(request, UsageRequest):
        return set()
    units = batch.units.get((batch.book_of(request).pk, request.metric))
    return set() if units is None else {_name(units)}
