"""The next cycle: it begins when its predecessor ends, settled or not, so that a customer is never
without the plan's credits; the old cycle is settled later, from the lots that lived through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from aforo.money import ZERO, plain
from aforo.periods import Period
from billing import calculation
from billing.calculation import advance
from billing.calculation.calculation import Calculation
from billing.invoicing import numbering
from billing.models import Settlement, Subscription, SubscriptionStatus
from billing.month_ends import month_end
from billing.settlement import advance_billing, cycle_sealing, load, usage_burn
from billing.subscriptions import (
    advance_fees,
    cycles,
    moves,
    plan_credits,
    plan_terms,
    spend_rules,
    states,
)
from ledger.entries import books
from ledger.models import Book
from pricing import catalogue
from pricing.models import BillingMode, ChargeTiming
from pricing.terms import IncludedQuota, RolloverMode, rolled_generations
from wallets.grants import expiry, rollover
from wallets.holds import reservations


def ends_with(current: Subscription, ends_at: datetime) -> bool:
    """Return whether a cycle is the last one, or the last before a pause."""
    return current.paused_at == ends_at or (
        current.cancel_at is not None and current.cancel_at <= ends_at
    )


def divides_period(current: Subscription, ended: Settlement) -> bool:
    """Return whether a cycle is followed by the rest of its own period, on another plan."""
    return ended.ends_at < ended.full_ends_at and not ends_with(current, ended.ends_at)


def begin_rest(*, book: Book, subscription: Subscription, at: datetime) -> None:
    """Begin the rest of a period on another plan: the lots keep their terms, nothing rolls over,
    and who asked for the change bills the fees and issues the credits. The book must be locked.
    """
    plan_terms.take(
        book=book,
        subscription=subscription,
        at=at,
        within_period=plan_credits.grant_period(subscription),
    )
    cycles.open_rest(subscription=subscription, at=at)
    spend_rules.refresh_rules(book=book)
    advance_fees.recognise_fees(book=book, until=at)


def begin(*, subscription: Subscription, now: datetime) -> bool:
    """Begin the cycle after the open one, which is over and is settled later; return whether this
    call did it.

    The old cycle's usage received so far is burned first where something depends on what it leaves:
    lots or included quantity that roll over, and fees in advance. With grace, usage received by the
    cycle's end counts there, so that it does not matter when this runs. Takes its own locks.
    """
    is_closed = subscription.version.grace_hours == 0
    settlement = cycle_sealing.seal(subscription, now, closes=is_closed)
    if settlement is None:
        return False
    ended, counted = settlement.subscription, usage_burn.NOTHING
    month_end.bring_up(book_id=ended.customer_id, before=settlement.ends_at)
    is_priced = _leaves_something(ended)
    if is_priced:
        limit = settlement.ends_at
        counted = usage_burn.count_ahead(book_id=ended.customer_id, limit=limit)
        counted = {**counted, **usage_burn.count_ended(subscription=ended, is_closed=is_closed)}
    with transaction.atomic():
        book = books.lock_book(book_id=ended.customer_id)
        current = Subscription.objects.select_related(
            "customer__book", "version__plan", "offering"
        ).get(pk=ended.pk)
        is_open = current.cycle == settlement.cycle and current.status in states.RUNNING
        if not is_open:
            return False
        if is_priced:
            _burn(book, current, settlement, counted)
        if ends_with(current, settlement.ends_at):
            _end(book, current, at=settlement.ends_at)
        else:
            _follow(book, current, at=settlement.ends_at, now=now)
    numbering.number(book_id=book.pk, now=now)
    return True


def _leaves_something(ended: Subscription) -> bool:
    """Return whether the next cycle depends on what its predecessor's usage leaves."""
    at = ended.current_ends_at
    if ends_with(ended, at):
        return False
    rolling = plan_credits.plan_lots(ended).filter(
        remaining__gt=0, expires_at=at, rollover__isnull=False
    )
    charges = catalogue.charges_of(ended.version)
    following = catalogue.charges_of(plan_terms.following(ended).version)
    return (
        any(charge.timing == ChargeTiming.ADVANCE for charge in following)
        or any(
            isinstance(charge.terms, IncludedQuota)
            and charge.terms.rollover.mode != RolloverMode.NONE
            for charge in charges
        )
        or rolling.exists()
    )


def _burn(
    book: Book, current: Subscription, settlement: Settlement, counted: usage_burn.Counted
) -> None:
    """Burn the old cycle's usage from the lots that lived through it, those that lapsed within it
    first, and record which included quantity rolls over.
    """
    at = settlement.ends_at
    if expiry.is_anything_due(book_id=book.pk, until=at):
        usage_burn.lapse_through(book=book, limit=at - usage_burn.MICROSECOND, counted=counted)
        reservations.release_due(book=book, until=at)
    is_closed = current.usage_closed_through >= at
    draft = usage_burn.burn_ended(
        book=book, subscription=current, is_closed=is_closed, counted=counted
    )
    came = load.rolled_generations(current, settlement.cycle)
    loaded = load.load(
        book=book,
        subscription=current,
        settlement=settlement,
        usage=draft.usage,
        full_period=Period(settlement.full_starts_at, settlement.full_ends_at),
    )
    whole = calculation.run(advance.of_cycle(replace(loaded, overages=()), ()))
    settlement.rolled_on = {
        code: [plain(quantity) for quantity in rolled]
        for code, rolled in rolled_on(came=came, draft=whole).items()
    }
    settlement.save(update_fields=["rolled_on"])
    if draft.arrears > 0 and current.status == SubscriptionStatus.ACTIVE:
        moves.move(book=book, subscription=current, to=SubscriptionStatus.SUSPENDED, at=at)


def _follow(book: Book, current: Subscription, *, at: datetime, now: datetime) -> None:
    """Open the next cycle: lots roll into it, its fees in advance are billed, its credits are
    issued.
    """
    was = current.status
    plan_terms.take(book=book, subscription=current, at=at)
    cycles.open_next_cycle(current)
    moves.record(book=book, subscription=current, was=was, at=at)
    _begin_paid(book, current, at=at, is_paid=_pay_ahead(book, current, at=at, now=now))
    advance_fees.recognise_fees(book=book, until=at)
    rollover.roll_over(
        book=book,
        lots=plan_credits.plan_lots(current),
        at=at,
        until=current.current_ends_at,
    )
    plan_credits.issue_plan_credits(book=book, subscription=current, at=at)


def _begin_paid(book: Book, current: Subscription, *, at: datetime, is_paid: bool) -> None:
    """Suspend for fees that are not covered; once they are, a subscription that waited for them
    runs again.
    """
    was = current.status
    if not is_paid and was == SubscriptionStatus.ACTIVE:
        current.status = SubscriptionStatus.SUSPENDED
    elif is_paid and current.is_fee_due and not spend_rules.owes(current):
        current.status = SubscriptionStatus.ACTIVE
    current.is_fee_due = not is_paid
    current.save(update_fields=["status", "is_fee_due"])
    moves.record(book=book, subscription=current, was=was, at=at)
    spend_rules.refresh_rules(book=book)


def _pay_ahead(book: Book, current: Subscription, *, at: datetime, now: datetime) -> bool:
    """Bill the fees in advance of the cycle that begins, from the lots that pay for the one before
    it, as its settlement would; return whether they are paid or on an invoice.

    A customer who is suspended for its usage is not served, and pays nothing ahead.
    """
    has_fees = current.version.charges.filter(timing=ChargeTiming.ADVANCE).exists()
    is_owing = current.status == SubscriptionStatus.SUSPENDED and not current.is_fee_due
    if has_fees and is_owing and current.billing_mode == BillingMode.PREPAID:
        return False
    return advance_billing.open_cycle(
        book=book,
        subscription=current,
        part=Period(at, current.current_ends_at),
        full=cycles.full_period(current),
        now=at,
        pays=lambda lot: lot.effective_at <= now and load.pays_for_cycle(lot, at),
    )


def _end(book: Book, current: Subscription, *, at: datetime) -> None:
    """End a subscription whose last cycle waits to be settled: from now on the customer's wallets
    are as without it, and its credits pay for that cycle only.
    """
    current.cancelled_at = at
    current.save(update_fields=["cancelled_at"])
    moves.move(book=book, subscription=current, to=SubscriptionStatus.CANCELLED, at=at)
    advance_fees.end_fees(book=book, subscription=current, at=at)
    expiry.end_lots(book=book, lots=plan_credits.plan_lots(current), at=at, lapses=False)


def rolled_on(*, came: Mapping[str, list[Decimal]], draft: Calculation) -> dict[str, list[Decimal]]:
    """Return the included quantity that rolls into the next cycle, by charge: of the cycle's own
    and of what `came` into it.
    """
    taken = {}
    for demand in draft.demands:
        code, terms = demand.charge.code, demand.charge.terms
        if isinstance(terms, IncludedQuota):
            rolled = came.get(code, [])
            taken[code] = rolled_generations(
                terms.rollover,
                own=draft.quotas.get(code, ZERO) - sum(rolled, ZERO),
                rolled=rolled,
                used=demand.included,
            )
    return {code: rolled for code, rolled in taken.items() if rolled}
