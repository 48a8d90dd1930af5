"""Customers, subscriptions, usage, settlements and invoices."""

from billing.models.adjustments import LateCredit, SettlementAdjustment
from billing.models.backtests import Backtest, BacktestCycle
from billing.models.campaigns import CampaignRun, MilestoneWatch
from billing.models.charges import ChargeStatus, InvoiceCharge
from billing.models.claims import Claim, ForgivenUsage
from billing.models.credit import CustomerCredit
from billing.models.credit_notes import CreditNote
from billing.models.customers import (
    CollectionMethod,
    Customer,
    OneTimeBenefit,
    Subscription,
    SubscriptionCoupon,
    SubscriptionStatus,
)
from billing.models.documents import DocumentFile, FileFormat, IssuedDocument
from billing.models.dunning import (
    DunningAction,
    DunningPause,
    DunningSchedule,
    OverdueInvoice,
    Reminder,
)
from billing.models.invoices import (
    Document,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceSeries,
    InvoiceStatus,
    LineKind,
)
from billing.models.mails import Mail, MailStatus
from billing.models.month_ends import MonthEnd
from billing.models.payments import BankPayment, BankPaymentState
from billing.models.plan_changes import PlanChange
from billing.models.reservations import UsageReservation
from billing.models.settlements import (
    AdvanceFee,
    CycleBurn,
    RunItemStatus,
    RunStatus,
    Settlement,
    SettlementKind,
    SettlementRun,
    SettlementRunItem,
    SettlementStatus,
    WorkerHeartbeat,
)
from billing.models.subscription_moves import MoveKind, SubscriptionMove
from billing.models.taxes import TaxExemption, TaxRate
from billing.models.usage import UnbilledReason, UnbilledUsage, UsageEvent, UsageRollup

__all__ = [
    "AdvanceFee",
    "Backtest",
    "BacktestCycle",
    "BankPayment",
    "BankPaymentState",
    "CampaignRun",
    "ChargeStatus",
    "Claim",
    "CollectionMethod",
    "CreditNote",
    "Customer",
    "CustomerCredit",
    "CycleBurn",
    "Document",
    "DocumentFile",
    "DunningAction",
    "DunningPause",
    "DunningSchedule",
    "FileFormat",
    "ForgivenUsage",
    "Invoice",
    "InvoiceCharge",
    "InvoiceLine",
    "InvoicePayment",
    "InvoiceSeries",
    "InvoiceStatus",
    "IssuedDocument",
    "LateCredit",
    "LineKind",
    "Mail",
    "MailStatus",
    "MilestoneWatch",
    "MonthEnd",
    "MoveKind",
    "OneTimeBenefit",
    "OverdueInvoice",
    "PlanChange",
    "Reminder",
    "RunItemStatus",
    "RunStatus",
    "Settlement",
    "SettlementAdjustment",
    "SettlementKind",
    "SettlementRun",
    "SettlementRunItem",
    "SettlementStatus",
    "Subscription",
    "SubscriptionCoupon",
    "SubscriptionMove",
    "SubscriptionStatus",
    "TaxExemption",
    "TaxRate",
    "UnbilledReason",
    "UnbilledUsage",
    "UsageEvent",
    "UsageReservation",
    "UsageRollup",
    "WorkerHeartbeat",
]
