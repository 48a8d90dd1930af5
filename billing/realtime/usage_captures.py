"""Captures of reserved usage, with its real quantity.

A capture is charged to the cycle that runs at its moment. Where none runs, because the subscription
was paused or has ended, the reservation is honoured all the same: it is sold by itself, at the
price that was reserved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from billing.models import SubscriptionStatus, UsageEvent, UsageReservation
from billing.realtime import (
    marginal_price,
    usage_budgets,
    usage_debits,
    usage_over_capture,
)
from billing.realtime.open_cycles import OpenCycle
from billing.realtime.usage_budgets import Accepted, Use
from billing.realtime.usage_debits import Charged
from billing.realtime.usage_requests import NoSubscription, UsageRequest
from ledger.models import Book
from pricing.models import Metric, OverCapture
from wallets.debits.engine import CaptureRequest
from wallets.holds import usage_holds
from wallets.holds.reservation_holds import Held
from wallets.holds.usage_holds import Parts, ReleasedHolds
from wallets.models import CreditLot, ReservationStatus
from wallets.operations.responses import allocated

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing


@dataclass(frozen=True, slots=True)
class Captured:
    """The result of a capture: which lots paid, what no credit covered, and the last entry."""

    event: UUID
    amount: Decimal
    parts: Parts
    overage: Decimal
    entry: UUID | None
    left: Mapping[str, Decimal] = field(default_factory=dict)
    """What the reservation's policy left unpaid, where it did."""


def capture(
    usage: UsagePricing, made: UsageReservation, held: Held, request: CaptureRequest
) -> Answer:
    """Charge the real quantity and release its holds.

    Held lots pay even where their time is over. What is not used is released if the capture is
    `final`, else it stays held. Within the reservation's grace it is a debit like any other.
    Raises: ReservationExpired, ReservationClosed; Invalid; NotCovered; in the grace, and beyond
    what was reserved, also NoSubscription, Suspended, Paused.
    """
    book, operation_id = held.reservation.book, new_id()
    quantity = _asked(request, made)
    is_late = held.reservation.status == ReservationStatus.EXPIRED
    if is_late or quantity > made.quantity - made.captured:
        cycle, _ = marginal_price.cycle_for(usage, book, made.metric.code)
        # A policy that takes more was agreed before it was served.
        is_agreed = held.reservation.over_capture != OverCapture.REFUSE
        if not (is_agreed and cycle.subscription.status == SubscriptionStatus.SUSPENDED):
            marginal_price.check_open(cycle.subscription)
    running = _running(usage, book, made.metric)
    event_key = f"capture:{operation_id}"
    captured = (
        _sell(usage, made, held, request, quantity, event_key)
        if running is None
        else _charge(usage, made, held, running, request, quantity, event_key)
    )
    made.captured += quantity
    usage.change(made)
    return usage.answer(
        request,
        held,
        operation_id,
        lambda: _shown(usage, made, held, operation_id, quantity, captured),
    )


def _running(usage: UsagePricing, book: Book, metric: Metric) -> OpenCycle | None:
    """Return the running cycle that a capture belongs to, if there is one."""
    try:
        cycle, _ = marginal_price.cycle_for(usage, book, metric.code)
    except NoSubscription:
        return None
    return None if cycle.subscription.status == SubscriptionStatus.PAUSED else cycle


def _charge(
    usage: UsagePricing,
    made: UsageReservation,
    held: Held,
    cycle: OpenCycle,
    request: CaptureRequest,
    quantity: Decimal,
    event_key: str,
) -> Captured:
    """Charge the usage to the running cycle, from the lots held for it and from the others."""
    reservation, journal = held.reservation, usage.batch.journal
    book, now = reservation.book, usage.now(reservation.book)
    open_holds, promised, earlier = held.by_lot, reservation.promised, len(journal.returned)
    open_money = held.open_of(is_money=True)
    event = marginal_price.event_of(
        usage, book, cycle, made.metric, _ask(made, request, quantity), event_key
    )
    # Metered usage may not burn the credits that are held for this.
    before = marginal_price.without(usage, book, cycle)
    is_late = reservation.status == ReservationStatus.EXPIRED
    freed = _let_go(usage, held, is_final=request.final)
    charged = usage_debits.charge(
        usage,
        book,
        cycle,
        made.metric,
        event,
        before=before,
        document=_document(request, made),
        attributes=reservation.attributes,
        also_pays=lambda lot: lot.id in open_holds,
        promised=promised,
        accepted=None
        if is_late
        else Accepted(
            reservation,
            max(made.quantity - made.captured, ZERO),
            open_money + promised,
            request.final,
        ),
        policy=reservation.over_capture,
    )
    left = usage_over_capture.note(
        usage, held, cycle, event, charged.borne, _document(request, made)
    )
    kept = [] if request.final else _kept(usage, book, open_holds, charged)
    burned = {change.lot.id: change.quantity for change in charged.changes}
    unrolled, lapsing = usage_holds.after_burns(
        freed.returned, burned=burned, kept={lot.id: part for lot, part in kept}
    )
    journal.returned[earlier:] = lapsing
    used = {lot: min(part, burned.get(lot, ZERO)) for lot, part in open_holds.items()}
    stays = sum((part for _, part in kept), ZERO) + sum(used.values(), ZERO)
    usage.note(held, released=sum(open_holds.values(), ZERO) - stays)
    if not request.final:
        usage.promise(held, max(promised - charged.overage, ZERO))
        usage.batch.holds += usage_holds.hold_on(
            journal, held, parts=kept, unrolled=unrolled, now=now, document=_document(request, made)
        )
    parts = [(change.lot, change.quantity) for change in charged.changes]
    amount = charged.amount + charged.borne.left
    return Captured(event.pk, amount, parts, charged.overage, charged.entry, left)


def _let_go(usage: UsagePricing, held: Held, *, is_final: bool) -> ReleasedHolds:
    """Release what a reservation holds, so that its capture can burn it; what has timed out holds
    nothing any more.
    """
    if held.reservation.status == ReservationStatus.HELD:
        return usage.release(
            held, ReservationStatus.CAPTURED if is_final else ReservationStatus.HELD
        )
    if is_final:
        held.end(ReservationStatus.CAPTURED, usage.now(held.reservation.book))
    return ReleasedHolds(ZERO, ZERO, ())


def _kept(
    usage: UsagePricing, book: Book, held: Mapping[UUID, Decimal], charged: Charged
) -> list[tuple[CreditLot, Decimal]]:
    """Return the holds that stay after a part was captured: what was held less what it burned, and
    nothing that is spent.
    """
    lots, burned = usage.lots[book.pk], {c.lot.id: c.quantity for c in charged.changes}
    room = dict.fromkeys((True, False), ZERO)
    for sign, amounts in ((1, held), (-1, burned)):
        for lot_id, quantity in amounts.items():
            room[lots[lot_id].wallet_id is not None] += sign * quantity
    kept = []
    for lot_id, quantity in held.items():
        lot = lots[lot_id]
        is_money = lot.wallet_id is not None
        part = min(quantity - burned.get(lot_id, ZERO), lot.available, room[is_money])
        if part > 0:
            kept.append((lot, part))
            room[is_money] -= part
    return kept


def _sell(
    usage: UsagePricing,
    made: UsageReservation,
    held: Held,
    request: CaptureRequest,
    quantity: Decimal,
    event_key: str,
) -> Captured:
    """Sell reserved usage by itself, at the reserved price, because no cycle runs to which it
    belongs.

    Units go first; the rest of the quantity costs its share of the money that was reserved for it.
    """
    reservation, book = held.reservation, held.reservation.book
    units, price = held.open_of(is_money=False), held.open_of(is_money=True) + reservation.promised
    left = made.quantity - made.captured
    in_units = min(units, quantity)
    for_money = left - units if left > units else left
    share = price if quantity == left else money.proportion(price, quantity - in_units, for_money)
    event = _event_sold(usage, book, made, quantity, event_key)
    document = {
        **_document(request, made),
        "quantity": money.plain(quantity),
        "usage_event": str(event.pk),
    }
    parts, overage, entry = list[tuple[CreditLot, Decimal]](), ZERO, None
    for is_money, wanted in ((False, in_units), (True, share)):
        if wanted > 0:
            sold, paid = usage.sell(held, wanted, is_money=is_money, document=document)
            parts += paid
            overage, entry = overage + sold.overage, sold.entry_id
    currency = usage.batch.account_of(reservation).wallet.unit["currency"]
    use = Use(made.metric, currency, made.properties, quantity, share)
    counted = usage_budgets.take(
        usage, book, use, Accepted(reservation, left, price, request.final)
    )
    entry = usage_budgets.count(
        usage, book, counted, entry=entry, document=document, attributes=reservation.attributes
    )
    if request.final:
        freed = usage.release(held, ReservationStatus.CAPTURED)
        usage.note(held, released=freed.money + freed.units)
    return Captured(event.pk, share, parts, overage, entry)


def _event_sold(
    usage: UsagePricing, book: Book, made: UsageReservation, quantity: Decimal, key: str
) -> UsageEvent:
    """Return the event of usage that is sold by itself: no cycle counts it."""
    now = usage.now(book)
    event = UsageEvent(
        book=book,
        metric=made.metric,
        key=key,
        quantity=quantity,
        occurred_at=now,
        counted_at=None,
        received_at=now,
        properties=made.properties,
    )
    usage.events.append(event)
    return event


def _ask(made: UsageReservation, request: CaptureRequest, quantity: Decimal) -> UsageRequest:
    return UsageRequest(
        customer_id=made.reservation.book.key,
        metric=made.metric.code,
        quantity=quantity,
        key=request.key,
        properties=made.properties,
    )


def _document(request: CaptureRequest, made: UsageReservation) -> dict[str, object]:
    return {"key": request.key, "reservation": str(made.pk), "metric": made.metric.code}


def _shown(
    usage: UsagePricing,
    made: UsageReservation,
    held: Held,
    operation_id: UUID,
    quantity: Decimal,
    captured: Captured,
) -> dict[str, object]:
    """Return the answer of a capture, from the lots as they are."""
    reservation, book = held.reservation, held.reservation.book
    account = usage.batch.account_of(reservation)
    return {
        "id": operation_id,
        "customer_id": book.key,
        "metric": made.metric.code,
        "quantity": quantity,
        "amount": captured.amount,
        "currency": account.wallet.unit["currency"],
        "allocations": [{**allocated(lot, part), **lot.unit} for lot, part in captured.parts],
        "overage": captured.overage,
        "balance": account.balance,
        "unit_balance": usage.unit_account(book, made.metric).balance,
        "entry": captured.entry,
        "usage_event": captured.event,
        "occurred_at": usage.now(book),
        "reservation": reservation.pk,
        "status": reservation.status,
        "captured": made.captured,
        "held": held.open_of(is_money=True),
        "held_units": held.open_of(is_money=False),
        **captured.left,
    }


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
    return quantity
