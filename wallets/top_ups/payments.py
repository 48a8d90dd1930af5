"""Delivery of the credits that were bought, and their payment through the gateway.

The gateway is never asked inside a transaction: a top-up is committed PENDING, asked for, and
concluded in a second transaction by whoever comes first (docs/decisions.md#d10).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from aforo import actors
from aforo.database import bulk, joined
from aforo.errors import InvariantBroken
from aforo.money import ZERO
from aforo.periods import days_after
from aforo.protocol.idempotency import Answer, KeyedOperation
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from ledger import posting_rules
from ledger.controls import policies
from ledger.entries import books, entries
from ledger.models import BonusAllocation, Book, LedgerEvent
from pricing.models import CreditKind
from wallets import outbox, port
from wallets.grants import campaign_grants
from wallets.holds.reservations import release_due
from wallets.lots import provisioning
from wallets.lots.cost_basis import PurchasePart, allocate
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.new_lots import lot_document, new_lot
from wallets.models import (
    CreditLot,
    CreditSource,
    Operation,
    TopUp,
    TopUpStatus,
    UnitWallet,
    Wallet,
)
from wallets.operations import idempotency
from wallets.operations.responses import grant_answer
from wallets.top_ups import sale_tax, ways
from wallets.top_ups.gateway import (
    Gateway,
    GatewayCharge,
    GatewayOutcome,
    GatewayUnreachable,
    gateway_of,
)

logger = logging.getLogger(__name__)

TOP_UP = "wallets.top_up"
# An automatic refill is switched off by so many failed payments in a row, and waits in between:
# 1 minute, then 2, then 4.
MAX_FAILURES = 3
FIRST_WAIT = timedelta(minutes=1)
# A payment without an answer is asked about after a minute, then two, four, ... at most a day.
LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The lots that a purchase issued, and the entry that explains them."""

    wallet: Wallet
    lots: list[CreditLot]
    entry: UUID


def fulfil_top_up(*, book: Book, top_up: TopUp, now: datetime, paid_into: str) -> Delivery:
    """Issue what was bought, in one entry, then pay arrears from it.

    Running campaigns may add to it. The book must be locked.
    """
    wallet = provisioning.money_wallet(book=book, currency=top_up.counted_in)
    lots = _bought_lots(book=book, top_up=top_up, wallet=wallet, now=now)
    lots += campaign_grants.match_top_up(
        book=book, wallet=wallet, top_up_id=top_up.id, amount=top_up.bought, now=now
    )
    _allocate(top_up, lots, livemode=book.livemode, now=now)
    for lot in lots:
        lot.taxed_at_sale = top_up.taxed_at_sale
    journal = CreditJournal()
    draft = journal.entry(
        book=book,
        event=LedgerEvent.TOP_UP,
        occurred_at=now,
        document={
            "top_up": str(top_up.id),
            "key": top_up.key,
            "method": top_up.method,
            "lots": [lot_document(lot) for lot in lots],
            **sale_tax.facts(top_up, lots),
        },
    )
    draft.lines += posting_rules.sale_taxed(
        tax=top_up.tax, currency=top_up.currency, paid_into=paid_into
    )
    for lot in lots:
        draft.grant(lot)
        draft.lines += posting_rules.credits_sold(
            kind=lot.kind,
            source=lot.source,
            carrying=lot.carrying,
            currency=lot.currency,
            lot=lot.id,
            paid_into=paid_into,
        )
    journal.write()
    outbox.topped_up(book, top_up, now)
    port.billing().credits_arrived(book)
    return Delivery(wallet, lots, draft.id)


def _bought_lots(*, book: Book, top_up: TopUp, wallet: Wallet, now: datetime) -> list[CreditLot]:
    """Build the cash lot and the bonus lot of a purchase."""
    parts: list[tuple[str, Wallet | UnitWallet, Decimal]] = [
        (CreditKind.CASH, wallet, top_up.bought)
    ]
    if top_up.bonus is not None:
        metric = top_up.bonus_metric
        given = wallet if metric is None else provisioning.unit_wallet(book=book, metric=metric)
        parts.append((CreditKind.BONUS, given, top_up.bonus))
    return [
        new_lot(
            wallet=holder,
            kind=kind,
            source=CreditSource.TOP_UP if top_up.auto_refill_id is None else CreditSource.REFILL,
            quantity=quantity,
            currency=top_up.currency,
            now=now,
            expires_at=_expiry(top_up, now),
            top_up_id=top_up.id,
        )
        for kind, holder, quantity in parts
    ]


def _allocate(top_up: TopUp, lots: Sequence[CreditLot], *, livemode: bool, now: datetime) -> None:
    """Spread what was paid over the lots by stand-alone prices, by the policy
    (docs/accounting.md#m2).

    Money is worth its face, units the price in the order: 100 and 20,000 tokens at .002 for 100.00
    carry 71.43 and 28.57. The part of a bonus that the policy expects to lapse lowers its share; a
    later estimate never changes it. Credits of a unit carry the same each, bonus included
    (docs/decisions.md#d641).
    """
    unit_price = top_up.bonus_unit_price or ZERO
    on = entries.day_of(now)
    is_relative = (
        not top_up.credit_unit
        and policies.policy(livemode=livemode, on=on).bonus_allocation
        == BonusAllocation.RELATIVE_SSP
    )
    parts = []
    for lot in lots:
        rate = None
        if is_relative and lot.kind == CreditKind.BONUS:
            rate = policies.breakage_rate(
                livemode=livemode, kind=lot.kind, currency=lot.currency, sold_on=on, on=on
            )
        parts.append(
            PurchasePart(
                face=lot.face,
                unit_price=Decimal(1) if lot.wallet is not None else unit_price,
                unused_percent=ZERO if rate is None else rate.percent,
            )
        )
    for lot, share in zip(lots, allocate(top_up.amount, parts), strict=True):
        lot.carrying = lot.carrying_remaining = share


def _expiry(top_up: TopUp, now: datetime) -> datetime | None:
    """Return when bought credits lapse: the moment asked for, or the terms' days from now.

    A payment that came after that moment still buys the lifetime that was asked for.
    """
    if top_up.expires_at is not None:
        lifetime = top_up.expires_at - top_up.created_at
        return top_up.expires_at if top_up.expires_at > now else now + lifetime
    if top_up.lifetime_days is not None:
        zone = ZoneInfo(port.billing().traits_of([top_up.book])[top_up.book_id].zone)
        return days_after(now, top_up.lifetime_days, zone)
    return None


def delivered_answer(*, book: Book, top_up: TopUp, delivery: Delivery) -> dict[str, object]:
    """Return the answer of a top-up that has its lots."""
    return grant_answer(
        id=top_up.id,
        book=book,
        wallet=delivery.wallet,
        lots=delivery.lots,
        entry=delivery.entry,
        extra=_facts(top_up),
    )


def waiting_answer(*, book: Book, top_up: TopUp) -> dict[str, object]:
    """Return the answer of a top-up that waits for its payment."""
    return {"id": top_up.id, "customer_id": book.key, **_facts(top_up), "lots": [], "entry": None}


def _facts(top_up: TopUp) -> dict[str, object]:
    shown = {"status": top_up.status, "amount": top_up.amount, "currency": top_up.currency}
    if top_up.credit_unit:
        shown |= {"unit": top_up.credit_unit, "credits": top_up.bought}
    return {**shown, "tax": top_up.tax, "total": top_up.total} if top_up.taxed_at_sale else shown


def charge_of(top_up: TopUp) -> tuple[Gateway, GatewayCharge]:
    """Return the gateway of a top-up and the charge to send to it."""
    gateway = gateway_of(livemode=top_up.book.livemode)
    if gateway is None:
        raise InvariantBroken("A gateway's top-up waits, and no gateway is configured.")
    return gateway, GatewayCharge(
        id=top_up.id,
        customer_id=top_up.book.key,
        amount=top_up.total,
        currency=top_up.currency,
        method=top_up.method,
        asked_at=top_up.created_at,
    )


def resolve_payment(*, top_up: TopUp) -> tuple[TopUp, bool]:
    """Ask the gateway about a PENDING top-up and record its outcome, once whoever asks.

    Return the top-up as it is now, and whether this call concluded it; it stays PENDING while the
    gateway has no answer, and whatever fails, the sweep asks again later and later.
    """
    try:
        outcome = _ask(top_up)
        concluded = None if outcome == GatewayOutcome.PENDING else _conclude(top_up, outcome)
    except Exception:
        _ask_later(top_up)
        raise
    if concluded is None:
        _ask_later(top_up)
        return top_up, False
    return concluded


def _conclude(top_up: TopUp, outcome: GatewayOutcome) -> tuple[TopUp, bool]:
    with transaction.atomic():
        book = books.lock_book(book_id=top_up.book_id)
        (current,) = joined.select(
            TopUp, ["bonus_metric", "auto_refill"], "WHERE t.id = %s", [top_up.pk]
        )
        current.book = book
        if current.status != TopUpStatus.PENDING:
            return current, False
        now = now_for(book)
        release_due(book=book, until=now)
        if outcome == GatewayOutcome.SUCCEEDED:
            with actors.acting(current.actor):
                _succeed(book, current, now)
        else:
            _fail(book, current, now)
        return current, True


def _ask(top_up: TopUp) -> GatewayOutcome:
    gateway, charge = charge_of(top_up)
    try:
        return gateway.charge(charge, now=now_for(top_up.book))
    except GatewayUnreachable:
        logger.warning("The gateway gave no answer about top-up %s", top_up.pk)
    except Exception:
        # Whatever broke there, the outcome of the payment is unknown.
        logger.exception("The gateway failed about top-up %s", top_up.pk)
    return GatewayOutcome.PENDING


def wait_after(asked: int) -> timedelta:
    """Return how long the sweep waits after a gateway had no answer so often."""
    return min(FIRST_WAIT * (1 << min(asked, 20)), LONGEST_WAIT)


def _ask_later(top_up: TopUp) -> None:
    """Double the wait after which the sweep asks about a payment again."""
    wait = wait_after(top_up.asked)
    TopUp.objects.filter(pk=top_up.pk, status=TopUpStatus.PENDING, asked=top_up.asked).update(
        asked=top_up.asked + 1, ask_again_at=now_for(top_up.book) + wait
    )


def _succeed(book: Book, top_up: TopUp, now: datetime) -> None:
    """Deliver what was paid, and store the answer under the client's key.

    Where the key was used elsewhere meanwhile, that answer stays; the payment counts all the same.
    """
    top_up.status, top_up.paid_at = TopUpStatus.SUCCEEDED, now
    bulk.update_rows(TopUp, "id", ["status", "paid_at"], [[top_up.pk, str(top_up.status), now]])
    rule = top_up.auto_refill
    if rule is not None:
        rule.failures, rule.next_attempt_at = 0, None
        rule.save(update_fields=["failures", "next_attempt_at"])
    delivery = fulfil_top_up(book=book, top_up=top_up, now=now, paid_into=ways.account_of(top_up))
    if top_up.key and idempotency.find(book=book, key=top_up.key) is None:
        shown = delivered_answer(book=book, top_up=top_up, delivery=delivery)
        kept = idempotency.recorded(
            book=book,
            id=top_up.id,
            asked=KeyedOperation(top_up.key, TOP_UP, top_up.content),
            given=Answer.fresh(201, shown),
            now=now_for(book),
        )
        bulk.insert_models(Operation, [kept])


def _fail(book: Book, top_up: TopUp, now: datetime) -> None:
    """Record a decline; the client's key is free again, and an automatic refill backs off."""
    top_up.status, top_up.failed_at = TopUpStatus.FAILED, now
    top_up.save(update_fields=["status", "failed_at"])
    rule = top_up.auto_refill
    if rule is None:
        return
    rule.failures += 1
    rule.next_attempt_at = now + FIRST_WAIT * 2 ** (rule.failures - 1)
    if rule.failures >= MAX_FAILURES:
        rule.next_attempt_at, rule.switched_off_at = None, now
    rule.save(update_fields=["failures", "next_attempt_at", "switched_off_at"])
    outbox.notify(
        book,
        EventType.WALLET_REFILL_FAILED,
        {
            "top_up": top_up.id,
            "amount": top_up.amount,
            "currency": top_up.currency,
            "failures": rule.failures,
            "next_attempt_at": rule.next_attempt_at,
            "switched_off": rule.switched_off_at is not None,
        },
        now,
    )
