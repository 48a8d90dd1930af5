"""Usage reserved before it is served: held at the marginal price, captured with what it came to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.sandbox.services import now_for
from billing.models import Subscription, UsageReservation
from billing.services import realtime, renewal, tallying
from billing.services.realtime import Ask, Charged
from ledger.models import Book
from pricing.models import Metric
from wallets import reads
from wallets import services as wallets
from wallets.answers import Answer, allocated
from wallets.engine import (
    CaptureRequest,
    ReservationClosed,
    ReservationExpired,
    UnknownReservation,
    VoidRequest,
)
from wallets.models import CreditLot, Hold, Reservation, ReservationStatus
from wallets.services import keyed

ZERO = Decimal(0)
RESERVE = "POST /v1/usage/reserve"


@money.exact
def reserve_usage(*, livemode: bool, ask: Ask, expires_in: int) -> Answer:
    """Hold the units and the money that so much usage would burn now, for `expires_in` seconds.

    Raises: what `realtime.debit_usage` raises; Invalid for a time other than now.
    """
    if ask.occurred_at is not None:
        detail = "A reservation is for usage to come; it is dated when it is captured."
        raise Invalid([FieldError("/occurred_at", "not_reservable", detail)])

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        metric = wallets.find_metric(livemode=livemode, code=ask.metric)
        subscription = realtime.subscription_for(book, metric)
        realtime.check_open(subscription)
        now = now_for(book)
        wallets.release_due(book=book, until=now)
        reservation = UsageReservation(
            id=new_id(),
            book=book,
            subscription=subscription,
            metric=metric,
            quantity=ask.quantity,
            properties=dict(ask.properties),
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in),
        )
        charged = _what_it_would_cost(book, subscription, metric, ask)
        reservation.save(force_insert=True)
        reservation.holds.set(_hold(book, reservation, charged, ask.key))
        return _reserved(book, reservation, charged)

    tallying.keep_up(livemode=livemode, customer_id=ask.customer_id)
    return renewal.first(
        lambda: keyed.once(
            livemode=livemode,
            customer_id=ask.customer_id,
            key=ask.key,
            endpoint=RESERVE,
            content={**ask.content, "expires_in": expires_in},
            make=make,
        )
    )


def _what_it_would_cost(
    book: Book, subscription: Subscription, metric: Metric, ask: Ask
) -> Charged:
    """Charge the usage and take all of it back: any other way could come to another price."""
    before = realtime.caught_up(book=book, subscription=subscription)
    undo = transaction.savepoint()
    charged = realtime.charge(
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


def _hold(
    book: Book, reservation: UsageReservation, charged: Charged, key: str
) -> list[Reservation]:
    """Hold, wallet by wallet, what the usage would burn of each lot."""
    fresh = _fresh([change.lot.id for change in charged.changes])
    parts = [(fresh[change.lot.id], change.quantity) for change in charged.changes]
    return _hold_parts(book, reservation, parts, reservation.created_at, key)


def _fresh(lots: Collection[UUID]) -> dict[UUID, CreditLot]:
    return CreditLot.objects.select_related("wallet", "unit_wallet__metric").in_bulk(lots)


def _hold_parts(
    book: Book,
    reservation: UsageReservation,
    held: Iterable[tuple[CreditLot, Decimal]],
    now: datetime,
    key: str,
) -> list[Reservation]:
    by_wallet: dict[tuple[int | None, int | None], list[tuple[CreditLot, Decimal]]] = {}
    for lot, quantity in held:
        by_wallet.setdefault((lot.wallet_id, lot.unit_wallet_id), []).append((lot, quantity))
    made = []
    for parts in by_wallet.values():
        wallet = parts[0][0].wallet or parts[0][0].unit_wallet
        assert wallet is not None, "a lot has one wallet"
        made.append(
            wallets.hold(
                book=book,
                wallet=wallet,
                parts=parts,
                quantity=sum((part for _, part in parts), ZERO),
                now=now,
                expires_at=reservation.expires_at,
                document={"key": key, "usage_reservation": str(reservation.pk)},
            )
        )
    return made


def _reserved(book: Book, reservation: UsageReservation, charged: Charged) -> dict[str, object]:
    currency = charged.subscription.version.plan.currency
    wallet = wallets.money_wallet(book=book, currency=currency)
    holds = [hold for made in reservation.holds.all() for hold in made.holds.select_related("lot")]
    return {
        "id": reservation.pk,
        "customer_id": book.key,
        "metric": reservation.metric.code,
        "quantity": reservation.quantity,
        "status": reservation.status,
        "amount": charged.amount,
        "currency": currency,
        "held": sum((h.quantity for h in holds if h.lot.wallet_id is not None), ZERO),
        "held_units": sum((h.quantity for h in holds if h.lot.wallet_id is None), ZERO),
        "allocations": [allocated(hold.lot, hold.quantity) for hold in holds],
        "overage_expected": charged.overage,
        "balance": reads.balance_of(wallet, reservation.created_at),
        "expires_at": reservation.expires_at,
        "occurred_at": reservation.created_at,
    }


def is_usage(*, livemode: bool, reservation_id: UUID) -> bool:
    """Tell a reservation of usage from one of the wallets."""
    return UsageReservation.objects.filter(pk=reservation_id, book__livemode=livemode).exists()


@money.exact
def capture_usage(*, livemode: bool, request: CaptureRequest) -> Answer:
    """Release what is held and charge the real quantity, in one transaction.

    Held lots pay even where their time is over. What is not used is released, or held on unless
    the capture is `final`.
    Raises: UnknownReservation, ReservationExpired, ReservationClosed; Invalid
    (`exceeds_reservation` unless `allow_more`); NotCovered.
    """
    found = _find(livemode, request.reservation)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        reservation = _open(found.pk, now_for(book))
        quantity = _captured(request, reservation)
        metric, now = reservation.metric, now_for(book)
        subscription = realtime.subscription_for(book, metric)
        held = _held(reservation)
        # What was metered may not take the credits that are held for this.
        before = realtime.caught_up(book=book, subscription=subscription)
        freed = _let_go(book, reservation, ReservationStatus.CAPTURED, now)
        if quantity > reservation.quantity - reservation.captured:
            realtime.check_open(subscription)
        charged = realtime.charge(
            book=book,
            subscription=subscription,
            metric=metric,
            ask=Ask(book.key, metric.code, quantity, request.key, None, reservation.properties),
            event_key=f"capture:{operation_id}",
            document={"key": request.key, "usage_reservation": str(reservation.pk)},
            before=before,
            also_pays=lambda lot: lot.id in held,
        )
        reservation.captured += quantity
        kept = [] if request.final else _kept(held, charged)
        if not request.final:
            reservation.status, reservation.ended_at = ReservationStatus.HELD, None
            reservation.holds.add(*_hold_parts(book, reservation, kept, now, request.key))
        reservation.save(update_fields=["captured", "status", "ended_at"])
        wallets.lapse_returned(freed.returned)
        return {
            "id": operation_id,
            **realtime.describe(book, metric, charged),
            "reservation": reservation.pk,
            "status": reservation.status,
            "captured": reservation.captured,
            "held": sum((part for lot, part in kept if lot.wallet_id is not None), ZERO),
            "held_units": sum((part for lot, part in kept if lot.wallet_id is None), ZERO),
        }

    tallying.keep_up_book(book_id=found.book_id)
    return renewal.first(
        lambda: keyed.once_in_book(
            book_id=found.book_id,
            key=request.key,
            endpoint=request.endpoint,
            content=request.content,
            make=make,
            status=200,
        )
    )


def void_usage(*, livemode: bool, request: VoidRequest) -> Answer:
    """Release what is held for usage.

    Raises: UnknownReservation, ReservationExpired, ReservationClosed.
    """
    found = _find(livemode, request.reservation)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        now = now_for(book)
        reservation = _open(found.pk, now)
        freed = _let_go(book, reservation, ReservationStatus.VOIDED, now)
        wallets.lapse_returned(freed.returned)
        return {
            "id": reservation.pk,
            "customer_id": book.key,
            "metric": reservation.metric.code,
            "quantity": reservation.quantity,
            "status": reservation.status,
            "released": freed.quantity,
            "occurred_at": now,
        }

    return keyed.once_in_book(
        book_id=found.book_id,
        key=request.key,
        endpoint=request.endpoint,
        content=request.content,
        make=make,
        status=200,
    )


def _find(livemode: bool, reservation_id: UUID) -> UsageReservation:  # noqa: FBT001
    found = UsageReservation.objects.filter(pk=reservation_id, book__livemode=livemode).first()
    if found is None:
        raise UnknownReservation(f"There is no reservation {reservation_id}.")
    return found


def _open(reservation_id: UUID, now: datetime) -> UsageReservation:
    """Read a reservation under its book's lock; it has to be open.

    Raises: ReservationExpired, ReservationClosed.
    """
    reservation = UsageReservation.objects.select_related("metric").get(pk=reservation_id)
    if reservation.status != ReservationStatus.HELD:
        raise ReservationClosed(f"The reservation was {reservation.status.lower()} already.")
    if reservation.expires_at <= now:
        raise ReservationExpired("The reservation's time is over; its credits were released.")
    return reservation


def _held(reservation: UsageReservation) -> dict[UUID, Decimal]:
    """Give what is held of each lot, in the order that was frozen when it was reserved."""
    holds = Hold.objects.filter(
        reservation__usage=reservation, reservation__status=ReservationStatus.HELD
    ).order_by("reservation", "position")
    return {hold.lot_id: hold.open for hold in holds}


def _kept(held: Mapping[UUID, Decimal], charged: Charged) -> list[tuple[CreditLot, Decimal]]:
    """Say what stays held after a part was captured: as much as was held less what it burned, and
    nothing that is spent.
    """
    burned = {change.lot.id: change.quantity for change in charged.changes}
    fresh = _fresh({*held, *burned})
    room = dict.fromkeys((True, False), ZERO)
    for sign, amounts in ((1, held), (-1, burned)):
        for lot_id, quantity in amounts.items():
            room[fresh[lot_id].wallet_id is not None] += sign * quantity
    kept = []
    for lot_id, quantity in held.items():
        lot = fresh[lot_id]
        is_money = lot.wallet_id is not None
        part = min(quantity - burned.get(lot_id, ZERO), lot.available, room[is_money])
        if part > 0:
            kept.append((lot, part))
            room[is_money] -= part
    return kept


def _captured(request: CaptureRequest, reservation: UsageReservation) -> Decimal:
    """Give the real quantity; all that is left where nothing is said.

    Raises: Invalid.
    """
    if request.amount is not None:
        raise Invalid([FieldError("/amount", "invalid", "Usage is captured by quantity.")])
    left = max(reservation.quantity - reservation.captured, ZERO)
    quantity = left if request.quantity is None else request.quantity
    if quantity == 0:
        raise Invalid([FieldError("", "nothing_left", "Nothing is left to capture; void it.")])
    if quantity > left and not request.allow_more:
        detail = f"{money.plain(left)} is left of it; allow_more charges what goes beyond."
        raise Invalid([FieldError("/quantity", "exceeds_reservation", detail)])
    return quantity


def _let_go(
    book: Book, reservation: UsageReservation, status: ReservationStatus, now: datetime
) -> wallets.LetGo:
    freed = wallets.let_go(
        book=book,
        reservations=list(reservation.holds.values_list("pk", flat=True)),
        status=status,
        now=now,
    )
    reservation.status, reservation.ended_at = status, now
    reservation.save(update_fields=["status", "ended_at"])
    return freed
