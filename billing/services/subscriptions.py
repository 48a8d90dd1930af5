"""Subscriptions: provision the wallets, set their rules, issue the plan's credits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F

from aforo import money, periods
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.money import ZERO
from aforo.periods import Interval
from aforo.sandbox.services import now_for
from billing.models import (
    Claim,
    Customer,
    Settlement,
    SettlementKind,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
)
from billing.pipeline import proration
from billing.pipeline.proration import Share
from billing.services import campaigns, cycles, fees, numbering, once, openings
from billing.services.customers import zone_of
from ledger import services as ledger
from ledger.models import Book
from pricing import services as pricing
from pricing.models import GrantTemplate, Metric, Offering, OfferingStatus, Recurrence
from wallets import services as wallets
from wallets.journal import new_lot
from wallets.models import CreditLot, Source, SpendState, UnitWallet, Wallet

LIVE = [
    SubscriptionStatus.TRIALING,
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.SUSPENDED,
    SubscriptionStatus.PAUSED,
]
# Those whose cycles run, and are settled.
RUNNING = [status for status in LIVE if status != SubscriptionStatus.PAUSED]
# No cycle of an interval is longer.
LONGEST_DAYS = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 31, Interval.YEAR: 366}
_SPEND_STATE = {
    SubscriptionStatus.SUSPENDED: SpendState.SUSPENDED,
    SubscriptionStatus.PAUSED: SpendState.PAUSED,
}


class MetricAlreadySubscribed(Conflict):
    default_code = "metric_already_subscribed"


class OfferingNotSold(Conflict):
    default_code = "offering_not_active"


class UnknownSubscription(NotFound):
    default_code = "unknown_subscription"


def get_subscription(*, livemode: bool, subscription_id: UUID) -> Subscription:
    """Find a subscription with what its answer shows.

    Raises: UnknownSubscription.
    """
    found = Subscription.objects.filter(
        pk=subscription_id, customer__book__livemode=livemode
    ).select_related("customer__book__test_clock", "offering", "version__plan")
    subscription = found.first()
    if subscription is None:
        raise UnknownSubscription(f"There is no subscription {subscription_id}.")
    return subscription


def subscribe(
    *,
    livemode: bool,
    customer_id: str,
    offering: str,
    starts_at: datetime | None = None,
    anchor_day: int | None = None,
    coupon: str | None = None,
) -> Subscription:
    """Start a subscription: one transaction provisions the wallets and issues the plan's credits.

    It pins the plan's current published version. `starts_at` may lie in the past, but usage that
    an earlier subscription has settled is not counted again; `anchor_day` makes months begin on
    that day of the customer's zone, the first one being shorter.

    Raises: UnknownCustomer, Invalid, OfferingNotSold, MetricAlreadySubscribed, AlreadySubscribed,
    NotPublished, CouponSpent.
    """
    book_id = ledger.get_book(livemode=livemode, key=customer_id).pk
    sold = pricing.find_offering(livemode=livemode, code=offering)
    if sold.status != OfferingStatus.ACTIVE:
        raise OfferingNotSold(f"The offering {offering} is {sold.status.lower()}.")
    version = pricing.current_version(sold.plan)
    with transaction.atomic(), numbering.at_the_end():
        book = ledger.lock_book(book_id=book_id)
        customer = Customer.objects.get(book=book)
        now = now_for(book)
        start = now if starts_at is None else starts_at
        if start > now:
            raise Invalid([FieldError("/starts_at", "in_the_future", "It must not be later.")])
        _check_backdating(sold, start, now)
        check_metrics_free(book, version.pk)
        once.check_offering_free(book, sold)
        subscription = Subscription(
            customer=customer,
            offering=sold,
            version=version,
            billing_mode=sold.billing_mode,
            is_single=not sold.several_per_customer,
            status=SubscriptionStatus.ACTIVE,
            starts_at=start,
            subscribed_at=now,
            counted_from=_unsettled_from(book, version.pk, start),
        )
        subscription.usage_closed_through = subscription.counted_from
        if coupon is not None:
            subscription.coupon = pricing.redeem_coupon(
                livemode=livemode, code=coupon, currency=version.plan.currency
            )
        had_trial = once.has_had(customer=customer, offering=sold, benefit=once.TRIAL)
        cycles.set_first_period(subscription, anchor_day, with_trial=not had_trial)
        subscription.save(force_insert=True)
        if subscription.trial_ends_at is not None:
            once.take(subscription=subscription, benefits=[once.TRIAL])
        _provision(book, subscription)
        start_if_paid(book=book, subscription=subscription, now=now)
        return subscription


def _check_backdating(sold: Offering, start: datetime, now: datetime) -> None:
    """Refuse a start so long ago that more cycles would be over than may be entered afterwards.

    Raises: Invalid (`too_early`).
    """
    cycle = LONGEST_DAYS[Interval(sold.interval)] * sold.interval_count
    most = timedelta(days=cycle * (settings.BACKDATED_CYCLES + 1) + (sold.trial_days or 0))
    if now - start > most:
        detail = f"It may lie at most {settings.BACKDATED_CYCLES} whole cycles back."
        raise Invalid([FieldError("/starts_at", "too_early", detail)])


def _unsettled_from(book: Book, version_id: int, start: datetime) -> datetime:
    """Return from where a subscription that starts counts usage: what a settled cycle has counted
    of its metrics stays there.

    Raises: Invalid where usage on both sides of what is settled would be meant.
    """
    settled = Settlement.objects.filter(
        book=book,
        kind=SettlementKind.CYCLE,
        subscription__version__charges__metrics__charges__version=version_id,
        counted_until__gt=start,
    ).exclude(status=SettlementStatus.VOIDED)
    last = settled.order_by("-counted_until").select_related("subscription").first()
    if last is None:
        return start
    if start < last.subscription.starts_at:
        detail = f"Its usage is settled from {last.subscription.starts_at:%Y-%m-%d %H:%M} UTC on."
        raise Invalid([FieldError("/starts_at", "period_settled", detail)])
    return last.counted_until


def start_if_paid(*, book: Book, subscription: Subscription, now: datetime) -> bool:
    """Bill the fees in advance of the open cycle, and issue its credits; tell whether it runs.

    PREPAID credits that do not cover the fees leave it waiting: CREATED before its first cycle,
    SUSPENDED later, with nothing owed (DECISIONS 28). The book must be locked.
    """
    if subscription.status == SubscriptionStatus.TRIALING:
        _give_first(book, subscription)
        return True
    is_renewal = subscription.status == SubscriptionStatus.SUSPENDED
    starts_at = max(now, subscription.current_starts_at) if is_renewal else subscription.starts_at
    is_paid = openings.open_cycle(
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
        set_status(book=book, subscription=subscription, status=status)
    if is_paid and is_renewal:
        issue_plan_credits(book=book, subscription=subscription, at=starts_at)
    elif is_paid:
        _give_first(book, subscription)
    return is_paid


def _give_first(book: Book, subscription: Subscription) -> None:
    issue_plan_credits(book=book, subscription=subscription, at=subscription.starts_at)
    campaigns.give_to_subscriber(book=book, subscription=subscription)


def check_metrics_free(book: Book, version_id: int, *, leaving: Subscription | None = None) -> None:
    """Hold that two live subscriptions never charge the same metric (DECISIONS 5).

    `leaving` is one that gives its metrics up. Raises: MetricAlreadySubscribed.
    """
    mine = Metric.objects.filter(charges__version=version_id)
    live = Subscription.objects.filter(
        customer=book.pk, status__in=[*LIVE, SubscriptionStatus.CREATED]
    )
    if leaving is not None:
        live = live.exclude(pk=leaving.pk)
    theirs = Metric.objects.filter(charges__version__in=live.values("version"))
    taken = mine.filter(pk__in=theirs.values("pk")).order_by("pk").first()
    if taken is not None:
        raise MetricAlreadySubscribed(f"The metric {taken.code} is charged by another one.")


def _provision(book: Book, subscription: Subscription) -> None:
    """Open the wallets that the plan speaks of: its currency's, and one a metric."""
    version = subscription.version
    wallet = wallets.money_wallet(book=book, currency=version.plan.currency)
    if not Wallet.objects.filter(book=book, preferred_at__isnull=False).exists():
        wallet.preferred_at = subscription.starts_at
        wallet.save(update_fields=["preferred_at"])
    charged = Metric.objects.filter(charges__version=version)
    granted = Metric.objects.filter(
        pk__in=GrantTemplate.objects.filter(version=version, metric__isnull=False).values("metric")
    )
    for metric in (charged | granted).distinct().order_by("pk"):
        wallets.unit_wallet(book=book, metric=metric)
    refresh_rules(book=book)


def refresh_rules(*, book: Book) -> None:
    """Write the spend rules of every wallet from the oldest live subscription that it serves.

    A wallet that none serves is PREPAID with the default burn order; an open claim suspends all of
    them. The book must be locked.
    """
    live = list(
        Subscription.objects.filter(customer=book.pk, status__in=LIVE)
        .select_related("version__plan", "offering")
        .prefetch_related("version__charges__metrics")
        .order_by("starts_at", "created_at", "pk")
    )
    owing = Claim.objects.filter(book=book, amount__gt=F("paid")).exists()
    for wallet in Wallet.objects.filter(book=book):
        serving = [s for s in live if s.version.plan.currency == wallet.currency]
        wallets.apply_rules(wallets=[wallet], rules=_rules(serving, owing=owing))
    for units in UnitWallet.objects.filter(book=book):
        serving = [s for s in live if units.metric_id in _charged_metrics(s)]
        wallets.apply_rules(wallets=[units], rules=_rules(serving, owing=owing))


def _charged_metrics(subscription: Subscription) -> set[int]:
    return {m.pk for charge in subscription.version.charges.all() for m in charge.metrics.all()}


def _rules(serving: Sequence[Subscription], *, owing: bool) -> wallets.SpendRules:
    if not serving:
        state = SpendState.SUSPENDED if owing else SpendState.ACTIVE
        return wallets.SpendRules(spend_state=state)
    oldest = serving[0]
    state = _SPEND_STATE.get(SubscriptionStatus(oldest.status), SpendState.ACTIVE)
    return wallets.SpendRules(
        billing_mode=oldest.billing_mode,
        burn_order=tuple(oldest.version.burn_order),
        overage_limit=oldest.offering.overage_limit,
        spend_state=SpendState.SUSPENDED if owing else state,
        cycle_starts_at=oldest.current_starts_at,
    )


def set_status(*, book: Book, subscription: Subscription, status: SubscriptionStatus) -> None:
    """Change a subscription's state and what its wallets may do. The book must be locked."""
    subscription.status = status
    subscription.save(update_fields=["status"])
    refresh_rules(book=book)


def issue_plan_credits(*, book: Book, subscription: Subscription, at: datetime) -> None:
    """Issue what the plan gives in the open cycle: once-only grants in the first, unless the
    customer had them of this offering before, the rest in each whose period was not over when the
    customer subscribed.

    Unique per (subscription, grant, period), so repeating it issues nothing twice.
    """
    if subscription.status not in {SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING}:
        return
    is_past = subscription.full_ends_at <= subscription.subscribed_at
    templates = [
        template
        for template in GrantTemplate.objects.filter(version=subscription.version)
        .select_related("metric")
        .order_by("position", "pk")
        if (subscription.cycle == 0 if template.recurrence == Recurrence.ONCE else not is_past)
    ]
    first = {once.grant(t.code) for t in templates if t.recurrence == Recurrence.ONCE}
    brought = once.take(subscription=subscription, benefits=first)
    templates = [
        template
        for template in templates
        if template.recurrence != Recurrence.ONCE or once.grant(template.code) in brought
    ]
    share, currency = _served_share(subscription), subscription.version.plan.currency
    offered = [(template, granted_quantity(template, share, currency)) for template in templates]
    granted = [(template, quantity) for template, quantity in offered if quantity > 0]
    shares = fees.shares(subscription=subscription, granted=granted)
    lots = [
        _plan_lot(book, subscription, template, at, quantity=quantity, carrying=carrying)
        for (template, quantity), carrying in zip(granted, shares, strict=True)
    ]
    issued = wallets.issue(
        book=book,
        lots=lots,
        occurred_at=at,
        document={
            "subscription": str(subscription.pk),
            "plan": f"{subscription.version.plan.code} v{subscription.version.number}",
            "product": subscription.version.plan.code,
        },
    )
    fees.give_up(subscription=subscription, amount=sum((lot.carrying for lot in issued), ZERO))


def _served_share(subscription: Subscription) -> Share:
    """Return the share of its period that the open cycle serves unless it is cut short."""
    part = periods.Period(subscription.current_starts_at, subscription.full_ends_at)
    return proration.share_of(part, cycles.full_period(subscription))


def granted_quantity(template: GrantTemplate, share: Share, currency: str) -> Decimal:
    """Return what a plan grants in a cycle: what it gives in each, by the time that it serves."""
    if template.recurrence == Recurrence.ONCE or share.is_whole:
        return template.quantity
    return money.floor(share.of(template.quantity), grant_places(template, currency))


def grant_places(template: GrantTemplate, currency: str) -> int:
    """Return to which place a part of a grant is cut: money to the currency's, units to the
    decimals that the plan writes them with.
    """
    if template.metric_id is None:
        return money.exponent(currency)
    _, _, fraction = money.plain(template.quantity).partition(".")
    return len(fraction)


def grant_period(subscription: Subscription) -> int:
    """Return the number of the period in which a plan grants each thing once, the trial's being 0;
    a cycle that goes on after a pause is of the same one.
    """
    return subscription.period_number + (0 if subscription.trial_ends_at is None else 1)


def plan_cause(subscription: Subscription) -> str:
    """Give what the causes of a subscription's plan lots begin with."""
    return f"plan:{subscription.pk}:"


def _plan_lot(
    book: Book,
    subscription: Subscription,
    template: GrantTemplate,
    at: datetime,
    *,
    quantity: Decimal,
    carrying: Decimal,
) -> CreditLot:
    wallet: Wallet | UnitWallet
    currency = subscription.version.plan.currency
    if template.metric is None:
        wallet = wallets.money_wallet(book=book, currency=currency)
    else:
        wallet = wallets.unit_wallet(book=book, metric=template.metric)
    period = "once" if template.recurrence == Recurrence.ONCE else str(grant_period(subscription))
    return new_lot(
        wallet=wallet,
        kind=template.kind,
        source=Source.PLAN,
        quantity=quantity,
        now=at,
        carrying=carrying,
        currency=currency,
        cause=f"{plan_cause(subscription)}{template.code}:{period}",
        priority=template.priority,
        expires_at=expiry_of(template, subscription, at),
        rollover=template.rollover,
    )


def expiry_of(template: GrantTemplate, subscription: Subscription, at: datetime) -> datetime | None:
    """Give when credits that a plan issues at a moment lapse, if they do."""
    if template.expires_after_days is not None:
        return periods.days_after(at, template.expires_after_days, zone_of(subscription.customer))
    return subscription.current_ends_at if template.expires_at_cycle_end else None
