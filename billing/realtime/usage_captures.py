"""Captures of reserved usage, with its real quantity.

A capture is charged to the cycle that runs at its moment. Where none runs, because the subscription
was paused or has ended, the reservation is honoured all the same: it is sold by itself, at the
price that was reserved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.cycle_end import renewal
from billing.models import Subscription, SubscriptionStatus, UsageReservation
from billing.realtime import usage_debits, usage_reservations
from billing.realtime.usage_debits import Charged, UsageRequest
from billing.realtime.usage_reservations import held_by, lots_of
from billing.usage import rollup_upkeep
from ledger.models import Book
from wallets.debits.engine import CaptureRequest, keyed
from wallets.holds import reservation_holds, usage_holds
from wallets.lots import provisioning, queries
from wallets.models import CreditLot, ReservationStatus
from wallets.operations import idempotency
from wallets.operations.responses import allocated


@dataclass(frozen=True, slots=True)
class Captured:
    """The result of a capture: which lots paid, what no credit covered, and what stays held."""

    event: UUID
    amount: Decimal
    allocations: Sequence[tuple[CreditLot, Decimal]]
    overage: Decimal
    entry: UUID | None


@money.exact
def capture_usage(*, livemode: bool, request: CaptureRequest) -> Answer:
    """Charge the real quantity and release its holds, in one transaction.

    Held lots pay even where their time is over. What is not used is released if the capture is
    `final`, else it stays held. Raises: UnknownReservation, ReservationExpired, ReservationClosed;
    Invalid (`exceeds_reservation` unless `allow_more`); NotCovered; beyond what was reserved also
    NoSubscription, Suspended, Paused.
    """
    found = usage_reservations.find(livemode, request.reservation)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        made = usage_reservations.read_open(found.pk, book)
        quantity = _asked(request, made)
        if quantity > made.quantity - made.captured:
            usage_debits.check_open(usage_debits.subscription_for(book, made.metric))
        running = _running(book, made)
        captured = (
            _sell(book, made, request, quantity, f"capture:{operation_id}")
            if running is None
            else _charge(book, made, running, request, quantity, f"capture:{operation_id}")
        )
        made.captured += quantity
        made.save(update_fields=["captured"])
        usage_reservations.pay_what_is_owed(book)
        return {"id": operation_id, **_shown(book, made, quantity, captured)}

    rollup_upkeep.keep_up_book(book_id=found.reservation.book_id)
    return renewal.first(
        lambda: idempotency.once_in_book(
            book_id=found.reservation.book_id,
            asked=keyed(request),
            make=make,
            status=200,
        )
    )


def _running(book: Book, made: UsageReservation) -> Subscription | None:
    """Return the subscription whose running cycle a capture belongs to, if there is one."""
    try:
        found = usage_debits.subscription_for(book, made.metric)
    except usage_debits.NoSubscription:
        return None
    return None if found.status == SubscriptionStatus.PAUSED else found


def _charge(
    book: Book,
    made: UsageReservation,
    subscription: Subscription,
    request: CaptureRequest,
    quantity: Decimal,
    event_key: str,
) -> Captured:
    """Charge the usage to the running cycle, from the lots held for it and from the others."""
    now, reservation, document = now_for(book), made.reservation, _document(request, made)
    held, promised = held_by(reservation), reservation.promised
    # Metered usage may not burn the credits that are held for this.
    before = usage_debits.caught_up(book=book, subscription=subscription)
    status = ReservationStatus.CAPTURED if request.final else ReservationStatus.HELD
    freed = usage_holds.release_all(book=book, reservation=reservation, status=status, now=now)
    charged = usage_debits.charge(
        book=book,
        subscription=subscription,
        metric=made.metric,
        ask=UsageRequest(book.key, made.metric.code, quantity, request.key, None, made.properties),
        event_key=event_key,
        document=document,
        before=before,
        also_pays=lambda lot: lot.id in held,
        promised=promised,
    )
    kept = [] if request.final else _kept(held, charged)
    burned = {change.lot.id: change.quantity for change in charged.changes}
    unrolled, lapsing = usage_holds.after_burns(
        freed.returned, burned=burned, kept={lot.id: part for lot, part in kept}
    )
    if not request.final:
        usage_holds.hold_on(
            book=book,
            reservation=reservation,
            parts=kept,
            unrolled=unrolled,
            promised=max(promised - charged.overage, ZERO),
            now=now,
            document=document,
        )
    reservation_holds.lapse_returned(lapsing)
    return Captured(
        charged.event.pk,
        charged.amount,
        [(change.lot, change.quantity) for change in charged.changes],
        charged.overage,
        charged.entry,
    )


def _sell(
    book: Book, made: UsageReservation, request: CaptureRequest, quantity: Decimal, event_key: str
) -> Captured:
    """Sell reserved usage by itself, at the reserved price, because no cycle runs to which it
    belongs.

    Units go first; the rest of the quantity costs its share of the money that was reserved for it.
    """
    now, reservation = now_for(book), made.reservation
    held = lots_of(list(held_by(reservation)))
    by_lot = held_by(reservation)
    units = sum((part for lot, part in by_lot.items() if held[lot].wallet_id is None), ZERO)
    price = sum((part for lot, part in by_lot.items() if held[lot].wallet_id is not None), ZERO)
    price += reservation.promised
    left = made.quantity - made.captured
    in_units = min(units, quantity)
    for_money = left - units if left > units else left
    share = price if quantity == left else money.proportion(price, quantity - in_units, for_money)
    event = usage_debits.record_sold(
        book=book,
        ask=UsageRequest(book.key, made.metric.code, quantity, request.key, None, made.properties),
        metric=made.metric,
        event_key=event_key,
    )
    sold = usage_holds.sell(
        book=book,
        reservation=reservation,
        wanted={False: in_units, True: share},
        now=now,
        document={
            **_document(request, made),
            "quantity": money.plain(quantity),
            "usage_event": str(event.pk),
        },
    )
    if request.final:
        usage_reservations.release(book, reservation, ReservationStatus.CAPTURED)
    return Captured(
        event.pk,
        share,
        [part for each in sold for part in each.parts],
        sum((each.overage for each in sold), ZERO),
        sold[-1].entry if sold else None,
    )


def _document(request: CaptureRequest, made: UsageReservation) -> dict[str, object]:
    return {"key": request.key, "reservation": str(made.pk), "metric": made.metric.code}


def _shown(
    book: Book, made: UsageReservation, quantity: Decimal, captured: Captured
) -> dict[str, object]:
    """Return the answer of a capture, as things stand after the credits that it released paid
    arrears.
    """
    reservation = made.reservation
    wallet = reservation.wallet
    assert wallet is not None, "usage is reserved on a money wallet"
    now = now_for(book)
    held, fresh = held_by(reservation), lots_of([lot.id for lot, _ in captured.allocations])
    in_money = {lot.id for lot in lots_of(list(held)).values() if lot.wallet_id is not None}
    return {
        "customer_id": book.key,
        "metric": made.metric.code,
        "quantity": quantity,
        "amount": captured.amount,
        "currency": wallet.currency,
        "allocations": [
            {**allocated(fresh[lot.id], part), **fresh[lot.id].unit}
            for lot, part in captured.allocations
        ],
        "overage": captured.overage,
        "balance": queries.balance_of(wallet, now),
        "unit_balance": queries.balance_of(
            provisioning.unit_wallet(book=book, metric=made.metric), now
        ),
        "entry": captured.entry,
        "usage_event": captured.event,
        "occurred_at": now,
        "reservation": reservation.pk,
        "status": reservation.status,
        "captured": made.captured,
        "held": sum((part for lot, part in held.items() if lot in in_money), ZERO),
        "held_units": sum((part for lot, part in held.items() if lot not in in_money), ZERO),
    }


def _kept(held: Mapping[UUID, Decimal], charged: Charged) -> list[tuple[CreditLot, Decimal]]:
    """Return the holds that stay after a part was captured: what was held less what it burned, and
    nothing that is spent.
    """
    burned = {change.lot.id: change.quantity for change in charged.changes}
    fresh = lots_of({*held, *burned})
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


def _asked(request: CaptureRequest, made: UsageReservation) -> Decimal:
    """Return the real quantity; all that is left where the request names none.

    Raises: Invalid.
    """
    if request.amount is not None:
        raise Invalid([FieldError("/amount", "invalid", "Usage is captured by quantity.")])
    left = max(made.quantity - made.captured, ZERO)
    quantity = left if request.quantity is None else request.quantity
    if quantity == 0:
        raise Invalid([FieldError("", "nothing_left", "Nothing is left to capture; void it.")])
    if quantity > left and not request.allow_more:
        detail = f"{money.plain(left)} is left of it; allow_more charges what goes beyond."
        raise Invalid([FieldError("/quantity", "exceeds_reservation", detail)])
    return quantity
