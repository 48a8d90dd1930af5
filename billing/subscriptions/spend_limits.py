"""A customer's own limits on a wallet: its low-balance threshold, overage limit and debt limit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from django.db import transaction

from billing.subscriptions import spend_rules
from ledger.entries import books
from wallets.lots import provisioning
from wallets.models import Wallet

COLUMNS = {
    "low_balance_threshold": "low_balance_threshold",
    "overage_limit": "own_overage_limit",
    "debt_limit": "own_debt_limit",
}


def set_limits(
    *, livemode: bool, customer_id: str, currency: str, limits: Mapping[str, Decimal | None]
) -> Wallet:
    """Set the named ones of `low_balance_threshold`, `overage_limit` and `debt_limit`; None removes
    one.

    The own overage and debt limits override the offering's (docs/decisions.md#d18), which count
    again without them. Raises: UnknownCustomer, Invalid (`unknown_currency`).
    """
    book_id = books.get_book(livemode=livemode, key=customer_id).pk
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        wallet = provisioning.named_wallet(book=book, currency=currency)
        for name, value in limits.items():
            setattr(wallet, COLUMNS[name], value)
        wallet.save(update_fields=[COLUMNS[name] for name in limits])
        spend_rules.refresh_rules(book=book)
        wallet.refresh_from_db()
        return wallet
