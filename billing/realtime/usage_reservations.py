"""Reservations of usage before it is served, at the marginal price of that moment.

A usage reservation is one object with one id, that of the wallets' reservation with its holds. It
is captured by `usage_captures`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.cycle_end import renewal
from billing.models import Subscription, UsageReservation
from billing.prepaid import arrears
from billing.realtime import usage_debits
from billing.realtime.usage_debits import Charged, UsageRequest
from billing.usage import rollup_upkeep
from ledger.models import Book
from pricing.models import Metric
from wallets.debits.engine import (
    ReservationClosed,
    ReservationExpired,
    VoidRequest,
    keyed,
)
from wallets.holds import reservation_holds, usage_holds
from wallets.holds import reservations as wallet_reservations
from wallets.holds.reservations import UnknownReservation
from wallets.lots import provisioning, queries
from wallets.models import CreditLot, Hold, Reservation, ReservationKind, ReservationStatus
from wallets.operations import idempotency
from wallets.operations.responses import allocated

RESERVE = "billing.usage.reserve"


@money.exact
def reserve_usage(*, livemode: bool, ask: UsageRequest, expires_in: int) -> Answer:
    """Reserve the units and the money that the usage would burn now, for `expires_in` seconds.

    Raises: what `usage_debits.debit_usage` raises; Invalid for a time other than now.
    """
    if ask.occurred_at is not None:
        detail = "A reservation is for usage to come; it is dated when it is captured."
        raise Invalid([FieldError("/occurred_at", "not_reservable", detail)])

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        metric = provisioning.find_metric(livemode=livemode, code=ask.metric)
        subscription = usage_debits.subscription_for(book, metric)
        usage_debits.check_open(subscription)
        now = now_for(book)
        charged = _what_it_would_cost(book, subscription, metric, ask)
        fresh = lots_of([change.lot.id for change in charged.changes])
        reservation = usage_holds.hold(
            book=book,
            wallet=provisioning.money_wallet(
                book=book, currency=subscription.version.plan.currency
            ),
            parts=[(fresh[change.lot.id], change.quantity) for change in charged.changes],
            overage=charged.overage,
            now=now,
            expires_at=now + timedelta(seconds=expires_in),
            operation_id=operation_id,
            document={"key": ask.key},
        )
        made = UsageReservation.objects.create(
            reservation=reservation,
            subscription=subscription,
            metric=metric,
            quantity=ask.quantity,
            properties=dict(ask.properties),
        )
        return _reserved(book, made)

    rollup_upkeep.keep_up(livemode=livemode, customer_id=ask.customer_id)
    return renewal.first(
        lambda: idempotency.once(
            livemode=livemode,
            customer_id=ask.customer_id,
            key=ask.key,
            operation=RESERVE,
            content={**ask.content, "expires_in": expires_in},
            make=make,
        )
    )


def _what_it_would_cost(
    book: Book, subscription: Subscription, metric: Metric, ask: UsageRequest
) -> Charged:
    """Return what the usage would cost: it is charged and rolled back, because any other way could
    come to another price.
    """
    before = usage_debits.caught_up(book=book, subscription=subscription)
    undo = transaction.savepoint()
    charged = usage_debits.charge(
        book=book,
        subscription=subscription,
        metric=metric,
        ask=ask,
        event_key=f"reserve:{ask.key}",
        document={},
        before=before,
    )
    transaction.savepoint_rollback(undo)
    return charged


def lots_of(lots: Collection[UUID]) -> dict[UUID, CreditLot]:
    return CreditLot.objects.select_related("wallet", "unit_wallet__metric").in_bulk(lots)


def _reserved(book: Book, made: UsageReservation) -> dict[str, object]:
    reservation = made.reservation
    wallet = reservation.wallet
    assert wallet is not None, "usage is reserved on a money wallet"
    holds = list(reservation.holds.select_related("lot").order_by("position"))
    return {
        "id": reservation.pk,
        "customer_id": book.key,
        "metric": made.metric.code,
        "quantity": made.quantity,
        "status": reservation.status,
        "amount": reservation.quantity,
        "currency": wallet.currency,
        "held": reservation.held,
        "held_units": sum((h.quantity for h in holds if h.lot.wallet_id is None), ZERO),
        "allocations": [allocated(hold.lot, hold.quantity) for hold in holds],
        "overage_expected": reservation.promised,
        "balance": queries.balance_of(wallet, reservation.created_at),
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


def void_usage(*, livemode: bool, request: VoidRequest) -> Answer:
    """Release the holds of a reservation of usage.

    Raises: UnknownReservation, ReservationExpired, ReservationClosed.
    """
    found = find(livemode, request.reservation)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        made = read_open(found.pk, book)
        reservation = made.reservation
        wallet = reservation.wallet
        assert wallet is not None, "usage is reserved on a money wallet"
        freed = release(book, reservation, ReservationStatus.VOIDED)
        pay_what_is_owed(book)
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
            "balance": queries.balance_of(wallet, now_for(book)),
            "occurred_at": now_for(book),
        }

    return idempotency.once_in_book(
        book_id=found.reservation.book_id,
        asked=keyed(request),
        make=make,
        status=200,
    )


def release(
    book: Book, reservation: Reservation, status: ReservationStatus
) -> usage_holds.ReleasedHolds:
    now = now_for(book)
    freed = usage_holds.release_all(book=book, reservation=reservation, status=status, now=now)
    reservation_holds.lapse_returned(freed.returned)
    return freed


def pay_what_is_owed(book: Book) -> None:
    if arrears.waiting([book.pk]):
        arrears.pay_arrears(book)


def find(livemode: bool, reservation_id: UUID) -> UsageReservation:  # noqa: FBT001
    found = UsageReservation.objects.filter(pk=reservation_id, reservation__book__livemode=livemode)
    made = found.select_related("reservation").first()
    if made is None:
        raise UnknownReservation(f"There is no reservation {reservation_id}.")
    return made


def read_open(reservation_id: UUID, book: Book) -> UsageReservation:
    """Return an open reservation, read under its book's lock.

    Raises: ReservationExpired, ReservationClosed.
    """
    made = UsageReservation.objects.select_related("metric", "reservation__wallet").get(
        pk=reservation_id
    )
    made.reservation.book = book
    if made.reservation.status == ReservationStatus.EXPIRED:
        raise ReservationExpired("The reservation's time is over; its credits were released.")
    if made.reservation.status != ReservationStatus.HELD:
        status = made.reservation.status.lower()
        raise ReservationClosed(f"The reservation was {status} already.")
    return made


def held_by(reservation: Reservation) -> dict[UUID, Decimal]:
    """Return what is held of each lot, in the order fixed by the reservation."""
    held: dict[UUID, Decimal] = {}
    for hold in Hold.objects.filter(reservation=reservation.pk).order_by("position"):
        if hold.open > 0:
            held[hold.lot_id] = held.get(hold.lot_id, ZERO) + hold.open
    return held
