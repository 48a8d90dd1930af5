"""Everything that can happen to a balance, apart from debits (see `wallets.engine`).

Every function locks the customer's book, runs in one transaction, and takes an idempotency key
where a client calls it: the same key and content gives the first answer again.
"""

from wallets.reads import movement_lines
from wallets.services.breakage import accrue_breakage, estimate_breakage
from wallets.services.campaigns import (
    EVERYBODY_CAUSE,
    AlreadyGranted,
    Given,
    NotInAudience,
    give,
    redeem,
)
from wallets.services.expiry import expire, lapsing_books
from wallets.services.grants import grant, issue
from wallets.services.holders import (
    SpendRules,
    apply_rules,
    find_metric,
    money_wallet,
    unit_wallet,
)
from wallets.services.refunds import refund
from wallets.services.reservations import (
    books_to_release,
    describe_reservation,
    get_reservation,
    in_status,
    release_due,
    reservations,
)
from wallets.services.reversals import reverse
from wallets.services.rollover import roll_over, rolled_quantity
from wallets.services.statements import running_balances, statement, statement_as_of
from wallets.services.top_ups import Bonus, Payment, PaymentDeclined, top_up

__all__ = [
    "EVERYBODY_CAUSE",
    "AlreadyGranted",
    "Bonus",
    "Given",
    "NotInAudience",
    "Payment",
    "PaymentDeclined",
    "SpendRules",
    "accrue_breakage",
    "apply_rules",
    "books_to_release",
    "describe_reservation",
    "estimate_breakage",
    "expire",
    "find_metric",
    "get_reservation",
    "give",
    "grant",
    "in_status",
    "issue",
    "lapsing_books",
    "money_wallet",
    "movement_lines",
    "redeem",
    "refund",
    "release_due",
    "reservations",
    "reverse",
    "roll_over",
    "rolled_quantity",
    "running_balances",
    "statement",
    "statement_as_of",
    "top_up",
    "unit_wallet",
]
