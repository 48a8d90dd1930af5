"""Grants: credits given by hand, or by a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from aforo import money
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from ledger import approvals, posting_rules
from ledger.models import ApprovalAction, Book, LedgerEvent
from pricing.offerings import credit_units
from wallets import outbox, port
from wallets.lots import provisioning, queries
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.new_lots import lot_document, new_lot
from wallets.models import CreditLot, CreditSource, UnitWallet, Wallet
from wallets.operations import idempotency
from wallets.operations.responses import grant_answer

GRANT = "wallets.grant"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A grant as a client asked for it."""

    customer_id: str
    kind: str
    reason: str
    amount: Decimal | None
    currency: str | None
    metric: str | None
    quantity: Decimal | None
    expires_at: datetime | None
    priority: int
    source: str

    @property
    def is_goodwill(self) -> bool:
        """Return whether it is money given free, which reduces revenue."""
        return self.source == CreditSource.GOODWILL and self.metric is None


def grant(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    kind: str,
    reason: str,
    amount: Decimal | None = None,
    currency: str | None = None,
    metric: str | None = None,
    quantity: Decimal | None = None,
    expires_at: datetime | None = None,
    priority: int = 100,
    source: str = CreditSource.MANUAL,
) -> Answer:
    """Grant PROMO or BONUS credits: money of a currency, credits of a unit, or units of a metric.

    They hold no consideration, so nothing is posted, except for GOODWILL money, which reduces
    revenue at face (docs/accounting.md#e9), and above a limit waits for approval.
    """
    asked = _Asked(
        customer_id, kind, reason, amount, currency, metric, quantity, expires_at, priority, source
    )
    return idempotency.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        operation=GRANT,
        content=asdict(asked),
        make=_granting(key, asked),
    )


def _granting(key: str, asked: _Asked) -> idempotency.Make:
    """Return what grants; goodwill above a limit asks for approval instead."""
    make = partial(_grant, key=key, asked=asked)
    if not asked.is_goodwill:
        return make

    def made(book: Book, operation_id: UUID) -> dict[str, object] | Answer:
        worth, currency = _goodwill(book, asked)
        limited = approvals.within_limit(
            make,
            action=ApprovalAction.GOODWILL,
            operation=GRANT,
            amount=worth,
            currency=currency,
            content=asdict(asked),
        )
        return limited(book, operation_id)

    return made


def _goodwill(book: Book, asked: _Asked) -> tuple[Decimal, str]:
    """Return what goodwill reduces revenue by: money its face, credits of a unit at the rate of the
    only currency that they are sold in; nothing where there are several, or none
    (docs/decisions.md#d642).

    Raises: Invalid (`unknown_currency`).
    """
    assert asked.amount is not None, "the edge validates the pair"
    assert asked.currency is not None, "the edge validates the pair"
    if asked.currency in money.EXPONENTS:
        return asked.amount, asked.currency
    prices = credit_units.find_credit_unit(
        livemode=book.livemode, code=asked.currency, pointer="/currency"
    ).prices
    if len(prices) != 1:
        return ZERO, ""
    ((currency, rate),) = prices.items()
    return money.to_books(asked.amount * rate), currency


def _grant(book: Book, operation_id: UUID, key: str, asked: _Asked) -> dict[str, object]:
    """Issue the lot that was asked for, and let it pay what is owed."""
    now = now_for(book)
    idempotency.check_expiry(asked.expires_at, now)
    wallet, face = _measure(book, asked)
    carrying, currency = _goodwill(book, asked) if asked.is_goodwill else (ZERO, "")
    lot = new_lot(
        wallet=wallet,
        kind=asked.kind,
        source=asked.source,
        quantity=face,
        now=now,
        carrying=carrying,
        currency=currency,
        priority=asked.priority,
        reason=asked.reason,
        expires_at=asked.expires_at,
    )
    journal = CreditJournal()
    draft = journal.entry(
        book=book,
        event=LedgerEvent.GRANT,
        occurred_at=now,
        document={"key": key, **lot_document(lot)},
    )
    draft.grant(lot)
    if asked.is_goodwill:
        draft.lines += posting_rules.goodwill_granted(
            face=lot.carrying, currency=lot.currency, lot=lot.id
        )
    journal.write()
    notify_granted(book, [lot], now)
    port.billing().credits_arrived(book)
    return grant_answer(
        id=operation_id,
        book=book,
        wallet=wallet,
        lots=[lot],
        entry=draft.id,
        extra=queries.measured(lot, lot.face) | {"kind": lot.kind, "reason": lot.reason},
    )


def _measure(book: Book, asked: _Asked) -> tuple[Wallet | UnitWallet, Decimal]:
    """Return the wallet that is granted to, and how much of its money or units."""
    if asked.metric is not None:
        assert asked.quantity is not None, "the edge validates the pair"
        metric = provisioning.find_metric(livemode=book.livemode, code=asked.metric)
        return provisioning.unit_wallet(book=book, metric=metric), asked.quantity
    assert asked.amount is not None, "the edge validates the pair"
    assert asked.currency is not None, "the edge validates the pair"
    wallet = provisioning.named_wallet(book=book, currency=asked.currency, is_new=True)
    return wallet, asked.amount


def notify_granted(book: Book, lots: Sequence[CreditLot], at: datetime) -> None:
    """Write the notices of granted credits to the outbox."""
    for lot in lots:
        facts = {
            "lot": lot.id,
            "kind": lot.kind,
            **queries.measured(lot, lot.face),
            "expires_at": lot.expires_at,
        }
        outbox.notify(book, EventType.CREDITS_GRANTED, facts, at)


def issue(
    *, book: Book, lots: Sequence[CreditLot], occurred_at: datetime, document: dict[str, object]
) -> list[CreditLot]:
    """Issue granted lots in one entry; the consideration they carry comes out of plan fees paid in
    advance. The book must be locked.

    A lot whose `cause` the book has had before is left out: a grant never comes twice. Return the
    lots that were issued.
    """
    causes = [lot.cause for lot in lots if lot.cause]
    had = set(CreditLot.objects.filter(book=book, cause__in=causes).values_list("cause", flat=True))
    fresh = [lot for lot in lots if lot.cause not in had]
    if not fresh:
        return []
    journal = CreditJournal()
    draft = journal.entry(
        book=book,
        event=LedgerEvent.GRANT,
        occurred_at=occurred_at,
        document={**document, "lots": [lot_document(lot) for lot in fresh]},
    )
    for lot in fresh:
        draft.grant(lot)
        draft.lines += posting_rules.credits_sold(
            kind=lot.kind,
            source=lot.source,
            carrying=lot.carrying,
            currency=lot.currency,
            lot=lot.id,
            paid_into=posting_rules.PLAN_FEES,
        )
    journal.write()
    notify_granted(book, fresh, occurred_at)
    return fresh
