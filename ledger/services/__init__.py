"""What can be done with the books: open them, lock them, append to them, prove them."""

from ledger.services.adjustments import (
    Amount,
    UnknownAdjustment,
    approve_adjustment,
    check_lines,
    propose_adjustment,
    reject_adjustment,
)
from ledger.services.appending import EntryDraft, append, day_of
from ledger.services.books import (
    BookExists,
    UnknownCustomer,
    company_book,
    ensure_chart,
    find_books,
    get_book,
    lock_book,
    lock_books,
    open_book,
    share_books,
)
from ledger.services.breakage import accrued_breakage
from ledger.services.policies import (
    Decided,
    SamePerson,
    approve,
    breakage_rate,
    policy,
    propose,
)
from ledger.services.proving import BadEntry, ChainReport, verify_chain
from ledger.services.sealing import (
    SealMissing,
    SealReport,
    seal,
    seal_if_due,
    sealed_heads,
    verify_seals,
)

__all__ = [
    "Amount",
    "BadEntry",
    "BookExists",
    "ChainReport",
    "Decided",
    "EntryDraft",
    "SamePerson",
    "SealMissing",
    "SealReport",
    "UnknownAdjustment",
    "UnknownCustomer",
    "accrued_breakage",
    "append",
    "approve",
    "approve_adjustment",
    "breakage_rate",
    "check_lines",
    "company_book",
    "day_of",
    "ensure_chart",
    "find_books",
    "get_book",
    "lock_book",
    "lock_books",
    "open_book",
    "policy",
    "propose",
    "propose_adjustment",
    "reject_adjustment",
    "seal",
    "seal_if_due",
    "sealed_heads",
    "share_books",
    "verify_chain",
    "verify_seals",
]
