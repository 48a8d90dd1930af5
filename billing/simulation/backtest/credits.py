"""Credits of a backtest: the lots that a cycle had, and those that the version would have granted.

What a cycle had of a lot is what its settlement left of it, what the cycle burned, and what lapsed
within it. What the version would have burned more, or less, in earlier cycles is subtracted, or
added. A prepaid customer is assumed to pay its arrears: nobody is suspended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from aforo.ids import new_id
from aforo.money import ZERO
from aforo.periods import Period, days_after
from billing.calculation import proration
from billing.calculation.calculation import Calculation, Consideration
from billing.customers.customers import zone_of
from billing.models import Settlement, Subscription
from billing.settlement import coupon_terms, load
from billing.settlement.coupon_terms import Coupons
from billing.subscriptions import plan_credits
from pricing import catalogue
from pricing.models import GrantRecurrence, GrantTemplate, RatePlanVersion
from pricing.terms import parse_rollover, rolled_parts
from wallets.lots import queries
from wallets.lots.waterfall import Lot
from wallets.models import CreditLot

_FOUND = """
    SELECT settlement.id, lot.id, after.balance_after - after.held_after
        + coalesce(burned.quantity, 0) + coalesce(lapsed.quantity, 0), coalesce(burned.quantity, 0)
    FROM billing_settlement AS settlement
    JOIN ledger_entry AS entry ON entry.id = settlement.entry_id
    JOIN wallets_creditlot AS lot ON lot.book_id = settlement.book_id
    JOIN LATERAL (
        SELECT movement.balance_after, movement.held_after
        FROM wallets_movement AS movement JOIN ledger_entry AS moved ON moved.id = movement.entry_id
        WHERE movement.lot_id = lot.id AND (moved.sequence <= entry.sequence
            -- Fees in advance are an entry of their own, right after it.
            OR moved.sequence = entry.sequence + 1
            AND moved.document->>'settlement' = settlement.id::text)
        ORDER BY moved.sequence DESC, movement.position DESC LIMIT 1
    ) AS after ON true
    LEFT JOIN billing_cycleburn AS burned ON burned.lot_id = lot.id
        AND burned.subscription_id = settlement.subscription_id
        AND burned.cycle = settlement.cycle AND burned.kind = settlement.kind
    LEFT JOIN LATERAL (
        SELECT sum(movement.quantity) AS quantity FROM wallets_movement AS movement
        WHERE movement.lot_id = lot.id AND movement.kind = 'EXPIRE'
            AND lot.expires_at > settlement.starts_at AND lot.expires_at < settlement.counted_until
    ) AS lapsed ON true
    WHERE settlement.id = ANY(%s)
        AND (after.balance_after > 0 OR burned.quantity > 0 OR lapsed.quantity > 0)
    ORDER BY settlement.id, lot.granted_at, lot.id
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The quantity of a lot that a cycle could burn, and what it burned."""

    lot: CreditLot
    available: Decimal
    burned: Decimal


@dataclass(frozen=True, slots=True)
class OfferedLot:
    """The quantity of a lot that is offered to a cycle; `metric` is empty for money.

    A lot that is not alive any more when the cycle is settled pays for the usage of its lifetime.
    """

    lot: Lot
    metric: str
    currency: str
    is_alive: bool
    consideration: Consideration | None = None


@dataclass(frozen=True, slots=True)
class PlanLot:
    """A lot that the version would have granted; `metric` is empty for money."""

    lot: Lot
    metric: str
    template: GrantTemplate
    rolled: int = 0


@dataclass(slots=True)
class Credits:
    """The credits of one book through its cycles; money credits only where `with_money` is set."""

    version: RatePlanVersion
    templates: Sequence[GrantTemplate]
    with_money: bool
    begun: dict[UUID, datetime] = field(default_factory=dict)
    """When the first cycle of each subscription began: from there on the version grants."""
    more: defaultdict[UUID, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """What the version has burned of each lot beyond what was really burned."""
    granted: defaultdict[UUID, list[PlanLot]] = field(default_factory=lambda: defaultdict(list))
    periods: dict[UUID, int] = field(default_factory=dict)
    """The period of each subscription in which the version granted last: a pause parts none."""
    known: dict[UUID, CreditLot] = field(default_factory=dict)
    rolled_in: dict[UUID, dict[str, list[Decimal]]] = field(default_factory=dict)
    """Included quantity that the version would have rolled into each subscription's next cycle."""
    coupons: dict[UUID, Coupons] = field(default_factory=dict)
    """The coupons of each subscription, with what they would have taken off."""

    def coupons_of(self, settlement: Settlement) -> Coupons:
        """Return the coupons for a cycle, as the cycles before it left them on the version."""
        subscription = settlement.subscription
        if subscription.pk not in self.coupons:
            found = coupon_terms.read(subscription)
            self.coupons[subscription.pk] = found.before(
                coupon_terms.period_of(subscription, settlement)
            )
        return self.coupons[subscription.pk]

    def complete(self, settlement: Settlement, found: Iterable[Found]) -> list[Found]:
        """Add the lots that were spent by then and would not have been on the version."""
        whole = {each.lot.id: each for each in found}
        self.known |= {lot_id: each.lot for lot_id, each in whole.items()}
        for lot_id, lot in self.known.items():
            is_over = lot.expires_at is not None and lot.expires_at <= settlement.starts_at
            if self.more[lot_id] < 0 and not is_over:
                whole.setdefault(lot_id, Found(lot, ZERO, ZERO))
        return sorted(whole.values(), key=lambda each: (each.lot.granted_at, each.lot.id))

    def open_with(self, settlement: Settlement, found: Iterable[Found]) -> list[OfferedLot]:
        """Return the lots that fees in advance can burn when a cycle begins, before its grants."""
        at = settlement.starts_at
        self.begun.setdefault(settlement.subscription_id, at)
        really = (each for each in found if queries.is_alive(each.lot, at))
        offered = [
            replace(self._really(each, at), is_alive=True)
            for each in really
            if not self._is_replaced(each.lot)
        ]
        return [each for each in offered if each.metric or self.with_money]

    def offer(self, settlement: Settlement, found: Iterable[Found]) -> list[OfferedLot]:
        """Return the lots that a cycle would have had, oldest first."""
        subscription, ends_at = settlement.subscription, settlement.counted_until
        self.begun.setdefault(subscription.pk, settlement.starts_at)
        self._grant(subscription, settlement)
        currency = self.version.plan.currency
        offered = [self._really(each, ends_at) for each in found if not self._is_replaced(each.lot)]
        offered += [
            OfferedLot(
                mine.lot,
                mine.metric,
                currency,
                is_alive=_lives(mine, settlement.ends_at),
                consideration=None if mine.metric else self._of_fee(mine.lot.available),
            )
            for mine in self.granted[subscription.pk]
        ]
        return [each for each in offered if each.metric or self.with_money]

    def _really(self, found: Found, ends_at: datetime) -> OfferedLot:
        lot = found.lot
        available = min(max(ZERO, found.available - self.more[lot.id]), lot.face)
        return OfferedLot(
            lot=replace(queries.seen_by_waterfall(lot), available=available),
            metric=lot.unit_wallet.metric.code if lot.unit_wallet else "",
            currency=lot.counted_in,
            is_alive=load.pays_for_cycle(lot, ends_at),
            consideration=Consideration(lot.carrying, lot.face, available, lot.taxed_at_sale)
            if lot.carrying
            else None,
        )

    def _of_fee(self, quantity: Decimal) -> Consideration | None:
        """Return that the fees of a version have been taxed, where they buy its credits."""
        if not catalogue.bills_in_advance(self.version):
            return None
        return Consideration(quantity, quantity, quantity, taxed_at_sale=True)

    def take(self, run: Calculation, found: Iterable[Found], *, really: bool = True) -> None:
        """Record what a run would have burned of the lots; `really` if the cycle itself burned
        them.
        """
        burned = burns_of(run)
        for each in found:
            if self.with_money or each.lot.unit_wallet_id is not None:
                self.more[each.lot.id] += burned.get(each.lot.id, ZERO)
                self.more[each.lot.id] -= each.burned if really else ZERO

    def end(self, run: Calculation, settlement: Settlement) -> None:
        """Lapse or roll over the version's lots at a cycle's end, less what it burned of them."""
        burned = burns_of(run)
        left = [
            _with(mine, mine.lot.available - burned.get(mine.lot.id, ZERO))
            for mine in self.granted[settlement.subscription_id]
        ]
        self.granted[settlement.subscription_id] = _after(left, settlement.ends_at)

    def _is_replaced(self, lot: CreditLot) -> bool:
        """Return whether the plan granted a lot in a cycle in which the version grants its own."""
        begun = self.begun.get(lot.subscription_id) if lot.subscription_id else None
        return begun is not None and lot.granted_at >= begun

    def _grant(self, subscription: Subscription, settlement: Settlement) -> None:
        """Add the version's grants of a cycle, and extend the lots that rolled to its end."""
        at, ends_at = settlement.starts_at, settlement.full_ends_at
        mine = [
            replace(each, lot=replace(each.lot, expires_at=ends_at)) if each.rolled else each
            for each in self.granted[subscription.pk]
        ]
        is_new = self.periods.get(subscription.pk) != settlement.period_number
        self.periods[subscription.pk] = settlement.period_number
        part = Period(at, ends_at)
        share = proration.share_of(part, Period(settlement.full_starts_at, ends_at))
        is_past = ends_at <= subscription.subscribed_at
        for template in self.templates if is_new else ():
            if (
                settlement.cycle == 0
                if template.recurrence == GrantRecurrence.ONCE
                else not is_past
            ):
                quantity = plan_credits.granted_quantity(
                    template, share, self.version.plan.currency
                )
                expires_at = None
                if template.expires_after_days is not None:
                    zone = zone_of(subscription.customer)
                    expires_at = days_after(at, template.expires_after_days, zone)
                elif template.expires_at_cycle_end:
                    expires_at = ends_at
                lot = Lot(new_id(), template.kind, quantity, template.priority,
                          expires_at, at, at)  # fmt: skip
                metric = template.metric.code if template.metric else ""
                if quantity > 0:
                    mine.append(PlanLot(lot, metric, template))
        self.granted[subscription.pk] = mine


def burns_of(run: Calculation) -> dict[UUID, Decimal]:
    """Return what a run burns of each lot."""
    burns = [*run.money_burns, *(b for burned in run.unit_burns.values() for b in burned)]
    return {burn.lot: burn.quantity for burn in burns}


def _lives(mine: PlanLot, ends_at: datetime) -> bool:
    return mine.lot.expires_at is None or mine.lot.expires_at >= ends_at


def _with(mine: PlanLot, available: Decimal) -> PlanLot:
    return replace(mine, lot=replace(mine.lot, available=available))


def _after(lots: Iterable[PlanLot], ends_at: datetime) -> list[PlanLot]:
    """Return the lots for the next cycle: all that live on, and of those that lapse as the cycle
    ends the part that rolls over, grant by grant.
    """
    kept: list[PlanLot] = []
    lapsing: dict[str, list[PlanLot]] = {}
    for mine in lots:
        if mine.lot.available > 0 and mine.lot.expires_at == ends_at:
            lapsing.setdefault(mine.template.code, []).append(mine)
        elif mine.lot.available > 0 and _lives(mine, ends_at):
            kept.append(mine)
    for of_grant in lapsing.values():
        kept += _rolled(of_grant)
    return kept


def _rolled(of_grant: Sequence[PlanLot]) -> list[PlanLot]:
    """Return the part of one grant's lots that rolls over; the template's rule applies to their
    sum.
    """
    template = of_grant[0].template
    if template.rollover is None:
        return []
    rule = parse_rollover(template.rollover)
    able = [mine for mine in of_grant if rule.cycles is None or mine.rolled < rule.cycles]
    able.sort(key=lambda mine: mine.lot.granted_at, reverse=True)
    shares = rolled_parts(rule, [(ZERO, mine.lot.available) for mine in able])
    return [
        replace(_with(mine, free), rolled=mine.rolled + 1)
        for mine, (_, free) in zip(able, shares, strict=True)
        if free > 0
    ]


def found_by(settlements: Sequence[Settlement]) -> Mapping[UUID, list[Found]]:
    """Return the lots that settled cycles had, in two queries for all of them."""
    with connection.cursor() as cursor:
        cursor.execute(_FOUND, [[settlement.pk for settlement in settlements]])
        rows = cursor.fetchall()
    lots = CreditLot.objects.select_related("unit_wallet__metric").in_bulk({row[1] for row in rows})
    found: defaultdict[UUID, list[Found]] = defaultdict(list)
    for settlement_id, lot_id, available, burned in rows:
        found[settlement_id].append(Found(lots[lot_id], available, burned))
    return found
