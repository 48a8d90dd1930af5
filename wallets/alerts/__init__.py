"""Alerts: thresholds of wallets, and what reaches them; read by the sweep, never by a debit."""
