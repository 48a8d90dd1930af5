"""Dunning: overdue invoices are reminded of, and the customer is suspended in the end."""
