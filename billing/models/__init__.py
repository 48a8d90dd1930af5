"""Customers, subscriptions, usage, settlements and invoices."""

from billing.models.backtests import Backtest, BacktestCycle
from billing.models.campaigns import CampaignRun, MilestoneWatch
from billing.models.customers import Customer, Subscription, SubscriptionStatus
from billing.models.invoices import (
    Invoice,
    InvoiceLine,
    InvoiceSeries,
    InvoiceStatus,
    LineKind,
    TaxRate,
)
from billing.models.settlements import (
    CycleBurn,
    RunStatus,
    Settlement,
    SettlementRun,
    SettlementStatus,
)
from billing.models.usage import UsageEvent

__all__ = [
    "Backtest",
    "BacktestCycle",
    "CampaignRun",
    "Customer",
    "CycleBurn",
    "Invoice",
    "InvoiceLine",
    "InvoiceSeries",
    "InvoiceStatus",
    "LineKind",
    "MilestoneWatch",
    "RunStatus",
    "Settlement",
    "SettlementRun",
    "SettlementStatus",
    "Subscription",
    "SubscriptionStatus",
    "TaxRate",
    "UsageEvent",
]
