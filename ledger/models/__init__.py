"""The books, and the files that were made from them."""

from ledger.models.books import (
    Account,
    Book,
    Entry,
    Event,
    Period,
    PeriodStatus,
    Posting,
    Side,
    Statement,
)
from ledger.models.exports import ExportBatch, ExportFormat, ExportPart, ExportRange, GlMapping

__all__ = [
    "Account",
    "Book",
    "Entry",
    "Event",
    "ExportBatch",
    "ExportFormat",
    "ExportPart",
    "ExportRange",
    "GlMapping",
    "Period",
    "PeriodStatus",
    "Posting",
    "Side",
    "Statement",
]
