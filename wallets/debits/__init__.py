"""Debits, reservations, captures and voids of credits, and the reversal of debits."""
