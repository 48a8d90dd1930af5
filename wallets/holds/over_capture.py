"""What a reservation does with a capture that nothing covers, and how long after its end it is
taken: fixed when it is made (docs/decisions.md#d270).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aforo.errors import Conflict, FieldError, Invalid
from pricing.models import BillingMode, OverCapture
from wallets.models import Reservation, ReservationStatus, UnitWallet, Wallet


class ReservationExpired(Conflict):
    """The reservation ended at its `expires_at`, and its grace is over; what it held is free again.

    Debit instead, or reserve anew, for longer.
    """

    default_code = "reservation_expired"


class ReservationClosed(Conflict):
    """The reservation was captured or voided already.

    Read it by GET /v1/wallets/reservations/{id}; reserve anew if something is left to do.
    """

    default_code = "reservation_closed"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed of a reservation when it is made."""

    over_capture: str
    grace_seconds: int


def terms(
    wallet: Wallet | UnitWallet, over_capture: str | None, grace_seconds: int | None
) -> Terms:
    """Return the terms of a reservation on a wallet, where it names none those of the offering.

    Raises: Invalid (`units_refuse`, `prepaid_only`).
    """
    grace = wallet.grace_seconds if grace_seconds is None else grace_seconds
    if isinstance(wallet, UnitWallet):
        if over_capture not in {None, OverCapture.REFUSE}:
            detail = "Units are neither owed nor left uncovered: REFUSE only."
            raise Invalid([FieldError("/over_capture", "units_refuse", detail)])
        return Terms(OverCapture.REFUSE, grace)
    if over_capture == OverCapture.DEBT and wallet.billing_mode != BillingMode.PREPAID:
        detail = "Only PREPAID customers run into debt; others have overage."
        raise Invalid([FieldError("/over_capture", "prepaid_only", detail)])
    return Terms(over_capture or wallet.over_capture, grace)


def in_grace(reservation: Reservation, now: datetime) -> bool:
    """Return whether a reservation has timed out so lately that it may still be captured."""
    until = reservation.expires_at + timedelta(seconds=reservation.grace_seconds)
    return reservation.status == ReservationStatus.EXPIRED and now < until


def check_capturable(reservation: Reservation, now: datetime) -> None:
    """Check that a reservation is open, or within its grace.

    Raises: ReservationExpired, ReservationClosed.
    """
    if not in_grace(reservation, now):
        check_not_ended(reservation)


def check_not_ended(reservation: Reservation) -> None:
    """Check that a reservation is still open.

    Raises: ReservationExpired, ReservationClosed.
    """
    if reservation.status == ReservationStatus.EXPIRED:
        raise ReservationExpired("The reservation's time is over; its credits were released.")
    if reservation.status != ReservationStatus.HELD:
        raise ReservationClosed(f"The reservation was {reservation.status.lower()} already.")
