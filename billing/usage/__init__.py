"""Metered usage: ingest, files, aggregates, rollups, windows, and usage never billed."""
