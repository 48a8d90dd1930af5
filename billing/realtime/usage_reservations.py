"""Reservations of usage before it is served, at the marginal price of that moment.

A usage reservation is one object with one id, that of the wallets' reservation with its holds. It
is captured by `usage_captures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet

from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from billing.models import UsageReservation
from billing.realtime import marginal_price, usage_budgets
from billing.realtime.usage_budgets import Use
from billing.realtime.usage_requests import UsageReserveRequest
from billing.settlement import cycle_burns
from ledger.models import Book
from wallets.debits.engine import VoidRequest
from wallets.holds import over_capture, usage_holds
from wallets.holds import reservations as wallet_reservations
from wallets.holds.reservation_holds import Held
from wallets.holds.reservations import UnknownReservation
from wallets.models import Reservation, ReservationKind, ReservationStatus, Wallet
from wallets.operations.responses import allocated

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing


def reserve(usage: UsagePricing, book: Book, request: UsageReserveRequest) -> Answer:
    """Reserve the units and the money that the usage would burn now.

    Raises: what `usage_calls.execute` raises.
    """
    if request.occurred_at is not None:
        detail = "A reservation is for usage to come; it is dated when it is captured."
        raise Invalid([FieldError("/occurred_at", "not_reservable", detail)])
    cycle, metric = marginal_price.cycle_for(usage, book, request.metric)
    subscription = cycle.subscription
    marginal_price.check_open(subscription)
    event = marginal_price.event_of(usage, book, cycle, metric, request, f"reserve:{request.key}")
    before = marginal_price.without(usage, book, cycle)
    after = marginal_price.with_event(usage, book, cycle, event, before=before)
    account = usage.money_account(book, subscription.version.plan.currency)
    lots, operation_id = usage.lots[book.pk], new_id()
    assert isinstance(account.wallet, Wallet), "usage is reserved on a money wallet"
    terms = over_capture.terms(account.wallet, request.over_capture, request.grace_seconds)
    held = usage_holds.hold(
        usage.batch.journal,
        book=book,
        wallet=account.wallet,
        parts=[
            (lots[lot], part) for lot, part in cycle_burns.increases(after, cycle.burns).items()
        ],
        overage=max(after.to_invoice - before.to_invoice, ZERO),
        now=usage.now(book),
        expires_at=usage.now(book) + timedelta(seconds=request.expires_in),
        operation_id=operation_id,
        document={"key": request.key},
        attributes=request.attributes,
        terms=terms,
    )
    amount, quantity = held.reservation.quantity, request.quantity
    use = Use(metric, account.wallet.currency, event.properties, quantity, amount)
    usage_budgets.hold(usage, book, use, held)
    made = UsageReservation(
        reservation=held.reservation,
        subscription=subscription,
        metric=metric,
        quantity=request.quantity,
        properties=request.event_properties,
    )
    usage.reserve(account, held, made)
    return usage.batch.record(
        request,
        operation_id=operation_id,
        account=account,
        status=201,
        body=_reserved(book, made, held, account.balance),
    )


def _reserved(
    book: Book, made: UsageReservation, held: Held, balance: Mapping[str, object]
) -> dict[str, object]:
    reservation, wallet = held.reservation, held.reservation.wallet
    assert wallet is not None, "usage is reserved on a money wallet"
    units = (hold.quantity for hold, lot in held.holds if lot.wallet_id is None)
    return {
        "id": reservation.pk,
        "customer_id": book.key,
        "metric": made.metric.code,
        "quantity": made.quantity,
        "status": reservation.status,
        "amount": reservation.quantity,
        "currency": wallet.currency,
        "held": reservation.held,
        "held_units": sum(units, ZERO),
        "allocations": [allocated(lot, hold.quantity) for hold, lot in held.holds],
        "overage_expected": reservation.promised,
        "over_capture": reservation.over_capture,
        "grace_seconds": reservation.grace_seconds,
        "balance": balance,
        "expires_at": reservation.expires_at,
        "occurred_at": reservation.created_at,
    }


def reservations(*, livemode: bool) -> QuerySet[Reservation]:
    """Return a mode's reservations of usage, ready to be described."""
    found = wallet_reservations.reservations(livemode=livemode).filter(kind=ReservationKind.USAGE)
    return found.select_related("usage__metric", "book__test_clock", "wallet")


def get(*, livemode: bool, reservation_id: UUID) -> Reservation:
    """Return a reservation of usage.

    Raises: UnknownReservation.
    """
    found = reservations(livemode=livemode).filter(pk=reservation_id).first()
    if found is None:
        raise UnknownReservation(f"There is no reservation {reservation_id} of usage.")
    return found


def describe(reservation: Reservation) -> dict[str, object]:
    """Return a reservation as it is now, with the usage that it is for."""
    shown = wallet_reservations.describe_reservation(reservation) | {"kind": reservation.kind}
    if reservation.kind != ReservationKind.USAGE:
        return shown
    made = reservation.usage
    facts = {"metric": made.metric.code, "quantity": made.quantity, "captured": made.captured}
    return shown | facts | {"properties": made.properties}


def is_usage(*, livemode: bool, reservation_id: UUID) -> bool:
    """Return whether a reservation is of usage, not of credits."""
    found = UsageReservation.objects.filter(pk=reservation_id, reservation__book__livemode=livemode)
    return found.exists()


def void(usage: UsagePricing, made: UsageReservation, held: Held, request: VoidRequest) -> Answer:
    """Release the holds of a reservation of usage."""
    reservation, book = held.reservation, held.reservation.book
    freed = usage.release(held, ReservationStatus.VOIDED)
    usage.note(held, released=freed.money + freed.units)

    def shown() -> dict[str, object]:
        return {
            "id": reservation.pk,
            "customer_id": book.key,
            "metric": made.metric.code,
            "quantity": made.quantity,
            "status": reservation.status,
            "captured": made.captured,
            "released": freed.money,
            "released_units": freed.units,
            "held": ZERO,
            "balance": usage.batch.account_of(reservation).balance,
            "occurred_at": usage.now(book),
        }

    return usage.answer(request, held, new_id(), shown)
