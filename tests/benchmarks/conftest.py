"""Prints what the benchmarks measured, also when all of them pass."""

from __future__ import annotations

import pytest

from tests.benchmarks import harness


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports."""
    if harness.LINES:
        terminalreporter.section("benchmarks")
        for line in harness.LINES:
            terminalreporter.write_line(line)
