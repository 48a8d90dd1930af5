"""Payment gateways: the interface, the sandbox's own, and which one a mode has.

A gateway is asked with the top-up's id as its key: asking again never takes money twice, it returns
the outcome of the first time. That is all that a killed process needs (docs/decisions.md#d10).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string


class GatewayOutcome(StrEnum):
    """The outcome of a payment; a decline is definite, PENDING is to be asked again."""

    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"


class GatewayUnreachable(Exception):
    """No answer came, so the outcome of the payment is unknown: it is to be asked again."""


@dataclass(frozen=True, slots=True)
class GatewayCharge:
    """A payment to take; `id` is the key under which it is taken once."""

    id: UUID
    customer_id: str
    amount: Decimal
    currency: str
    method: str
    asked_at: datetime


class Gateway(Protocol):
    """A service that charges payment methods."""

    def knows(self, method: str) -> bool:
        """Return whether payments by this method are taken here."""

    def charge(self, charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        """Charge a payment, or return the outcome of the first attempt. Raises:
        GatewayUnreachable.
        """

    def answers_at(self, charge: GatewayCharge) -> datetime:
        """Return from when on it is worth asking about a payment."""


class SandboxGateway:
    """A gateway that moves no money; its outcome depends on the method's name and the customer's
    time alone.
    """

    DELAY = timedelta(minutes=1)
    METHODS = {
        "test_ok": (timedelta(0), GatewayOutcome.SUCCEEDED),
        "test_declined": (timedelta(0), GatewayOutcome.DECLINED),
        "test_delayed": (DELAY, GatewayOutcome.SUCCEEDED),
        "test_delayed_declined": (DELAY, GatewayOutcome.DECLINED),
    }

    def knows(self, method: str) -> bool:
        """Return whether it is one of the test methods."""
        return method in self.METHODS

    def charge(self, charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        """Return the outcome that the method's name stands for, once its delay is over."""
        delay, outcome = self.METHODS[charge.method]
        return outcome if now >= charge.asked_at + delay else GatewayOutcome.PENDING

    def answers_at(self, charge: GatewayCharge) -> datetime:
        """Return the moment when the method's delay is over."""
        return charge.asked_at + self.METHODS[charge.method][0]


SANDBOX = SandboxGateway()


def gateway_of(*, livemode: bool) -> Gateway | None:
    """Return the gateway of a mode; in live mode the one of the settings, if any."""
    if not livemode:
        return SANDBOX
    if not settings.PAYMENT_GATEWAY:
        return None
    configured: Gateway = import_string(settings.PAYMENT_GATEWAY)
    return configured
