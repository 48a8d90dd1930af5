"""Everything that can happen to a balance, apart from debits (see `wallets.engine`).

Every function locks the customer's book, runs in one transaction, and takes an idempotency key
where a client calls it: the same key and content gives the first answer again.
"""

from wallets.reads import movement_lines
from wallets.services.expiry import expire, lapsing_books
from wallets.services.grants import grant, issue
from wallets.services.holders import (
    SpendRules,
    apply_rules,
    find_metric,
    money_wallet,
    unit_wallet,
)
from wallets.services.top_ups import Bonus, Payment, PaymentDeclined, top_up

__all__ = [
    "Bonus",
    "Payment",
    "PaymentDeclined",
    "SpendRules",
    "apply_rules",
    "expire",
    "find_metric",
    "grant",
    "issue",
    "lapsing_books",
    "money_wallet",
    "movement_lines",
    "top_up",
    "unit_wallet",
]
