"""`/v1` of billing: customers, subscriptions, usage, settlements, invoices, clocks,
verification.
"""
