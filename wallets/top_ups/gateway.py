"""Payment gateways: the interface, the sandbox's own, and which one a mode has.

A gateway is asked with the top-up's id as its key: asking again never takes money twice, it returns
the outcome of the first time. That is all that a killed process needs (docs/decisions.md#d10).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from aforo import money


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


@dataclass(frozen=True, slots=True)
class GatewayRefund:
    """Money to pay back of a payment; `id` is the key under which it is paid back once."""

    id: UUID
    charge: GatewayCharge
    amount: Decimal
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class DisputeNotice:
    """What a gateway says about the dispute of a payment: `opened`, `won` or `lost`, how much of it
    (all where it says nothing), and what the dispute costs by then, in all.
    """

    state: str
    amount: Decimal | None = None
    fee: Decimal | None = None


class Gateway(Protocol):
    """A service that charges payment methods, and pays back.

    An adapter is an object with these four functions, named by `PAYMENT_GATEWAY`. What it is told
    of disputes it hands to `gateway_disputes.receive`, with the charge's id, in whatever order.
    """

    def knows(self, method: str) -> bool:
        """Return whether payments by this method are taken here."""

    def charge(self, charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        """Charge a payment, or return the outcome of the first attempt. Raises:
        GatewayUnreachable.
        """

    def refund(self, refund: GatewayRefund, *, now: datetime) -> GatewayOutcome:
        """Pay back, in whole or in part, or return the outcome of the first attempt. Raises:
        GatewayUnreachable.
        """

    def answers_at(self, charge: GatewayCharge) -> datetime:
        """Return from when on it is worth asking about a payment."""


@dataclass(frozen=True, slots=True)
class _Dispute:
    """How a payment of the sandbox is contested: all of it or half, and how that ends, if it does;
    the fee is given back to who wins.
    """

    is_half: bool = False
    end: str = ""


@dataclass(frozen=True, slots=True)
class _Method:
    """What becomes of a payment of the sandbox."""

    outcome: GatewayOutcome = GatewayOutcome.SUCCEEDED
    is_delayed: bool = False
    refund: GatewayOutcome = GatewayOutcome.SUCCEEDED
    is_refund_delayed: bool = False
    dispute: _Dispute | None = None


_DECLINED = GatewayOutcome.DECLINED


class SandboxGateway:
    """A gateway that moves no money; its outcome depends on the method's name and the customer's
    time alone.

    What is delayed, and each step of a dispute, takes a minute.
    """

    DELAY = timedelta(minutes=1)
    DISPUTE_FEE = Decimal(15)
    METHODS: Final = {
        "test_ok": _Method(),
        "test_declined": _Method(_DECLINED),
        "test_delayed": _Method(is_delayed=True),
        "test_delayed_declined": _Method(_DECLINED, is_delayed=True),
        "test_refund_declined": _Method(refund=_DECLINED),
        "test_refund_delayed": _Method(is_refund_delayed=True),
        "test_disputed": _Method(dispute=_Dispute()),
        "test_disputed_won": _Method(dispute=_Dispute(end="won")),
        "test_disputed_lost": _Method(dispute=_Dispute(end="lost")),
        "test_disputed_half": _Method(dispute=_Dispute(is_half=True)),
        "test_disputed_half_won": _Method(dispute=_Dispute(is_half=True, end="won")),
        "test_disputed_half_lost": _Method(dispute=_Dispute(is_half=True, end="lost")),
    }

    def knows(self, method: str) -> bool:
        """Return whether it is one of the test methods."""
        return method in self.METHODS

    def charge(self, charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        """Return the outcome that the method's name stands for, once its delay is over."""
        is_answered = now >= self.answers_at(charge)
        return self.METHODS[charge.method].outcome if is_answered else GatewayOutcome.PENDING

    def refund(self, refund: GatewayRefund, *, now: datetime) -> GatewayOutcome:
        """Return the outcome that the method's name stands for, once its delay is over."""
        is_answered = now >= self.refund_answers_at(refund)
        method = self.METHODS[refund.charge.method]
        return method.refund if is_answered else GatewayOutcome.PENDING

    def answers_at(self, charge: GatewayCharge) -> datetime:
        """Return the moment when the method's delay is over."""
        is_delayed = self.METHODS[charge.method].is_delayed
        return charge.asked_at + (self.DELAY if is_delayed else timedelta(0))

    def refund_answers_at(self, refund: GatewayRefund) -> datetime:
        """Return the moment when a refund of the method is over."""
        is_delayed = self.METHODS[refund.charge.method].is_refund_delayed
        return refund.asked_at + (self.DELAY if is_delayed else timedelta(0))

    def disputing_methods(self) -> list[str]:
        """Return the methods whose payments are contested."""
        return [name for name, method in self.METHODS.items() if method.dispute is not None]

    def notices(
        self, charge: GatewayCharge, *, paid_at: datetime
    ) -> list[tuple[datetime, DisputeNotice]]:
        """Return what it says about a dispute of a payment, and when: the first a minute after it
        was paid.
        """
        dispute = self.METHODS[charge.method].dispute
        if dispute is None:
            return []
        half = money.floor_amount(
            money.proportion(charge.amount, Decimal(1), Decimal(2)), charge.currency
        )
        amount = half if dispute.is_half and half > 0 else None
        opened = DisputeNotice("opened", amount, self.DISPUTE_FEE)
        said = [(paid_at + self.DELAY, opened)]
        if dispute.end:
            fee = money.ZERO if dispute.end == "won" else self.DISPUTE_FEE
            said.append((paid_at + 2 * self.DELAY, DisputeNotice(dispute.end, fee=fee)))
        return said


SANDBOX = SandboxGateway()


def gateway_of(*, livemode: bool) -> Gateway | None:
    """Return the gateway of a mode; in live mode the one of the settings, if any."""
    if not livemode:
        return SANDBOX
    if not settings.PAYMENT_GATEWAY:
        return None
    configured: Gateway = import_string(settings.PAYMENT_GATEWAY)
    return configured
