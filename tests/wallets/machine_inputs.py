"""What the machine of the wallets draws from, and the plan its customers live on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st

from tests import factories

DAY = timedelta(days=1)
CAPPED = {"mode": "CAPPED", "minimum": "5", "maximum": "30", "cycles": 2}
HALF = {"mode": "PERCENT", "percent": "50"}
AMOUNTS = st.one_of(
    st.integers(1, 60).map(Decimal),
    st.decimals("0.000000000001", 40, places=12),
)
WALLETS = st.sampled_from(["USD", "USD", "tokens"])
STRATEGIES = st.sampled_from(["WATERFALL", "WATERFALL", "WATERFALL", "PROMO", "BONUS", "CASH"])
LIVES = st.sampled_from([None, None, 1, 6, 24, 30])
HOURS = st.sampled_from([1, 5, 6, 12, 24, 31])
NUMBERS = st.integers(0, 1_000)


def daily_plan() -> None:
    """Sell a plan by the day that gives money and units with rollover, and prices other usage."""
    factories.metric("calls")
    factories.offering(
        "daily",
        billing_mode="PREPAID",
        interval="DAY",
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
        grants=[
            {"kind": "PROMO", "amount": Decimal(50), "recurrence": "EVERY_CYCLE",
             "expires_at_cycle_end": True, "rollover": CAPPED},
            {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(100),
             "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True, "rollover": HALF},
        ],
    )  # fmt: skip
