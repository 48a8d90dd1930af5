"""The ways by which money comes and leaves again: a bank account, or a processor of payments.

Pure, but for the model's words.
"""

from __future__ import annotations

from typing import Final

from ledger import posting_rules
from wallets.models import PaidBy, TopUp, TopUpChannel

# Methods that bring the money to the bank account itself; any other is a processor's.
BANK_METHODS: Final = frozenset(
    {
        "ach", "bacs", "bank", "bank_transfer", "cash", "check", "cheque", "direct_debit", "sepa",
        "sepa_credit_transfer", "sepa_debit", "sepa_direct_debit", "transfer", "wire",
        "wire_transfer",
    }
)  # fmt: skip
ACCOUNTS: Final = {
    PaidBy.BANK: posting_rules.BANK,
    PaidBy.PROCESSOR: posting_rules.CLEARING,
}
# Top-ups from before the way was kept came in by the account of their channel.
_BY_CHANNEL: Final = {
    TopUpChannel.GATEWAY: PaidBy.PROCESSOR,
    TopUpChannel.MANUAL: PaidBy.PROCESSOR,
    TopUpChannel.ON_ACCOUNT: PaidBy.BANK,
}


def by_method(method: str) -> PaidBy:
    """Return the way of money that was taken elsewhere, by the name of its method."""
    named = method.strip().lower().replace("-", "_").replace(" ", "_")
    return PaidBy.BANK if named in BANK_METHODS else PaidBy.PROCESSOR


def of_top_up(top_up: TopUp) -> PaidBy:
    """Return the way by which a top-up was paid."""
    return PaidBy(top_up.paid_by) if top_up.paid_by else _BY_CHANNEL[TopUpChannel(top_up.channel)]


def account_of(top_up: TopUp) -> str:
    """Return the account that a top-up's payment came into, which what is paid back leaves
    (docs/accounting.md#e27).
    """
    return ACCOUNTS[of_top_up(top_up)]
