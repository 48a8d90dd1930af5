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
    find_book_ids,
    find_books,
    get_book,
    lock_book,
    lock_books,
    open_book,
    share_books,
)
from ledger.services.breakage import accrued_breakage
from ledger.services.freezing import PackReport, verify_packs
from ledger.services.periods import (
    OutOfOrder,
    PeriodClosed,
    PeriodNotClosed,
    PeriodNotOver,
    approve_reopening,
    begin_close,
    close,
    month_after,
    propose_reopening,
    sha256,
)
from ledger.services.policies import (
    Decided,
    SamePerson,
    approve,
    breakage_rate,
    policy,
    propose,
)
from ledger.services.proving import BadEntry, ChainReport, verify_chain
from ledger.services.seal_copies import CopyDiffers
from ledger.services.seal_proof import SealReport, verify_seals
from ledger.services.sealing import (
    SealMissing,
    seal,
    seal_after_restore,
    seal_if_due,
    sealed_heads,
)

__all__ = [
    "Amount",
    "BadEntry",
    "BookExists",
    "ChainReport",
    "CopyDiffers",
    "Decided",
    "EntryDraft",
    "OutOfOrder",
    "PackReport",
    "PeriodClosed",
    "PeriodNotClosed",
    "PeriodNotOver",
    "SamePerson",
    "SealMissing",
    "SealReport",
    "UnknownAdjustment",
    "UnknownCustomer",
    "accrued_breakage",
    "append",
    "approve",
    "approve_adjustment",
    "approve_reopening",
    "begin_close",
    "breakage_rate",
    "check_lines",
    "close",
    "company_book",
    "day_of",
    "ensure_chart",
    "find_book_ids",
    "find_books",
    "get_book",
    "lock_book",
    "lock_books",
    "month_after",
    "open_book",
    "policy",
    "propose",
    "propose_adjustment",
    "propose_reopening",
    "reject_adjustment",
    "seal",
    "seal_after_restore",
    "seal_if_due",
    "sealed_heads",
    "sha256",
    "share_books",
    "verify_chain",
    "verify_packs",
    "verify_seals",
]
