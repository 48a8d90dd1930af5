"""Simulation without effect: previews, backtests, changes of plan."""
