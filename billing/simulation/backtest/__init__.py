"""Backtests: a version priced against the real past usage of settled cycles, as settlement would.

Usage is what the cycles were sealed with, coupons, tax and credits are those of the cycles, with
the plan's own credits replaced by those that the version grants.
"""

from billing.simulation.backtest.jobs import UnknownBacktest, describe, execute, get_backtest, start
from billing.simulation.backtest.reports import csv_lines, customers, cycles, describe_cycle

__all__ = [
    "UnknownBacktest",
    "csv_lines",
    "customers",
    "cycles",
    "describe",
    "describe_cycle",
    "execute",
    "get_backtest",
    "start",
]
