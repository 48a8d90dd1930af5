"""Endpoints of usage: ingest, windows, real-time debits and reservations."""
