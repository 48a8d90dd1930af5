"""Calls for usage in real time: those that meet in a process go to the engine in lists."""

from __future__ import annotations

from collections.abc import Sequence

from aforo.errors import DomainError
from aforo.protocol.idempotency import Answer
from billing.realtime.usage_pricing import UsagePricing
from billing.realtime.usage_requests import UsageRequest
from wallets.debits import combiner
from wallets.debits.combiner import Combiner
from wallets.debits.engine import CaptureRequest, ReservationRequest, Result

COMBINER = Combiner(UsagePricing)


def execute(*, livemode: bool, ask: UsageRequest | ReservationRequest) -> Answer:
    """Debit usage, reserve it, or capture, extend or void a reservation of it.

    Raises: UnknownCustomer; Invalid (`unknown_metric`, `in_the_future`, `period_settled`,
    `not_reservable`, `key_reused` for the key of a metered event); NoSubscription; NeedsRenewal;
    Suspended, Paused; NotCovered (`insufficient_funds` in PREPAID, `overage_limit`,
    `quota_exceeded`); UnknownReservation, ReservationExpired, ReservationClosed.
    """
    result = COMBINER.execute(ask, livemode=livemode)
    if isinstance(result, DomainError):
        raise result
    return result


def execute_list(*, livemode: bool, asked: Sequence[CaptureRequest]) -> Sequence[Result]:
    """Capture reservations of usage in one list; each succeeds or fails alone."""
    return combiner.execute_list(asked, livemode=livemode, pricing=UsagePricing)
