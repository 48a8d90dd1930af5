"""What can be done with the books: open them, lock them, append to them, prove them."""

from ledger.services.appending import EntryDraft, append, day_of
from ledger.services.books import (
    BookExists,
    UnknownCustomer,
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
    "BadEntry",
    "BookExists",
    "ChainReport",
    "Decided",
    "EntryDraft",
    "SamePerson",
    "SealMissing",
    "SealReport",
    "UnknownCustomer",
    "accrued_breakage",
    "append",
    "approve",
    "breakage_rate",
    "day_of",
    "ensure_chart",
    "find_books",
    "get_book",
    "lock_book",
    "lock_books",
    "open_book",
    "policy",
    "propose",
    "seal",
    "seal_if_due",
    "sealed_heads",
    "share_books",
    "verify_chain",
    "verify_seals",
]
