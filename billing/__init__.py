"""Billing: customers, subscriptions, usage, settlement and invoices, over wallets and prices."""
