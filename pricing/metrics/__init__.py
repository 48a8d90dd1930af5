"""Metrics: what is measured, and which events count."""
