"""Everything that can happen to a balance, apart from debits (see `wallets.engine`).

Every function locks the customer's book, runs in one transaction, and takes an idempotency key
where a client calls it: the same key and content gives the first answer again.
"""

from wallets.holds import lapse_returned
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
from wallets.services.disputes import dispute, pay_claim
from wallets.services.expiry import end_lots, expire, is_anything_due, lapsing_books
from wallets.services.grants import grant, issue
from wallets.services.holders import (
    SpendRules,
    apply_rules,
    find_metric,
    money_wallet,
    unit_wallet,
)
from wallets.services.holding import LetGo, Sold, after_burns, hold, hold_on, let_go, sell
from wallets.services.opening import OpeningBalance, bring_over, check_opening, totals
from wallets.services.refill import (
    active_books,
    due_on_clock,
    get_auto_refill,
    refill_if_low,
    set_auto_refill,
    switch_off,
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
from wallets.services.rollover import roll_over
from wallets.services.statements import running_balances, statement, statement_as_of
from wallets.services.top_ups import (
    Bonus,
    InProgress,
    Payment,
    PaymentDeclined,
    books_to_ask,
    get_top_up,
    pay_on_account,
    resolve_pending,
    top_up,
)

__all__ = [
    "EVERYBODY_CAUSE",
    "AlreadyGranted",
    "Bonus",
    "Given",
    "InProgress",
    "LetGo",
    "NotInAudience",
    "OpeningBalance",
    "Payment",
    "PaymentDeclined",
    "Sold",
    "SpendRules",
    "accrue_breakage",
    "active_books",
    "after_burns",
    "apply_rules",
    "books_to_ask",
    "books_to_release",
    "bring_over",
    "check_opening",
    "describe_reservation",
    "dispute",
    "due_on_clock",
    "end_lots",
    "estimate_breakage",
    "expire",
    "find_metric",
    "get_auto_refill",
    "get_reservation",
    "get_top_up",
    "give",
    "grant",
    "hold",
    "hold_on",
    "in_status",
    "is_anything_due",
    "issue",
    "lapse_returned",
    "lapsing_books",
    "let_go",
    "money_wallet",
    "movement_lines",
    "pay_claim",
    "pay_on_account",
    "redeem",
    "refill_if_low",
    "refund",
    "release_due",
    "reservations",
    "resolve_pending",
    "reverse",
    "roll_over",
    "running_balances",
    "sell",
    "set_auto_refill",
    "statement",
    "statement_as_of",
    "switch_off",
    "top_up",
    "totals",
    "unit_wallet",
]
