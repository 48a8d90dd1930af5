"""The books, the decisions and seals that guard them, and the files that were made from them."""

from ledger.models.adjustments import AdjustmentLine, ManualAdjustment, Reason
from ledger.models.approvals import (
    WITHOUT_AMOUNT,
    ApprovalAction,
    ApprovalLimit,
    ApprovalRequest,
)
from ledger.models.books import Account, Book, Entry, LedgerEvent, Posting, Side, Statement
from ledger.models.exchange_rates import ExchangeRate
from ledger.models.exports import (
    ExportBatch,
    ExportFormat,
    ExportPart,
    ExportRange,
    ExportReceipt,
    GlMapping,
)
from ledger.models.periods import (
    AccountingPeriod,
    CloseFile,
    ClosePack,
    CloseStep,
    CloseSum,
    PeriodStatus,
    Reopening,
)
from ledger.models.policies import (
    BonusAllocation,
    BreakageMethod,
    BreakageRate,
    FourEyes,
    Policy,
    ProvisionMatrix,
)
from ledger.models.seals import Seal, SealCopy, SealedHead

__all__ = [
    "WITHOUT_AMOUNT",
    "Account",
    "AccountingPeriod",
    "AdjustmentLine",
    "ApprovalAction",
    "ApprovalLimit",
    "ApprovalRequest",
    "BonusAllocation",
    "Book",
    "BreakageMethod",
    "BreakageRate",
    "CloseFile",
    "ClosePack",
    "CloseStep",
    "CloseSum",
    "Entry",
    "ExchangeRate",
    "ExportBatch",
    "ExportFormat",
    "ExportPart",
    "ExportRange",
    "ExportReceipt",
    "FourEyes",
    "GlMapping",
    "LedgerEvent",
    "ManualAdjustment",
    "PeriodStatus",
    "Policy",
    "Posting",
    "ProvisionMatrix",
    "Reason",
    "Reopening",
    "Seal",
    "SealCopy",
    "SealedHead",
    "Side",
    "Statement",
]
