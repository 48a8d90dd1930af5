"""What a month's figures were estimated by: the policy and the rates in force on its last day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from aforo import money
from billing.finance.open_invoices import AGES
from ledger.controls import policies, provisions
from ledger.models import BreakageRate, FourEyes, ProvisionMatrix


def in_force(*, on: date) -> dict[str, object]:
    """Return the policy of the live books on a day, and every rate that had begun by then, each
    with who proposed and approved it.
    """
    policy = policies.policy(livemode=True, on=on)
    rates = BreakageRate.objects.filter(
        livemode=True, starts_on__lte=on, approved_at__isnull=False
    ).select_related("proposed_by", "approved_by")
    return {
        "on": on.isoformat(),
        "policy": {
            "breakage_method": str(policy.breakage_method),
            "bonus_allocation": str(policy.bonus_allocation),
            "unclaimed_percent": money.plain(Decimal(policy.unclaimed_percent)),
            "unexplained_limit": money.plain(Decimal(policy.unexplained_limit)),
            **(_decided(policy) if policy.pk else {"approved_by": "", "evidence": "The defaults."}),
        },
        "breakage_rates": [
            {
                "kind": rate.kind,
                "currency": rate.currency,
                "sold_from": rate.sold_from and rate.sold_from.isoformat(),
                "sold_until": rate.sold_until and rate.sold_until.isoformat(),
                "starts_on": rate.starts_on.isoformat(),
                "percent": money.plain(rate.percent),
                **_decided(rate),
            }
            for rate in rates.order_by("starts_on", "pk")
        ],
        "provision_matrices": [
            _matrix(matrix) for matrix in provisions.in_force(livemode=True, on=on).values()
        ],
    }


def _matrix(matrix: ProvisionMatrix) -> dict[str, str]:
    return {
        "customer": "" if matrix.book is None else matrix.book.key,
        "currency": matrix.currency,
        "starts_on": matrix.starts_on.isoformat(),
        **{age: money.plain(getattr(matrix, age)) for age in AGES},
        **_decided(matrix),
    }


def _decided(decision: FourEyes) -> dict[str, str]:
    return {
        "proposed_by": str(decision.proposed_by),
        "approved_by": str(decision.approved_by),
        "evidence": decision.evidence,
    }
