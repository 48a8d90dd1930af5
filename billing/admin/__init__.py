"""Billing in the back office: what happened is read, campaigns are run, plans are tried."""

from billing.admin import campaigns, closing, records, settlements, trail, whatif

__all__ = ["campaigns", "closing", "records", "settlements", "trail", "whatif"]
