"""Billing in the back office: what happened is read, campaigns are run, plans are tried."""

from billing.admin import campaigns, records, whatif

__all__ = ["campaigns", "records", "whatif"]
