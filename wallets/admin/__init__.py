"""The wallets in the back office: records to read, and budgets, which services write."""

from wallets.admin import approvals, budgets, records

__all__ = ["approvals", "budgets", "records"]
