"""The coupons of a document: which of a subscription's still count in its paid period, and how much
of a fixed one is left.

A coupon counts in as many paid periods as it says, and only one in which it takes something off
uses it up: neither an empty or paused period nor the trial does, nor the parts that a pause makes
of a period. The first document is an opening, or a trial's end, where fees are billed in advance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from aforo.database.together import AnyPart, Columns, Part, select_together
from aforo.money import ZERO
from aforo.periods import Period
from billing.calculation.calculation import CouponDiscount, CouponTerms
from billing.models import (
    Settlement,
    SettlementKind,
    SettlementStatus,
    Subscription,
    SubscriptionCoupon,
)
from pricing import catalogue
from pricing.models import Coupon, CouponType

# What the documents of subscriptions took off, or may take off when they are settled.
_USED = (
    ("u.subscription_id", "uuid"),
    ("u.id", "uuid"),
    ("u.kind", "text"),
    ("u.period_number", "integer"),
    ("u.status", "text"),
    ("u.totals->>'coupons'", "text"),
    ("u.totals->>'discount'", "text"),
)
# Only where a coupon depends on it.
_USED_BY = """FROM billing_settlement AS u
    JOIN billing_subscription AS s ON s.id = u.subscription_id
    WHERE (u.status = 'SEALED' OR u.status = 'SETTLED' AND (u.totals->>'discount')::numeric > 0)
        AND EXISTS (
            SELECT FROM billing_subscriptioncoupon AS c JOIN pricing_coupon AS p
                ON p.id = c.coupon_id
            WHERE c.subscription_id = s.id AND (p.type = 'FIXED' OR p.duration <> 'FOREVER')
        ) AND"""
_OF_SUBSCRIPTION = "JOIN billing_subscription AS s ON s.id = t.subscription_id"
# Once, however many of them have it.
_OF_COUPON = """WHERE t.id IN (
    SELECT c.coupon_id FROM billing_subscriptioncoupon AS c
    JOIN billing_subscription AS s ON s.id = c.subscription_id"""


@dataclass(frozen=True, slots=True)
class Used:
    """What one document took off by coupon; nothing yet where it waits to be settled."""

    settlement: UUID
    period: int
    amounts: dict[str, Decimal]
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Document:
    """What a document is to coupons: the paid period that it counts in, and where that begins."""

    settlement: Settlement
    period: int
    begins_at: datetime


@dataclass(slots=True)
class Coupons:
    """The coupons of a subscription, and what its documents took off, if that matters."""

    attached: Sequence[SubscriptionCoupon]
    used: Sequence[Used] = ()

    def of(
        self, subscription: Subscription, settlement: Settlement, full: Period
    ) -> tuple[CouponTerms, ...]:
        """Return the coupons that count in a document, in their order."""
        document = _document(subscription, settlement, full)
        if document.period < 0:
            return ()
        found = (self._terms(document, each) for each in self.attached)
        return tuple(terms for terms in found if terms is not None)

    def before(self, period: int) -> Coupons:
        """Return the same coupons with what documents before a paid period took off, to go on
        otherwise from there.
        """
        earlier = [each for each in self.used if each.is_settled and each.period < period]
        return Coupons(self.attached, earlier)

    def took(self, settlement: UUID, discounts: Sequence[CouponDiscount]) -> None:
        """Note what one more document takes off."""
        taken = [each for each in discounts if each.amount > 0]
        if taken:
            amounts = {each.coupon.code: each.amount for each in taken}
            period = taken[0].coupon.period
            self.used = [*self.used, Used(settlement, period, amounts, is_settled=True)]

    def _terms(self, document: Document, attached: SubscriptionCoupon) -> CouponTerms | None:
        coupon = attached.coupon
        if not self._counts(document, attached):
            return None
        terms = partial(
            CouponTerms, coupon.code, charges=frozenset(coupon.charges), period=document.period
        )
        if coupon.type == CouponType.PERCENT:
            return terms(percent=coupon.value)
        left = self._left(document, coupon)
        return terms(amount=left) if left > 0 else None

    def _counts(self, document: Document, attached: SubscriptionCoupon) -> bool:
        coupon = attached.coupon
        if document.settlement.status == SettlementStatus.SETTLED:
            # Late usage of a settled cycle has its coupons; one that it left is used elsewhere.
            mine = (each for each in self.used if each.settlement == document.settlement.pk)
            has_taken = any(coupon.code in each.amounts for each in mine)
            if has_taken or coupon.periods is not None:
                return has_taken
        if not (attached.covers(document.period) and coupon.is_in_force(document.begins_at)):
            return False
        return coupon.carries_rest or self._may_use(document, coupon)

    def _may_use(self, document: Document, coupon: Coupon) -> bool:
        """Return whether the period has used the coupon, or may be one more that does. An earlier
        one that waits to be settled may still use it.
        """
        taken = self._periods(document, coupon)
        taken |= {
            each.period
            for each in self.used
            if not each.is_settled and each.period < document.period
        }
        return document.period in taken or coupon.periods is None or len(taken) < coupon.periods

    def _periods(self, document: Document, coupon: Coupon) -> set[int]:
        return {each.period for each in self._others(document) if coupon.code in each.amounts}

    def _others(self, document: Document) -> list[Used]:
        return [each for each in self.used if each.settlement != document.settlement.pk]

    def _left(self, document: Document, coupon: Coupon) -> Decimal:
        """Return what is left of a fixed amount for a document: of that of its period, or where the
        rest is carried, of those of all periods so far.
        """
        others = self._others(document)
        if not coupon.carries_rest:
            others = [each for each in others if each.period == document.period]
            return coupon.value - _sum(others, coupon)
        periods = len({*self._periods(document, coupon), document.period})
        most = periods if coupon.periods is None else min(periods, coupon.periods)
        return coupon.value * most - _sum(others, coupon)


def _sum(used: Sequence[Used], coupon: Coupon) -> Decimal:
    return sum((each.amounts.get(coupon.code, ZERO) for each in used), ZERO)


def _document(subscription: Subscription, settlement: Settlement, full: Period) -> Document:
    period = period_of(subscription, settlement)
    is_next = period > settlement.period_number
    begins_at = full.ends_at if is_next else max(full.starts_at, subscription.starts_at)
    return Document(settlement, period, begins_at)


def period_of(subscription: Subscription, settlement: Settlement) -> int:
    """Return the paid period that a document counts in: with fees in advance, a cycle's is that of
    the next one.
    """
    is_cycle = settlement.kind == SettlementKind.CYCLE
    return settlement.period_number + (_ahead(subscription) if is_cycle else 0)


def _ahead(subscription: Subscription) -> int:
    return 1 if catalogue.bills_in_advance(subscription.version) else 0


def next_period(subscription: Subscription) -> int:
    """Return the paid period that the next document of the open cycle counts in."""
    is_billed = _ahead(subscription) and not subscription.is_fee_due
    return max(subscription.period_number + (1 if is_billed else 0), 0)


def parts(mine: str, asked: Sequence[Any]) -> list[AnyPart]:
    """Return what is to be read of the coupons of subscriptions `s` that meet a condition."""
    return [
        Part(SubscriptionCoupon, f"{_OF_SUBSCRIPTION} WHERE {mine}", asked),
        Part(Coupon, f"{_OF_COUPON} WHERE {mine})", asked),
        Columns(_USED, f"{_USED_BY} {mine}", asked),
    ]


def read(subscription: Subscription) -> Coupons:
    """Read the coupons of a subscription."""
    attached, coupons, used = select_together(parts("s.id = %s", [subscription.pk])).rows
    return of_rows(subscription, attached, coupons, used)


def of_rows(
    subscription: Subscription,
    attached: Iterable[SubscriptionCoupon],
    coupons: Iterable[Coupon],
    used: Iterable[Sequence[Any]],
) -> Coupons:
    """Return the coupons of a subscription from the rows of `parts`."""
    by_key = {coupon.pk: coupon for coupon in coupons}
    mine = [each for each in attached if each.subscription_id == subscription.pk]
    for each in mine:
        each.coupon = by_key[each.coupon_id]
    mine.sort(key=lambda each: each.position)
    documents = [row for row in used if row[0] == subscription.pk]
    ahead = _ahead(subscription) if documents else 0
    return Coupons(mine, [_used(row, ahead, mine) for row in documents])


def _used(row: Sequence[Any], ahead: int, attached: Sequence[SubscriptionCoupon]) -> Used:
    """Return what a document took off. Version 0.1.0 knew one coupon and no amounts."""
    _, settlement, kind, number, status, by_coupon, discount = row
    is_settled = status == SettlementStatus.SETTLED
    amounts, period = dict[str, Decimal](), number + (ahead if kind == SettlementKind.CYCLE else 0)
    if is_settled and by_coupon is None:
        amounts = {each.coupon.code: Decimal(discount) for each in attached[:1]}
    elif is_settled:
        taken = json.loads(by_coupon)
        amounts = {each["code"]: Decimal(each["amount"]) for each in taken}
        period = taken[0]["period"]
    return Used(settlement, period, amounts, is_settled)


def as_discount(coupon: Coupon) -> CouponTerms:
    """Return a coupon as its first period has it, to preview it."""
    is_percent = coupon.type == CouponType.PERCENT
    return CouponTerms(
        coupon.code,
        percent=coupon.value if is_percent else None,
        amount=None if is_percent else coupon.value,
        charges=frozenset(coupon.charges),
    )
