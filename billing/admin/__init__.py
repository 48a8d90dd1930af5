"""Billing in the back office: what happened is read, campaigns are run, plans are tried."""

from billing.admin import (
    approvals,
    campaigns,
    closing,
    documents,
    drill_down,
    dunning,
    payments,
    records,
    settlements,
    simulator,
    subscriptions,
    tax_rates,
)

__all__ = [
    "approvals",
    "campaigns",
    "closing",
    "documents",
    "drill_down",
    "dunning",
    "payments",
    "records",
    "settlements",
    "simulator",
    "subscriptions",
    "tax_rates",
]
