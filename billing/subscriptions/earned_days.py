"""Days of service: a fee is earned as its days end, midnights of the entity's zone, so that every
month's end has whole days whatever the hour of a period's bounds or of a change of the clock.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from aforo.periods import Period
from ledger import posting_rules
from ledger.entries.entries import day_of


def earned(*, fee: Decimal, period: Period, until: datetime) -> Decimal:
    """Return how much of a period's fee is earned by a moment: 310 from 15 August to 15 September
    are 170 at the end of August.
    """
    first = day_of(period.starts_at)
    of_days = max((day_of(period.ends_at) - first).days, 1)
    days = of_days if until >= period.ends_at else (day_of(until) - first).days
    return posting_rules.fee_earned_to_date(fee=fee, days=days, of_days=of_days)
