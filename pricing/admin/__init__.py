"""The catalogue in the back office: drafts are edited, published versions are read."""

from pricing.admin import credit_units, metrics, offerings, packs, plans, top_ups

__all__ = ["credit_units", "metrics", "offerings", "packs", "plans", "top_ups"]
