"""Billing in the back office: what happened is read, campaigns are run."""

from billing.admin import campaigns, records

__all__ = ["campaigns", "records"]
