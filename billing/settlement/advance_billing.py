"""Advance billing: an opening bills the fees in advance of a cycle when it begins
(docs/decisions.md#d28).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aforo import periods
from aforo.errors import NotCovered
from aforo.money import plain
from aforo.periods import Period
from billing import calculation
from billing.calculation import advance
from billing.calculation.calculation import Calculation, CreditOwed, changed
from billing.campaigns import subscriber_grants
from billing.invoicing import invoices, numbering
from billing.models import (
    Settlement,
    SettlementKind,
    Subscription,
    SubscriptionStatus,
)
from billing.settlement import late_credits, load
from billing.settlement import write as settlement_writing
from billing.subscriptions import cycles, moves, plan_credits
from ledger.models import Book
from pricing import catalogue
from pricing.models import BillingMode
from wallets.lots import queries
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
    stages; return whether they are paid or on an invoice.

    The lots alive now pay, or those that `pays` selects; PREPAID credits that do not cover them
    change nothing. The document is numbered last, so that no one waits for the counter while
    holding a lock that another needs. The book must be locked.
    """
    if not catalogue.bills_in_advance(subscription.version):
        return True
    opening = _opening(book, subscription, part, full, now)
    draft = _priced(opening, pays=pays or (lambda lot: queries.is_alive(lot, now)), now=now)
    if subscription.billing_mode == BillingMode.PREPAID and draft.arrears > 0:
        return False
    _bill(opening, draft, part, now)
    return True


def open_rest(*, book: Book, subscription: Subscription, now: datetime) -> Settlement | None:
    """Bill the fees in advance of the rest of a period that begins on another plan, less what the
    customer is owed, which is the unserved part of the old fee; return the settlement, if there are
    such fees. The book must be locked.

    Raises: NotCovered by PREPAID credits.
    """
    if subscription.period_number < 0 or not catalogue.bills_in_advance(subscription.version):
        return None
    part = cycles.open_part(subscription)
    opening = _opening(book, subscription, part, cycles.full_period(subscription), now)
    draft = _priced(
        opening,
        pays=lambda lot: queries.is_alive(lot, now),
        now=now,
        owed=late_credits.owed(subscription.pk),
    )
    if subscription.billing_mode == BillingMode.PREPAID and draft.arrears > 0:
        raise not_covered(draft)
    _bill(opening, draft, part, now)
    return opening


def not_covered(draft: Calculation) -> NotCovered:
    """Return the refusal of what PREPAID credits do not cover."""
    available = draft.total - draft.arrears
    return NotCovered(
        f"{plain(available)} of {plain(draft.total)} is available.",
        extra={"shortfall": plain(draft.arrears), "available": plain(available)},
        missing=draft.arrears,
        currency=draft.currency,
    )


def _opening(
    book: Book, subscription: Subscription, part: Period, full: Period, now: datetime
) -> Settlement:
    return Settlement(
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


def _priced(
    opening: Settlement,
    *,
    pays: Callable[[CreditLot], bool],
    now: datetime,
    owed: tuple[CreditOwed, ...] = (),
) -> Calculation:
    loaded = load.load(
        book=opening.book,
        subscription=opening.subscription,
        settlement=opening,
        usage={},
        full_period=Period(opening.full_starts_at, opening.full_ends_at),
        until=now,
        pays=pays,
    )
    return calculation.run(changed(advance.of_opening(loaded), credits_owed=owed))


def _bill(opening: Settlement, draft: Calculation, part: Period, now: datetime) -> None:
    """Write a priced opening and its invoice, which is numbered last."""
    book = opening.book
    opening.save(force_insert=True)
    settlement_writing.settle(book=book, settlement=opening, draft=draft, now=now, next_period=part)
    if opening.billing_mode != BillingMode.PREPAID and draft.lines:
        invoices.draft_invoice(
            customer=opening.subscription.customer, settlement=opening, draft=draft, ahead=part
        )
    numbering.later(book_id=book.pk, now=now)


def start_if_paid(*, book: Book, subscription: Subscription, now: datetime) -> bool:
    """Bill the fees in advance of the open cycle, and issue its credits; return whether the
    subscription runs.

    PREPAID credits that do not cover the fees leave it waiting: CREATED before its first cycle,
    SUSPENDED later, with nothing owed (docs/decisions.md#d28). The book must be locked.
    """
    if subscription.status == SubscriptionStatus.TRIALING:
        _give_first(book, subscription)
        return True
    is_renewal = subscription.status == SubscriptionStatus.SUSPENDED
    starts_at = max(now, subscription.current_starts_at) if is_renewal else subscription.starts_at
    is_paid = open_cycle(
        book=book,
        subscription=subscription,
        part=periods.Period(starts_at, subscription.current_ends_at),
        full=cycles.full_period(subscription),
        now=now,
    )
    waiting = SubscriptionStatus.SUSPENDED if is_renewal else SubscriptionStatus.CREATED
    status = SubscriptionStatus.ACTIVE if is_paid else waiting
    if (subscription.status, subscription.is_fee_due) != (status, not is_paid):
        subscription.is_fee_due = not is_paid
        subscription.save(update_fields=["is_fee_due"])
        moves.move(book=book, subscription=subscription, to=status, at=now)
    if is_paid and is_renewal:
        plan_credits.issue_plan_credits(book=book, subscription=subscription, at=starts_at)
    elif is_paid:
        _give_first(book, subscription)
    return is_paid


def _give_first(book: Book, subscription: Subscription) -> None:
    plan_credits.issue_plan_credits(book=book, subscription=subscription, at=subscription.starts_at)
    subscriber_grants.grant_to_subscriber(book=book, subscription=subscription)
