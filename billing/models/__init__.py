"""Customers, subscriptions, usage, settlements and invoices."""

from billing.models.backtests import Backtest, BacktestCycle
from billing.models.campaigns import CampaignRun, MilestoneWatch
from billing.models.claims import Claim
from billing.models.customers import Customer, Subscription, SubscriptionStatus
from billing.models.invoices import (
    Invoice,
    InvoiceLine,
    InvoiceSeries,
    InvoiceStatus,
    LineKind,
    Payment,
    TaxRate,
)
from billing.models.reservations import UsageReservation
from billing.models.settlements import (
    CycleBurn,
    RunItemStatus,
    RunStatus,
    Settlement,
    SettlementRun,
    SettlementRunItem,
    SettlementStatus,
    WorkerHeartbeat,
)
from billing.models.usage import UsageEvent

__all__ = [
    "Backtest",
    "BacktestCycle",
    "CampaignRun",
    "Claim",
    "Customer",
    "CycleBurn",
    "Invoice",
    "InvoiceLine",
    "InvoiceSeries",
    "InvoiceStatus",
    "LineKind",
    "MilestoneWatch",
    "Payment",
    "RunItemStatus",
    "RunStatus",
    "Settlement",
    "SettlementRun",
    "SettlementRunItem",
    "SettlementStatus",
    "Subscription",
    "SubscriptionStatus",
    "TaxRate",
    "UsageEvent",
    "UsageReservation",
    "WorkerHeartbeat",
]
