"""Subscribing: provision the wallets, set their rules, issue the plan's credits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.periods import Interval
from aforo.sandbox.services import now_for
from billing.invoicing import numbering
from billing.models import (
    Customer,
    Settlement,
    SettlementKind,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
)
from billing.settlement import advance_billing
from billing.subscriptions import (
    cycles,
    moves,
    once_only,
    plan_terms,
    spend_rules,
    states,
    taken_coupons,
)
from ledger.entries import books
from ledger.models import Book
from pricing import catalogue
from pricing.models import Coupon, Metric, Offering, OfferingStatus
from wallets.lots import provisioning
from wallets.models import Wallet

# The longest cycle of an interval, in days.
LONGEST_DAYS = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 31, Interval.YEAR: 366}

# How far ahead a start may be set.
AHEAD = timedelta(days=3 * 366)


class MetricAlreadySubscribed(Conflict):
    """Another live subscription of the customer prices the same metric.

    Cancel that one first, or choose an offering of other metrics.
    """

    default_code = "metric_already_subscribed"


class OfferingNotSold(Conflict):
    """The offering is a draft or archived, so it is not sold.

    Activate it by PATCH /v1/offerings/{code}, or choose another one.
    """

    default_code = "offering_not_active"


class UnknownSubscription(NotFound):
    """No subscription of the key's mode has this id.

    Take it from GET /v1/subscriptions?customer_id=.
    """

    default_code = "unknown_subscription"


def get_subscription(*, livemode: bool, subscription_id: UUID) -> Subscription:
    """Return a subscription with the related rows of its answer.

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
    coupons: Sequence[str] = (),
) -> Subscription:
    """Create a subscription: one transaction provisions the wallets and issues the plan's credits.

    It pins the plan's current published version. `starts_at` may lie ahead: until then it waits in
    CREATED (see `starts`). It may lie in the past, but usage that an earlier subscription has
    settled is not counted again; with `anchor_day`, months begin on that
    day in the customer's zone, and the first one is shorter. `coupon` is one, `coupons` are several
    in the order in which they are taken off.

    Raises: UnknownCustomer, Invalid, OfferingNotSold, MetricAlreadySubscribed, AlreadySubscribed,
    NotPublished, CouponSpent.
    """
    book_id = books.get_book(livemode=livemode, key=customer_id).pk
    sold = catalogue.find_offering(livemode=livemode, code=offering)
    if sold.status != OfferingStatus.ACTIVE:
        raise OfferingNotSold(f"The offering {offering} is {sold.status.lower()}.")
    version = catalogue.current_version(sold.plan)
    with transaction.atomic(), numbering.at_the_end():
        book = books.lock_book(book_id=book_id)
        customer = Customer.objects.get(book=book)
        now = now_for(book)
        start = now if starts_at is None else starts_at
        _check_start(sold, start, now)
        check_metrics_free(book, version.pk)
        once_only.check_offering_free(book, sold)
        subscription = Subscription(
            customer=customer,
            offering=sold,
            version=version,
            billing_mode=sold.billing_mode,
            is_single=not sold.several_per_customer,
            status=SubscriptionStatus.CREATED,
            starts_at=start,
            subscribed_at=now,
            counted_from=_unsettled_from(book, version.pk, start),
        )
        subscription.usage_closed_through = subscription.counted_from
        taken = _redeem(livemode, version.plan.currency, now, coupon, coupons)
        # The database adds the row of the first.
        subscription.coupon = taken[0] if taken else None
        had_trial = once_only.has_had(customer=customer, offering=sold, benefit=once_only.TRIAL)
        cycles.set_first_period(subscription, anchor_day, with_trial=not had_trial)
        if start > now:
            # Until then it waits, whatever it begins with.
            subscription.status = SubscriptionStatus.CREATED
        subscription.save(force_insert=True)
        taken_coupons.attach(subscription=subscription, taken=taken[1:], now=now)
        if subscription.trial_ends_at is not None:
            once_only.claim_benefits(subscription=subscription, benefits=[once_only.TRIAL])
        moves.record(book=book, subscription=subscription, was="", at=now)
        _provision(book, subscription)
        if start <= now:
            advance_billing.start_if_paid(book=book, subscription=subscription, now=now)
        return subscription


def _redeem(
    livemode: bool,  # noqa: FBT001
    currency: str,
    now: datetime,
    coupon: str | None,
    coupons: Sequence[str],
) -> list[Coupon]:
    """Redeem what a request names. Raises: Invalid where it names one coupon and several."""
    if coupon is not None and coupons:
        raise Invalid([FieldError("/coupon", "invalid", "Give coupon or coupons, not both.")])
    return taken_coupons.redeem(
        livemode=livemode,
        codes=coupons if coupon is None else [coupon],
        currency=currency,
        now=now,
        pointer="/coupons" if coupon is None else "/coupon",
    )


def _check_start(sold: Offering, start: datetime, now: datetime) -> None:
    """Check that a start is not so long ago that more cycles would be over than may be backdated,
    and not years ahead.

    Raises: Invalid (`too_early`, `too_late`).
    """
    if start - now > AHEAD:
        detail = f"It may lie at most {AHEAD.days} days ahead."
        raise Invalid([FieldError("/starts_at", "too_late", detail)])
    cycle = LONGEST_DAYS[Interval(sold.interval)] * sold.interval_count
    most = timedelta(days=cycle * (settings.BACKDATED_CYCLES + 1) + (sold.trial_days or 0))
    if now - start > most:
        detail = f"It may lie at most {settings.BACKDATED_CYCLES} whole cycles back."
        raise Invalid([FieldError("/starts_at", "too_early", detail)])


def _unsettled_from(book: Book, version_id: int, start: datetime) -> datetime:
    """Return from when on a new subscription counts usage: usage of its metrics that a settled
    cycle has counted stays there.

    Raises: Invalid where usage on both sides of settled cycles would count.
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


def check_metrics_free(book: Book, version_id: int, *, leaving: Subscription | None = None) -> None:
    """Check that two live subscriptions never charge the same metric (docs/decisions.md#d5).

    `leaving` is a subscription that releases its metrics. Raises: MetricAlreadySubscribed.
    """
    mine = Metric.objects.filter(charges__version=version_id)
    live = Subscription.objects.filter(
        customer=book.pk, status__in=[*states.LIVE, SubscriptionStatus.CREATED]
    )
    if leaving is not None:
        live = live.exclude(pk=leaving.pk)
    theirs = Metric.objects.filter(
        Q(charges__version__in=live.values("version"))
        | Q(charges__version__in=live.exclude(next_version=None).values("next_version"))
    )
    taken = mine.filter(pk__in=theirs.values("pk")).order_by("pk").first()
    if taken is not None:
        raise MetricAlreadySubscribed(f"The metric {taken.code} is charged by another one.")


def _provision(book: Book, subscription: Subscription) -> None:
    """Create the wallets of the plan: one in its currency, and one a metric."""
    version = subscription.version
    wallet = provisioning.money_wallet(book=book, currency=version.plan.currency)
    if not Wallet.objects.filter(book=book, preferred_at__isnull=False).exists():
        wallet.preferred_at = subscription.starts_at
        wallet.save(update_fields=["preferred_at"])
    plan_terms.provision_units(book=book, subscription=subscription)
    spend_rules.refresh_rules(book=book)
