"""The wallets in the back office: records to read, and budgets and alerts, which services write."""

from wallets.admin import alerts, budgets, records

__all__ = ["alerts", "budgets", "records"]
