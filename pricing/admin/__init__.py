"""The catalogue in the back office: drafts are edited, published versions are read."""

from pricing.admin import metrics, offerings, plans, top_ups

__all__ = ["metrics", "offerings", "plans", "top_ups"]
