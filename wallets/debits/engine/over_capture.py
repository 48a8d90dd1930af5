"""Captures beyond what a reservation holds: free credits, then overage, then what the reservation
says of a part that nothing covers (docs/decisions.md#d270).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aforo import money
from aforo.errors import NotCovered
from aforo.money import ZERO
from pricing.models import OverCapture
from wallets import port
from wallets.debits.engine.accounts import WalletState
from wallets.lots.waterfall import Allocation
from wallets.models import Reservation, Wallet


@dataclass(frozen=True, slots=True)
class Beyond:
    """Who bears the part of a capture that its holds do not: lots, the invoice, the next credits,
    or nobody.
    """

    allocations: tuple[Allocation, ...] = ()
    overage: Decimal = ZERO
    debt: Decimal = ZERO
    uncovered: Decimal = ZERO


def bear(account: WalletState, reservation: Reservation, rest: Decimal, *, is_more: bool) -> Beyond:
    """Return who bears what a capture needs beyond the holds; `is_more` says that it was not
    reserved.

    What was reserved is honoured even if the customer was suspended since, and so is a policy that
    takes more; under REFUSE, more is a new debit. Raises: Suspended, Paused, NotCovered.
    """
    if rest == 0:
        return Beyond()
    refuses = reservation.over_capture == OverCapture.REFUSE
    if is_more and refuses:
        account.check_open()
    found = account.allocate(rest, reservation.strategy)
    if refuses:
        account.check_covered(found, reservation.strategy, promised=reservation.promised)
        return Beyond(found.allocations, found.shortfall)
    overage = account.overage_within(
        found.shortfall, reservation.strategy, promised=reservation.promised
    )
    left = found.shortfall - overage
    if reservation.over_capture == OverCapture.AVAILABLE:
        return Beyond(found.allocations, overage, uncovered=left)
    if left > 0:
        owed = port.billing().debt(account.book, account.wallet.unit["currency"])
        check_debt(account, left, owed=owed, available=found.covered)
    return Beyond(found.allocations, overage, debt=left)


def check_debt(account: WalletState, debt: Decimal, *, owed: Decimal, available: Decimal) -> None:
    """Check that a customer may owe so much more, on top of what is `owed`.

    Raises: NotCovered (`debt_limit`).
    """
    wallet = account.wallet
    assert isinstance(wallet, Wallet), "units have no debt"
    limit = wallet.debt_limit or ZERO
    if owed + debt > limit:
        raise NotCovered(
            f"{money.plain(owed + debt)} would be owed; the limit is {money.plain(limit)}.",
            code="debt_limit",
            missing=debt - max(limit - owed, ZERO),
            extra={
                "shortfall": money.plain(debt),
                "available": money.plain(available),
                "owed": money.plain(owed),
                "debt_limit": money.plain(limit),
            },
        )
