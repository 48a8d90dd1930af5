"""Holds of credits: reservations of credits and of usage, and how they end."""
