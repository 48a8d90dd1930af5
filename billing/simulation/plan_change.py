"""Preview of a change of plan: moving subscriptions to another offering or version; nothing is
written.

A move at T settles [start, T) on the old version and opens [T, end) on the new one, the anchor
kept; both sides are prorated by time (docs/decisions.md#d37). Credits keep their terms, and the new
plan grants its excess over the old one, for the time that is left.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from aforo import money, periods
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from aforo.periods import Interval, Period
from aforo.sandbox.services import now_for
from billing import calculation
from billing.calculation import advance, proration
from billing.calculation.calculation import Calculation, Consideration
from billing.calculation.proration import PeriodShare
from billing.lifecycle import plan_changes
from billing.lifecycle.plan_changes import PlanTarget
from billing.models import Settlement, Subscription, SubscriptionStatus
from billing.settlement import cycle_burns, load
from billing.subscriptions import cycles, stub_grants
from billing.subscriptions.stub_grants import Added
from billing.usage import aggregates as usages
from pricing import catalogue
from pricing.models import Offering, RatePlanVersion
from pricing.plans import plans
from wallets.lots import queries
from wallets.lots.waterfall import Lot
from wallets.models import CreditLot


@dataclass(frozen=True, slots=True)
class Move:
    """Both sides of a move, run through the stages."""

    subscription: Subscription
    target: PlanTarget
    at: datetime
    closing: Calculation
    opening: Calculation
    spent: Mapping[UUID, Decimal]
    """What closing burns of each lot beyond what the cycle has burned before."""
    added: tuple[Added, ...]
    carried: tuple[CreditLot, ...]


def target_from(
    *, livemode: bool, offering: Offering, to_offering: str | None, to_version: int | None
) -> PlanTarget:
    """Return the target of all subscriptions of an offering: another one, or another version.

    Raises: Invalid when neither is named or the offering is unknown, UnknownRatePlan, NotPublished.
    """
    if to_offering is None and to_version is None:
        detail = "Give to_offering or to_version."
        raise Invalid([FieldError("/to_offering", "required", detail)])
    if to_offering is None:
        code = offering.plan.code
        named = plans.get_version(livemode=livemode, code=code, number=to_version)
        return PlanTarget(offering, named)
    pointer = "/to_offering"
    to = catalogue.find_offering(livemode=livemode, code=to_offering, pointer=pointer)
    return plan_changes.target_of(
        livemode=livemode, offering=to, version=to_version, pointer=pointer
    )


@money.exact
def preview_move(*, subscription: Subscription, target: PlanTarget) -> Move:
    """Run both sides of a move at the customer's now. Reads without a lock: it is a forecast.

    Raises: CannotMove, MetricAlreadySubscribed, Invalid for another currency.
    """
    book = subscription.customer.book
    now = now_for(book)
    plan_changes.check(subscription, target, now)
    closing = _closing(subscription, now)
    spent = _spent(subscription, closing)
    moved = _moved(subscription, target, now)
    left = {*stub_grants.versions_left(subscription), subscription.version_id}
    added = tuple(stub_grants.added(moved, left=left, remaining=_rest(moved)))
    alive = [lot for lot in queries.open_lots([book.pk]) if queries.is_alive(lot, now)]
    return Move(
        subscription=subscription,
        target=target,
        at=now,
        closing=closing,
        opening=_opening(moved, spent, added),
        spent=spent,
        added=added,
        carried=tuple(alive),
    )


def _closing(subscription: Subscription, now: datetime) -> Calculation:
    """Settle the open cycle up to now, on the version that it runs on."""
    part = Period(subscription.current_starts_at, now)
    cycle = _cycle(subscription, part)
    # As a cycle that is cut short, it has what was used at this very moment.
    cycle.counted_until += cycles.MOMENT
    draft = load.load(
        book=subscription.customer.book,
        subscription=subscription,
        settlement=cycle,
        usage=usages.read_usage(settlement=cycle),
        full_period=cycles.full_period(subscription),
    )
    full = cycles.full_period(subscription)
    # The next cycle begins on the new version, which bills its own fees in advance.
    return calculation.run(advance.of_cycle(_timed(draft, part, full), ()))


def _spent(subscription: Subscription, closing: Calculation) -> dict[UUID, Decimal]:
    before = cycle_burns.by_lot(settlement=_cycle(subscription, closing.period))
    after = cycle_burns.targets(closing)
    return {
        lot: (after[lot].quantity if lot in after else ZERO)
        - (before[lot].quantity if lot in before else ZERO)
        for lot in {*before, *after}
    }


def _cycle(subscription: Subscription, part: Period) -> Settlement:
    """Return an unsaved stand-in for the settlement of a part of a cycle."""
    return Settlement(
        subscription=subscription,
        book_id=subscription.customer_id,
        cycle=subscription.cycle,
        starts_at=part.starts_at,
        ends_at=part.ends_at,
        period_number=subscription.period_number,
        counted_from=subscription.counted_from,
        counted_until=max(part.ends_at, subscription.counted_from),
        currency=subscription.version.plan.currency,
    )


def _timed(draft: Calculation, part: Period, full: Period) -> Calculation:
    share = proration.share_of(part, full)
    return replace(draft, served=share.served, of_full=share.of_full, included_for=share.served)


def _moved(subscription: Subscription, target: PlanTarget, now: datetime) -> Subscription:
    """Return a copy of the subscription after the move; a running trial continues to its end."""
    moved = copy.copy(subscription)
    moved.offering, moved.version = target.offering, target.version
    moved.billing_mode = target.offering.billing_mode
    moved.current_starts_at = now
    if not _is_trial(subscription):
        moved.cycle += 1
        moved.current_ends_at = _full_period(moved, now).ends_at
    return moved


def _is_trial(subscription: Subscription) -> bool:
    return subscription.period_number < 0


def _full_period(moved: Subscription, now: datetime) -> Period:
    """Return the period of the new interval that contains now, from the anchor, which does not
    change.
    """
    if _is_trial(moved):
        return cycles.full_period(moved)
    interval, count = Interval(moved.offering.interval), moved.offering.interval_count
    zone = ZoneInfo(moved.timezone)
    anchor = datetime.combine(moved.anchor_date, moved.anchor_time)
    index = periods.index_at(anchor, zone, interval, count, now)
    return periods.period(anchor, zone, interval, count, index)


def _rest(moved: Subscription) -> PeriodShare:
    """Return the share of the new period that is left."""
    part = Period(moved.current_starts_at, moved.current_ends_at)
    return proration.share_of(part, _full_period(moved, moved.current_starts_at))


def _opening(
    moved: Subscription, spent: Mapping[UUID, Decimal], added: Sequence[Added]
) -> Calculation:
    """Price the rest of the period on the new version as if nothing more were used.

    It owes its fees and its minimum; its credits are what closing leaves, and those added.
    """
    part = Period(moved.current_starts_at, moved.current_ends_at)
    full = _full_period(moved, part.starts_at)
    draft = load.load(
        book=moved.customer.book,
        subscription=moved,
        settlement=_cycle(moved, part),
        usage={},
        full_period=full,
    )
    left = tuple(
        replace(lot, available=lot.available - spent.get(lot.id, ZERO)) for lot in draft.money_lots
    )
    new = _new_money(added, moved)
    offered = replace(
        draft,
        money_lots=(*left, *new),
        considerations={**draft.considerations, **_of_fee(new, moved.version)},
    )
    return calculation.run(proration.prorate(_timed(offered, part, full)))


def _new_money(added: Sequence[Added], moved: Subscription) -> tuple[Lot, ...]:
    at = moved.current_starts_at
    return tuple(
        Lot(UUID(int=number), each.template.kind, each.quantity, each.template.priority,
            each.expires_at, at, at)
        for number, each in enumerate(added)
        if each.template.metric_id is None
    )  # fmt: skip


def _of_fee(lots: Sequence[Lot], version: RatePlanVersion) -> dict[UUID, Consideration]:
    """Return that the fees of a version have been taxed, where they buy its credits."""
    if not catalogue.bills_in_advance(version):
        return {}
    return {
        lot.id: Consideration(lot.available, lot.available, lot.available, taxed_at_sale=True)
        for lot in lots
    }


def movable(*, livemode: bool, offering: Offering) -> QuerySet[Subscription]:
    """Return the subscriptions of an offering that are not cancelled, oldest first by id."""
    found = Subscription.objects.filter(customer__book__livemode=livemode, offering=offering)
    return (
        found.exclude(status=SubscriptionStatus.CANCELLED)
        .select_related("customer__book__test_clock", "offering", "version__plan")
        .order_by("pk")
    )
