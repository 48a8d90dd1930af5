"""Openings: the fees in advance of a cycle, billed when it begins (DECISIONS 28)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aforo.periods import Period
from billing import pipeline
from billing.models import Settlement, SettlementKind, Subscription
from billing.pipeline import advance, load, settle
from billing.services import invoices, numbering
from ledger.models import Book
from pricing.models import BillingMode, Timing
from wallets import reads
from wallets.models import CreditLot


def open_cycle(
    *,
    book: Book,
    subscription: Subscription,
    part: Period,
    full: Period,
    now: datetime,
    pays: Callable[[CreditLot], bool] | None = None,
) -> bool:
    """Bill the fees in advance for `part` of the open cycle's `full` period, through the ten
    stages; tell whether they are paid or on an invoice.

    The lots alive now pay, or those that `pays` names; PREPAID credits that do not cover them
    change nothing. The document is numbered last, so that nobody waits for the counter who holds
    what another needs. The book must be locked.
    """
    if not subscription.version.charges.filter(timing=Timing.ADVANCE).exists():
        return True
    opening = Settlement(
        subscription=subscription,
        book=book,
        kind=SettlementKind.OPENING,
        cycle=subscription.cycle,
        starts_at=part.starts_at,
        ends_at=part.ends_at,
        full_starts_at=full.starts_at,
        full_ends_at=full.ends_at,
        period_number=subscription.period_number,
        counted_from=part.starts_at,
        counted_until=part.ends_at,
        sealed_at=now,
        currency=subscription.version.plan.currency,
        billing_mode=subscription.billing_mode,
    )
    loaded = load.load(
        book=book,
        subscription=subscription,
        settlement=opening,
        usage={},
        full_period=full,
        until=now,
        pays=pays or (lambda lot: reads.is_alive(lot, now)),
    )
    draft = pipeline.run(advance.of_opening(loaded))
    if subscription.billing_mode == BillingMode.PREPAID and draft.arrears > 0:
        return False
    opening.save(force_insert=True)
    settle.settle(book=book, settlement=opening, draft=draft, now=now, next_period=part)
    if subscription.billing_mode != BillingMode.PREPAID and draft.lines:
        invoices.draft_invoice(customer=subscription.customer, settlement=opening, draft=draft)
    numbering.later(book_id=book.pk, now=now)
    return True
