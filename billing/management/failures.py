"""How commands report the customers passed over: a line each, then an exit status that is not 0."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.base import CommandError, OutputWrapper

from billing.isolation import Failure


def report(stderr: OutputWrapper, failures: Sequence[Failure]) -> None:
    """Write a line for each failure.

    Raises: CommandError when there is any.
    """
    for failure in failures:
        stderr.write(f"  {failure.line}")
    if failures:
        whose = len({failure.customer_id for failure in failures if failure.customer_id})
        others = "; the others are done" if whose else ""
        raise CommandError(f"{whose} customers were passed over, {len(failures)} failures{others}.")
