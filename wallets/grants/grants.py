"""Grants: credits given by hand, or by a plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from wallets import outbox, port
from wallets.lots import provisioning, queries
from wallets.lots.credit_journal import CreditJournal, lot_document, new_lot
from wallets.models import CreditLot, CreditSource, UnitWallet, Wallet
from wallets.operations import idempotency
from wallets.operations.responses import grant_answer

GRANT = "wallets.grant"


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
    """Grant PROMO or BONUS credits: money of a currency, or units of a metric.

    They hold no consideration, so nothing is posted, except for GOODWILL money, which reduces
    revenue at face (docs/accounting.md#e9).
    """

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        now = now_for(book)
        idempotency.check_expiry(expires_at, now)
        lot = _granted_lot(book, now)
        journal = CreditJournal()
        draft = journal.entry(
            book=book,
            event=LedgerEvent.GRANT,
            occurred_at=now,
            document={"key": key, **lot_document(lot)},
        )
        draft.grant(lot)
        if source == CreditSource.GOODWILL:
            draft.lines += posting_rules.goodwill_granted(
                face=lot.carrying, currency=lot.currency, lot=lot.id
            )
        journal.write()
        notify_granted(book, [lot], now)
        port.billing().credits_arrived(book)
        wallet = lot.wallet or lot.unit_wallet
        assert wallet is not None, "a lot has one wallet"
        return grant_answer(
            id=operation_id,
            book=book,
            wallet=wallet,
            lots=[lot],
            entry=draft.id,
            extra=queries.measured(lot, lot.face) | {"kind": lot.kind, "reason": reason},
        )

    def _granted_lot(book: Book, now: datetime) -> CreditLot:
        if metric is not None:
            assert quantity is not None, "the edge validates the pair"
            found = provisioning.find_metric(livemode=livemode, code=metric)
            wallet: Wallet | UnitWallet = provisioning.unit_wallet(book=book, metric=found)
            face = quantity
        else:
            assert amount is not None, "the edge validates the pair"
            assert currency is not None, "the edge validates the pair"
            wallet, face = provisioning.money_wallet(book=book, currency=currency), amount
        is_goodwill = source == CreditSource.GOODWILL and metric is None
        return new_lot(
            wallet=wallet,
            kind=kind,
            source=source,
            quantity=face,
            now=now,
            carrying=face if is_goodwill else ZERO,
            priority=priority,
            reason=reason,
            expires_at=expires_at,
        )

    return idempotency.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        operation=GRANT,
        content={
            "customer_id": customer_id,
            "kind": kind,
            "amount": amount,
            "currency": currency,
            "metric": metric,
            "quantity": quantity,
            "expires_at": expires_at,
            "priority": priority,
            "reason": reason,
            "source": source,
        },
        make=make,
    )


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
