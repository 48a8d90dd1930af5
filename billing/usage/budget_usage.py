"""Metered events that count in budgets of units, appended in the transaction that stores them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from billing.models import UsageEvent
from pricing.models import Metric
from wallets.budgets import metered
from wallets.budgets.metered import Event


def append(
    *,
    limited: Collection[int],
    rows: Sequence[Sequence[Any]],
    inserted: int,
    metrics: Mapping[int, Metric],
) -> None:
    """Append what the stored ones of some events, in the columns of ingest, add to the budgets of
    the books that have any.
    """
    mine = [row for row in rows if row[1] in limited]
    if not mine or not inserted:
        return
    if inserted < len(rows):
        ids = [row[0] for row in mine]
        stored = UsageEvent.objects.filter(pk__in=ids).values_list("pk", flat=True)
        new = {str(pk) for pk in stored}
        mine = [row for row in mine if str(row[0]) in new]
    metered.append(
        limited,
        [Event(row[1], metrics[row[2]], row[4], row[5], row[6], row[8]) for row in mine],
    )
