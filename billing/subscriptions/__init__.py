"""Subscriptions: cycles, plan credits, fees in advance, spend rules and limits."""
