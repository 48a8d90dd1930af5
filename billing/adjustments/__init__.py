"""Adjustments of settled cycles."""
