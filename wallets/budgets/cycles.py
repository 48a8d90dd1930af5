"""The open cycle that a budget counts in, as billing wrote it on the customer's wallets."""

from __future__ import annotations

from collections.abc import Iterable

from aforo.periods import Period
from wallets.models import Budget, UnitWallet, Wallet


def open_cycle(budget: Budget, wallets: Iterable[Wallet | UnitWallet]) -> Period | None:
    """Return the open cycle of what a budget is in: that of its wallet, or else that of any wallet
    of its customer; None while there is none.
    """
    mine = [wallet for wallet in wallets if wallet.book_id == budget.book_id]
    for wallet in sorted(mine, key=lambda wallet: not _is_of(wallet, budget)):
        starts_at, ends_at = wallet.cycle_starts_at, wallet.cycle_ends_at or wallet.renews_at
        if starts_at is not None and ends_at is not None and starts_at < ends_at:
            return Period(starts_at, ends_at)
    return None


def _is_of(wallet: Wallet | UnitWallet, budget: Budget) -> bool:
    if isinstance(wallet, Wallet):
        return wallet.currency == budget.currency
    return wallet.metric_id == budget.metric_id
