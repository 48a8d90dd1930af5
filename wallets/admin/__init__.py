"""The wallets in the back office: records to read, and budgets, which services write."""

from wallets.admin import budgets, records

__all__ = ["budgets", "records"]
