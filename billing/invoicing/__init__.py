"""Invoices: drafting, numbering, payments, and tax rates."""
