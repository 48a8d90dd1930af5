"""Checks: whether a debit or usage would be covered, by what, and what would refuse it. Nothing is
written and no lock is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aforo import money
from aforo.database.snapshot import snapshot
from aforo.money import ZERO
from aforo.sandbox.services import now_for
from billing.cycle_end import renewal
from billing.models import SubscriptionStatus
from billing.realtime import marginal_price
from billing.realtime.usage_budgets import Use
from billing.realtime.usage_pricing import UsagePricing
from billing.realtime.usage_requests import NoSubscription, UsageRequest
from billing.settlement import cycle_burns
from ledger.entries import books
from ledger.models import Book
from wallets.debits import checks
from wallets.debits.checks import Check
from wallets.debits.engine import DebitRequest
from wallets.operations.responses import allocated


@dataclass(frozen=True, slots=True)
class Quota:
    """Whether a quantity of usage would be taken, else why not; and how much of the metric is left,
    of what its hard cap allows or else in unit credits, None where neither bounds it.
    """

    is_allowed: bool
    remaining: Decimal | None
    reason: str


def check(*, livemode: bool, ask: DebitRequest | UsageRequest) -> dict[str, object]:
    """Return whether a request would be covered now, and what would pay it.

    A cycle that is over is renewed first, as by any read of the wallet. Raises: UnknownCustomer,
    NoSubscription, Invalid.
    """
    book = _renewed(livemode=livemode, customer_id=ask.customer_id)
    with snapshot():
        if isinstance(ask, DebitRequest):
            return checks.check_debit(ask, book).answer()
        return _check_usage(ask, book).answer()


def quota(*, livemode: bool, customer_id: str, metric: str, quantity: Decimal) -> Quota:
    """Return whether so much of a metric may be used now: as usage where a subscription prices it,
    else from unit credits.

    Raises: UnknownCustomer, Invalid (`unknown_metric`).
    """
    book = _renewed(livemode=livemode, customer_id=customer_id)
    usage = UsageRequest(customer_id=customer_id, key="", metric=metric, quantity=quantity)
    units = DebitRequest(customer_id, "", metric=metric, quantity=quantity)
    with snapshot():
        try:
            checked = _check_usage(usage, book)
        except NoSubscription:
            checked = checks.check_debit(units, book)
        reason = checked.refusals[0].code if checked.refusals else ""
        return Quota(not reason, _remaining(checked, book, metric), reason)


def _renewed(*, livemode: bool, customer_id: str) -> Book:
    """Return a customer's book, with its cycles as far as they are.

    Raises: UnknownCustomer.
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    renewal.renew_if_due(book=book, now=now_for(book))
    return book


@money.exact
def _check_usage(ask: UsageRequest, book: Book) -> Check:
    """Check whether usage would be taken, and what would pay it.

    Raises: NoSubscription, Invalid.
    """
    opened = Check.open(ask, book, UsagePricing)
    usage = opened.batch.pricing
    assert isinstance(usage, UsagePricing), "it was opened with it"
    opened.is_behind = opened.is_behind or usage.is_behind(book.pk)

    def take() -> Mapping[str, object]:
        with usage.unless_refused(book, ask):
            return _taken(usage, book, ask)

    def reopen() -> None:
        for cycle in usage.cycles.by_book[book.pk]:
            if cycle.subscription.status in {
                SubscriptionStatus.SUSPENDED,
                SubscriptionStatus.PAUSED,
            }:
                cycle.subscription.status = SubscriptionStatus.ACTIVE

    opened.decide(take, reopen)
    return opened


def _taken(usage: UsagePricing, book: Book, ask: UsageRequest) -> dict[str, object]:
    """Return what usage would burn now, and what no credit covers.

    Raises: what `usage_calls.execute` raises.
    """
    cycle, metric = marginal_price.cycle_for(usage, book, ask.metric)
    marginal_price.check_open(cycle.subscription)
    event = marginal_price.event_of(usage, book, cycle, metric, ask, ask.key)
    before = marginal_price.without(usage, book, cycle)
    after = marginal_price.with_event(usage, book, cycle, event, before=before)
    lots, parts = usage.lots[book.pk], cycle_burns.increases(after, cycle.burns)
    overage = max(after.to_invoice - before.to_invoice, ZERO)
    amount = overage + sum((p for lot, p in parts.items() if lots[lot].wallet_id is not None), ZERO)
    use = Use(metric, after.currency, event.properties, event.quantity, amount)
    usage.batch.budgets.take(book, use.need)
    return {
        "allocations": [
            {
                **allocated(lots[lot], part),
                "balance_after": lots[lot].available - part,
                **lots[lot].unit,
            }
            for lot, part in parts.items()
        ],
        "overage": overage,
    }


def _remaining(checked: Check, book: Book, code: str) -> Decimal | None:
    """Return what is left of a metric, before what is asked; where it has a price and no units are
    left, money pays, which bounds no quantity.
    """
    units = checked.batch.units.get((book.pk, code))
    left = ZERO if units is None else units.available if units.before is None else units.before
    usage = checked.batch.pricing
    if not isinstance(usage, UsagePricing):
        return left
    cycle, metric = marginal_price.cycle_for(usage, book, code)
    cap = marginal_price.hard_cap(cycle, metric)
    if cap is not None:
        return max(cap - cycle.used_in_all(metric), ZERO)
    return left or None
