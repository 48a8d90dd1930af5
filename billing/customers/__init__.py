"""Customers and their personal data."""
