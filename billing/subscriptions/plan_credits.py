"""Credits of a plan: issued in each cycle, in proportion to the time that it serves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from aforo import money, periods
from aforo.database import joined
from aforo.money import ZERO
from billing.calculation import proration
from billing.calculation.proration import PeriodShare
from billing.customers.customers import zone_of
from billing.models import (
    Subscription,
    SubscriptionStatus,
)
from billing.subscriptions import advance_fees, cycles, once_only, plan_terms
from ledger.models import Book
from pricing.models import GrantRecurrence, GrantTemplate
from wallets.grants import grants
from wallets.lots import provisioning
from wallets.lots.new_lots import new_lot
from wallets.models import CreditLot, CreditSource, UnitWallet, Wallet


def issue_plan_credits(*, book: Book, subscription: Subscription, at: datetime) -> None:
    """Issue the plan's grants of the open cycle: once-only grants in the first, unless the customer
    had them of this offering before, the rest in each whose period was not over when the customer
    subscribed.

    Unique per (subscription, grant, period), so repeating it issues nothing twice.
    """
    if subscription.status not in {SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING}:
        return
    if plan_terms.dividing(subscription, grant_period(subscription)):
        # The period has had its grants, and what the change added to them.
        return
    is_past = subscription.full_ends_at <= subscription.subscribed_at
    templates = [
        template
        for template in joined.select(
            GrantTemplate,
            ["metric"],
            "WHERE t.version_id = %s ORDER BY t.position, t.id",
            [subscription.version_id],
        )
        if (subscription.cycle == 0 if template.recurrence == GrantRecurrence.ONCE else not is_past)
    ]
    first = {
        once_only.grant_benefit(t.code) for t in templates if t.recurrence == GrantRecurrence.ONCE
    }
    brought = once_only.claim_benefits(subscription=subscription, benefits=first)
    templates = [
        template
        for template in templates
        if template.recurrence != GrantRecurrence.ONCE
        or once_only.grant_benefit(template.code) in brought
    ]
    share, currency = _served_share(subscription), subscription.version.plan.currency
    offered = [(template, granted_quantity(template, share, currency)) for template in templates]
    granted = [(template, quantity) for template, quantity in offered if quantity > 0]
    issue(book=book, subscription=subscription, granted=granted, at=at)


def issue(
    *,
    book: Book,
    subscription: Subscription,
    granted: Sequence[tuple[GrantTemplate, Decimal]],
    at: datetime,
    part: int = 0,
) -> None:
    """Issue quantities of grants, with their share of the open cycle's fees in advance; `part` is
    the cycle with which a change of plan adds them to its period. The book must be locked.
    """
    shares = advance_fees.shares(subscription=subscription, granted=granted)
    lots = [
        _plan_lot(book, subscription, template, at, quantity=quantity, carrying=carrying, part=part)
        for (template, quantity), carrying in zip(granted, shares, strict=True)
    ]
    issued = grants.issue(
        book=book,
        lots=lots,
        occurred_at=at,
        document={
            "subscription": str(subscription.pk),
            "plan": f"{subscription.version.plan.code} v{subscription.version.number}",
            "product": subscription.version.plan.code,
        },
    )
    advance_fees.lower_fee(
        subscription=subscription, amount=sum((lot.carrying for lot in issued), ZERO)
    )


def _served_share(subscription: Subscription) -> PeriodShare:
    """Return the share of its period that the open cycle serves unless it is cut short."""
    part = periods.Period(subscription.current_starts_at, subscription.full_ends_at)
    return proration.share_of(part, cycles.full_period(subscription))


def granted_quantity(template: GrantTemplate, share: PeriodShare, currency: str) -> Decimal:
    """Return what a plan grants in a cycle: its quantity, in proportion to the time that the cycle
    serves.
    """
    if template.recurrence == GrantRecurrence.ONCE or share.is_whole:
        return template.quantity
    return money.floor(share.of(template.quantity), grant_places(template, currency))


def grant_places(template: GrantTemplate, currency: str) -> int:
    """Return the decimal places to which a part of a grant is cut: those of the currency, or for
    units those of the plan's quantity.
    """
    if template.metric_id is None:
        return money.exponent(currency)
    _, _, fraction = money.plain(template.quantity).partition(".")
    return len(fraction)


def grant_period(subscription: Subscription) -> int:
    """Return the number of the period in which each grant is issued once; a trial's is 0, and a
    cycle that continues after a pause has the same one.
    """
    return subscription.period_number + (0 if subscription.trial_ends_at is None else 1)


def plan_lots(subscription: Subscription) -> QuerySet[CreditLot]:
    """Return the lots that a subscription's plan granted."""
    return CreditLot.objects.filter(book=subscription.customer_id, subscription_id=subscription.pk)


def _plan_lot(
    book: Book,
    subscription: Subscription,
    template: GrantTemplate,
    at: datetime,
    *,
    quantity: Decimal,
    carrying: Decimal,
    part: int,
) -> CreditLot:
    wallet: Wallet | UnitWallet
    currency = subscription.version.plan.currency
    if template.metric is None:
        wallet = provisioning.money_wallet(book=book, currency=currency)
    else:
        wallet = provisioning.unit_wallet(book=book, metric=template.metric)
    period = None if template.recurrence == GrantRecurrence.ONCE else grant_period(subscription)
    once = "once" if period is None else str(period)
    lot = new_lot(
        wallet=wallet,
        kind=template.kind,
        source=CreditSource.PLAN,
        quantity=quantity,
        now=at,
        carrying=carrying,
        currency=currency,
        cause=f"plan:{subscription.pk}:{template.code}:{once}" + (f":{part}" if part else ""),
        priority=template.priority,
        expires_at=expiry_of(template, subscription, at),
        rollover=template.rollover,
        # It comes out of a fee that a document has taxed, by whatever rate (docs/decisions.md#d44).
        taxed_at_sale=carrying > 0,
    )
    lot.subscription_id, lot.grant_code = subscription.pk, template.code
    lot.grant_period, lot.grant_part = period, part
    return lot


def expiry_of(template: GrantTemplate, subscription: Subscription, at: datetime) -> datetime | None:
    """Return when credits that a plan issues at a moment lapse, if they do."""
    if template.expires_after_days is not None:
        return periods.days_after(at, template.expires_after_days, zone_of(subscription.customer))
    return subscription.current_ends_at if template.expires_at_cycle_end else None
