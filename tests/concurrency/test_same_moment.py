"""What meets at the very moment that a hold or a lot ends: one of them wins."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils import timezone

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from billing.jobs import due_work
from ledger.models import Entry, LedgerEvent
from tests import factories
from tests.concurrency.threads import at_once
from wallets.debits import engine
from wallets.models import CreditLot, Debit, Hold, Movement, MovementKind, Reservation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

CUSTOMERS = [f"cust_{n}" for n in range(8)]
ENDINGS = {"capture": "CAPTURED", "void": "VOIDED"}


def about(moment: datetime, dice: random.Random) -> None:
    """Wait until a few milliseconds before or after a moment."""
    left = (moment - timezone.now()).total_seconds()
    time.sleep(max(0, left + dice.uniform(-0.02, 0.02)))


def take(request: engine.Request) -> engine.Result:
    (result,) = engine.execute([request], livemode=False)
    return result


def test_a_hold_that_times_out_is_captured_voided_or_over_but_one_of_them_only() -> None:
    for key in CUSTOMERS:
        factories.customer(key)
        factories.top_up(key, "10")
    made = engine.execute(
        [
            engine.ReserveRequest(customer_id=key, key="r", amount=Decimal(6), expires_in=2)
            for key in CUSTOMERS
        ],
        livemode=False,
    )
    ids = [UUID(factories.body(result)["id"]) for result in made]
    moment = Reservation.objects.get(pk=ids[0]).expires_at

    def ask(what: str, reservation: UUID) -> engine.Result:
        if what == "capture":
            return take(engine.CaptureRequest(reservation=reservation, key="c", amount=Decimal(4)))
        return take(engine.VoidRequest(reservation=reservation, key="v"))

    def act(number: int) -> list[tuple[str, UUID, engine.Result]]:
        dice = random.Random(number)
        if number >= 2 * len(ids):
            for _ in range(5):
                about(moment, dice)
                due_work.expire(until=timezone.now())
            return []
        what, reservation = ("capture", "void")[number % 2], ids[number // 2]
        about(moment, dice)
        return [(what, reservation, ask(what, reservation))]

    outcomes = [o for each in at_once(2 * len(ids) + 2, act) for o in each]
    due_work.expire(until=timezone.now())

    for reservation in ids:
        ended = Reservation.objects.get(pk=reservation)
        won = [w for w, of, result in outcomes if of == reservation and isinstance(result, Answer)]
        assert ended.status == (ENDINGS[won[0]] if won else "EXPIRED")
        assert len(won) <= 1
        assert ended.captured == (4 if won == ["capture"] else 0)
        hold = Hold.objects.get(reservation=ended)
        assert (hold.captured + hold.released, hold.open) == (6, 0)
        assert ended.ended_at is not None
        assert (ended.ended_at < ended.expires_at) if won else (ended.ended_at == ended.expires_at)
    refusals = {factories.refusal(r).code for _, _, r in outcomes if not isinstance(r, Answer)}
    assert refusals <= {"reservation_expired", "reservation_closed"}
    left = sum(CreditLot.objects.values_list("remaining", flat=True), Decimal(0))
    assert left == 10 * len(ids) - sum(Debit.objects.values_list("quantity", flat=True))
    assert verification.verify().ok


def test_a_debit_at_the_moment_a_lot_dies_uses_it_only_before() -> None:
    """Promo 10 that dies, and cash 20: two debits of 4 around that moment, and sweeps."""
    for key in CUSTOMERS:
        factories.customer(key)
        factories.top_up(key, "20")
    moment = timezone.now() + timedelta(seconds=2)
    for key in CUSTOMERS:
        factories.grant(key, "10", expires_at=moment)

    def act(number: int) -> None:
        dice = random.Random(number)
        about(moment, dice)
        if number >= 2 * len(CUSTOMERS):
            due_work.expire(until=timezone.now())
            return
        factories.body(factories.debit(CUSTOMERS[number // 2], "4", f"d{number % 2}"))

    at_once(2 * len(CUSTOMERS) + 2, act)
    due_work.expire(until=timezone.now())

    for debit in Debit.objects.all():
        kinds = set(
            Movement.objects.filter(entry=debit.entry_id, kind=MovementKind.BURN).values_list(
                "lot__kind", flat=True
            )
        )
        assert kinds == ({"PROMO"} if debit.occurred_at < moment else {"CASH"})
    for lot in CreditLot.objects.filter(kind="PROMO"):
        out = Movement.objects.filter(
            lot=lot, kind__in=[MovementKind.BURN, MovementKind.EXPIRE]
        ).values_list("quantity", flat=True)
        assert lot.remaining == 0
        assert sum(out) == 10
    lapses = Entry.objects.filter(event=LedgerEvent.EXPIRY).values_list("occurred_at", flat=True)
    assert set(lapses) == {moment}
    assert len(lapses) == len(CUSTOMERS)
    assert verification.verify().ok
